"""How mser-tiny's connector is taught, calibrated on corpora left out, and put together: on frames made up here."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.adaptation import adapt_to_frames
from hf_mser.emotions import EMOTIONS
from hf_mser.label_clouds import LabelClouds
from hf_mser.training.calibration import Calibration
from hf_mser.training.tiny import words
from hf_mser.training.tiny.assembly import assemble, save
from hf_mser.training.tiny.calibration import (
    Answers,
    HeldOut,
    answers_of_held_out_corpora,
    calibration_figures,
    calibration_of,
    clouds_of,
    recall,
)
from hf_mser.training.tiny.clips import Clip
from hf_mser.training.tiny.connecting import train_connector
from hf_mser.training.tiny.connector_lessons import ConnectorLessons
from hf_mser.training.tiny.distillation import new_student
from hf_mser.training.tiny.hearing import HeardClips
from hf_mser.training.tiny.recipe import TinyRecipe

WIDTH, LAYERS, FRAMES = 16, 2, 12
RECIPE = TinyRecipe.from_dict(
    {
        "corpora": ["a", "b", "c"],
        "encoder": {"width": WIDTH, "layers": LAYERS, "heads": 2, "feed_forward": 24, "student_layers": [1, 2]},
        "decoder": {"width": 32, "heads": 2, "steps": 30, "batch": 16},
        "connector": {
            "hidden_size": 16,
            "num_attention_heads": 2,
            "intermediate_size": 24,
            "num_query_tokens": 2,
            "num_statistics_tokens": 2,
            "statistics_rank": 8,
            "steps": 20,
            "batch": 14,
            "traits": {"traits": 4},
        },
    }
)


def heard(seed: int) -> tuple[list[Clip], HeardClips]:
    """Three corpora that lie apart, seven emotions that lie apart in each, four speakers of both genders."""
    random = np.random.default_rng(seed)
    clips = [
        Clip(corpus, f"{corpus}/{number % 4}", number % 7, f"{number}", ("male", "female")[number % 2])
        for corpus in "abc"
        for number in range(56)
    ]
    emotions = np.random.default_rng(0).normal(size=(7, LAYERS, WIDTH))
    corpora = dict(zip("abc", np.random.default_rng(1).normal(size=(3, LAYERS, WIDTH)), strict=True))
    frames = np.concatenate(
        [
            (emotions[clip.emotion] + corpora[clip.corpus] + random.normal(size=(FRAMES, LAYERS, WIDTH)))
            for clip in clips
        ]
    )
    values = torch.nn.functional.layer_norm(torch.from_numpy(frames).float(), (WIDTH,))
    lengths = np.full(len(clips), FRAMES)
    rows = values.view(len(clips), FRAMES, LAYERS, WIDTH)
    means, stds = rows.mean(1), (rows.var(1, correction=0) + 1e-5).sqrt()
    return clips, HeardClips(values.half().numpy(), np.arange(len(clips)) * FRAMES, lengths, means, stds)


@pytest.fixture(scope="module")
def lessons():
    """What `train_connector` takes, all of it."""
    clips, clean = heard(0)
    _, recorded = heard(1)
    tokenizer = words.new_tokenizer(RECIPE.prompt)
    decoder, _ = words.teach_decoder(RECIPE.decoder, tokenizer, RECIPE.prompt, slots=4, seed=0)
    decoder = decoder.eval().requires_grad_(False)
    return RECIPE.connector, RECIPE.decoder, clips, [clean, recorded], decoder, tokenizer, RECIPE.prompt, 0


@pytest.fixture(scope="module")
def listener(lessons):
    return train_connector(*lessons, lambda _: None)


def test_lessons_are_heard_in_another_version_as_often_as_the_recipe_says(lessons):
    recipe, _, clips, versions, *_ = lessons
    own = ConnectorLessons(recipe, clips, versions, 0, None)
    numbers = own._versions_of(4000, np.random.default_rng(0))
    assert set(numbers) == {0, 1}
    assert numbers.mean() == pytest.approx(recipe.recorded_share, abs=0.03)
    alone = ConnectorLessons(recipe, clips, versions[:1], 0, None)
    assert not alone._versions_of(50, np.random.default_rng(0)).any()


def test_the_connector_keeps_the_reader_that_taught_it(listener, lessons):
    _, _, clips, (clean, _), *_ = lessons
    readings = listener.connector.readings_of(torch.stack([clean.means, clean.stds], 2))
    truth = torch.tensor([clip.emotion for clip in clips])
    assert (readings.argmax(1) == truth).float().mean() > 0.9


def test_clouds_are_those_of_each_corpus_read_in_its_own_domain(listener, lessons):
    _, _, clips, (clean, _), *_ = lessons
    before = {name: values.clone() for name, values in listener.connector.domain.items()}
    clouds = clouds_of(listener, clean, clips, "abc", np.arange(7))
    assert all(torch.equal(before[name], values) for name, values in listener.connector.domain.items())
    assert (clouds.means.argmax(1) == torch.arange(7)).all()


def test_a_corpus_left_out_is_answered_by_a_connector_that_never_heard_it(lessons):
    answers = answers_of_held_out_corpora(*lessons, lambda _: None)
    assert [own.corpus for own in answers] == ["a", "b", "c"]
    for own in answers:
        whole, *parts = own.adapted
        for answers in (own.plain, whole):
            assert answers.scores.shape == answers.added.shape == (56, 7)
        assert recall(own.plain.added, own.plain.truth) > 60
        assert recall(whole.added, whole.truth) >= recall(own.plain.added, own.plain.truth) - 5
        for answers in parts:  # eight clips of the most frequent emotion, five of the rarest
            assert sorted(answers.truth.bincount().tolist()) == [5, 5, 5, 5, 5, 5, 8]
            assert answers.scores.shape == answers.added.shape == (len(answers.truth), 7)
        assert not torch.equal(parts[0].truth, parts[1].truth)


def test_the_parts_become_a_checkpoint_that_adapts(listener, lessons, tmp_path):
    from hf_mser import MSERForEmotionGeneration

    _, _, clips, (clean, _), decoder, tokenizer, *_ = lessons
    student = new_student(RECIPE.encoder, RECIPE.window_seconds)
    clouds = clouds_of(listener, clean, clips, "abc", np.arange(7))
    model, processor = assemble(
        RECIPE, student.state_dict(), listener, decoder, tokenizer, Calibration(0.25, 1.5), clouds
    )
    assert save(model, processor, tmp_path) == sum(file.stat().st_size for file in tmp_path.iterdir())
    loaded = MSERForEmotionGeneration.from_pretrained(tmp_path)
    assert loaded.config.label_weights == (0.25 * torch.eye(7)).tolist()
    torch.testing.assert_close(LabelClouds.from_dict(loaded.config.label_clouds).means, clouds.means, atol=1e-4, rtol=0)
    frames = torch.from_numpy(clean.frames[: 20 * FRAMES]).float().view(20, FRAMES, LAYERS, WIDTH).transpose(1, 2)
    report = adapt_to_frames(loaded, [(frames, None)])
    assert loaded.connector.trait_weight.shape == (4, LAYERS * 2 * WIDTH)
    assert sum(report.label_shares.values()) == pytest.approx(1)
    share = 20 / (20 + 20)
    expected = 1.5 + share * (clouds.temperature - 1.5)
    assert loaded.config.temperature == pytest.approx(expected)


@settings(max_examples=10)
@given(st.integers(0, 50), st.floats(0.7, 5.0), st.floats(0.1, 0.9))
def test_calibration_finds_what_was_added_and_undoes_what_made_scores_too_sure(seed, sharpened, weight):
    generator = torch.Generator().manual_seed(seed)
    scores, added = torch.randn(2, 3000, 7, generator=generator) * 1.5
    truth = torch.multinomial((scores + weight * added).softmax(1), 1, generator=generator)[:, 0]
    found = Calibration.of([scores * sharpened], [added * sharpened], [truth])
    assert found.weight == pytest.approx(weight, abs=0.11)
    assert found.temperature == pytest.approx(sharpened, rel=0.15)
    answers = Answers(scores * sharpened, added * sharpened, truth)
    answer = HeldOut("a", answers, [answers])
    figures = calibration_figures([answer], found, Calibration(0.0, 1.0))
    assert figures["ECE_as_it_is"] < 5
    logits = found.logits(scores * sharpened, added * sharpened)
    assert figures["UA_as_it_is"] == recall(logits, truth)


def test_weight_is_that_of_whole_corpora_and_temperature_that_of_unequal_parts_too():
    generator = torch.Generator().manual_seed(0)

    def answers(weight: float, sharpened: float) -> Answers:
        scores, added = torch.randn(2, 6000, 7, generator=generator) * 1.5
        truth = torch.multinomial((scores + weight * added).softmax(1), 1, generator=generator)[:, 0]
        return Answers(sharpened * scores, sharpened * added, truth)

    whole, part = answers(0.8, 2.0), answers(0.2, 6.0)
    plain, moved = calibration_of([HeldOut("a", answers(0.4, 1.0), [whole, part])])
    assert (plain.weight, moved.weight) == pytest.approx((0.4, 0.8), abs=0.11)
    assert plain.temperature == pytest.approx(1, rel=0.15)
    of_each = [Calibration.of(*zip(own, strict=True), weights=[moved.weight]).temperature for own in (whole, part)]
    assert of_each[0] < moved.temperature < of_each[1]


def test_recall_is_the_mean_over_the_classes_that_occur():
    scores = torch.eye(len(EMOTIONS))[[0, 0, 3, 3]]
    assert recall(scores, torch.tensor([0, 0, 0, 3])) == pytest.approx(83.3)
