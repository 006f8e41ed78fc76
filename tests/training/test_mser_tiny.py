"""How mser-tiny is made: words, domains, recording conditions, and the parts of the distillation."""

import numpy as np
import pytest
import torch
from tiny_models import save_whisper
from torch import nn

from hf_mser.configuration_mser import SpeechLengthError
from hf_mser.emotions import EMOTIONS, SYNONYMS
from hf_mser.training.tiny import clips, distillation, words
from hf_mser.training.tiny.distillation import distil, new_student
from hf_mser.training.tiny.domains import Views
from hf_mser.training.tiny.hearing import hear
from hf_mser.training.tiny.learner import Learner
from hf_mser.training.tiny.lessons import Lessons
from hf_mser.training.tiny.reading import train_reader
from hf_mser.training.tiny.recipe import DecoderRecipe, EncoderRecipe, ReaderRecipe, TinyRecipe, TinyRecipeError
from hf_mser.training.tiny.recording import recorded
from hf_mser.training.tiny.teacher import Teacher, pass_through
from hf_mser.training.tiny.voices import another_voice

PROMPT = "{audio} The speaker sounds"

needs_muon = pytest.mark.skipif(
    not hasattr(torch.optim, "Muon"), reason="the distillation needs torch 2.9 or later (torch.optim.Muon)"
)


@pytest.fixture(scope="module")
def tokenizer():
    return words.new_tokenizer(PROMPT)


def test_emotion_words_are_one_token_and_any_word_can_be_spelled(tokenizer):
    for emotion in EMOTIONS:
        assert len(tokenizer.encode(f" {SYNONYMS[emotion][0]}", add_special_tokens=False)) == 1
    for word in (" żółć", " 愤怒", " matter-of-fact"):
        ids = tokenizer.encode(word, add_special_tokens=False)
        assert tokenizer.decode(ids) == word


def test_every_synonym_is_said_as_often_whatever_its_emotion(tokenizer):
    recipe = DecoderRecipe()
    for emotion, said in zip(EMOTIONS, words.answers(recipe), strict=True):
        assert sum(said.values()) == pytest.approx(1.0)
        assert said[emotion] == recipe.canonical_share
        assert {said[word] for word in SYNONYMS[emotion][1:]} == {recipe.synonym_share}
    shares = words.first_token_shares(recipe, tokenizer)
    torch.testing.assert_close(shares.sum(1), torch.ones(len(EMOTIONS)))


def test_a_short_lesson_lowers_the_decoders_loss(tokenizer):
    recipe = DecoderRecipe(width=32, heads=2, steps=5, batch=16)
    _, early = words.teach_decoder(recipe, tokenizer, PROMPT, slots=4, seed=0)
    longer = DecoderRecipe(width=32, heads=2, steps=120, batch=16)
    decoder, late = words.teach_decoder(longer, tokenizer, PROMPT, slots=4, seed=0)
    assert late < early - 1.0
    assert not any(parameter.requires_grad for parameter in decoder.parameters())


def lessons_of(kinds: int, spread: float):
    """What `train_reader` draws from: clips of so many emotions, each around a middle of its own."""
    centres = torch.randn(3, 12, generator=torch.Generator().manual_seed(0))

    def draw(count, random):
        emotions = torch.from_numpy(random.integers(kinds, size=count))
        return centres[emotions] + torch.from_numpy(random.normal(0, spread, (count, 12)).astype(np.float32)), emotions

    return draw


def test_readers_agree_with_the_truth_and_are_one_in_the_mean():
    draw = lessons_of(3, 0.3)

    def read(readers):
        return train_reader(ReaderRecipe(readers=readers, steps=60, batch=32, learning_rate=2e-2), draw, 3)

    rows, truth = draw(200, np.random.default_rng(99))
    one, two = read(1), read(2)
    assert (two(rows).argmax(1) == truth).float().mean() > 0.95
    assert not torch.equal(one.weight, two.weight)
    assert torch.equal(read(2).weight, two.weight)
    assert not any(parameter.requires_grad for parameter in two.parameters())


def test_the_readers_mean_holds_the_share_of_the_discriminant_and_never_says_what_it_was_not_shown():
    draw = lessons_of(2, 1.0)

    def read(share):
        recipe = ReaderRecipe(readers=1, steps=60, batch=32, discriminant_share=share, discriminant_clips=640)
        return train_reader(recipe, draw, 3)

    rows, _ = draw(500, np.random.default_rng(9))
    plain, half, whole = (read(share)(rows)[:, :2] for share in (0.0, 0.5, 1.0))
    torch.testing.assert_close(half, (plain + whole) / 2, atol=1e-4, rtol=1e-4)
    spreads = [float((answers - answers.mean(1, keepdim=True)).std()) for answers in (plain, whole)]
    assert spreads[1] == pytest.approx(spreads[0], rel=0.1)
    assert read(0.5)(rows).argmax(1).max() == 1


def test_a_clip_is_told_of_the_world_its_corpus_its_speaker_and_other_corpora_alike():
    corpora, speakers = np.repeat(["a", "b", "c"], 4), np.array([f"s{number // 2}" for number in range(12)])
    means = torch.arange(12.0)[:, None, None].expand(12, 1, 2)
    world = {name: torch.full((1, 2), -1.0) for name in ("frame_mean", "frame_std")}
    views = Views(means, torch.ones(12, 1, 2), torch.ones(12), corpora, speakers, world)
    random = np.random.default_rng(0)
    drawn = [float(views.draw(5, random)["frame_mean"][0, 0]) for _ in range(2000)]
    kinds, counts = np.unique(np.round(drawn, 4), return_counts=True)
    speaker = (2 * 4.5 + 10 * 5.5) / 12  # two clips against ten of the corpus
    expected = {-1.0: 500, 5.5: 500, round(speaker, 4): 500, 1.5: 250, 9.5: 250}
    assert sorted(kinds) == sorted(expected)
    assert all(abs(count - expected[float(kind)]) < 110 for kind, count in zip(kinds, counts, strict=True))


def test_recording_conditions_repeat_with_their_seed_and_keep_power_positive():
    power = torch.rand(4, 80, 60) + 0.1
    mask = torch.ones(4, 60, dtype=torch.bool)
    first, again = (recorded(power, mask, np.random.default_rng(3)) for _ in range(2))
    other = recorded(power, mask, np.random.default_rng(4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert bool((first >= 0).all())
    assert bool(first.isfinite().all())


def test_spectra_equal_whispers_own_features():
    from transformers import WhisperFeatureExtractor

    samples = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    own = clips.log_mel(torch.from_numpy(samples)).T[None]
    ours = clips.features(own, torch.ones(1, own.shape[2], dtype=torch.bool))[0]
    theirs = WhisperFeatureExtractor()(samples, sampling_rate=16_000).input_features[0][:, : own.shape[2]]
    np.testing.assert_allclose(ours[:, 1:-2], theirs[:, 1:-2], atol=1e-4)  # the ends see other padding


def test_batches_hold_every_clip_once_and_not_too_many_frames():
    lengths = np.random.default_rng(0).integers(10, 90, 50)
    batches = list(clips.by_length(lengths, 200))
    assert sorted(np.concatenate(batches)) == list(range(50))
    assert all(len(batch) * lengths[batch].max() <= 200 for batch in batches)


def test_the_student_has_the_recipes_shape_and_names_of_whisper():
    student = new_student(EncoderRecipe(width=32, heads=2, feed_forward=48), window_seconds=2.0)
    frames, _ = student(torch.randn(2, 80, 40))
    assert frames.shape == (2, 3, 20, 32)
    assert "layers.0.self_attn.q_proj.weight" in student.state_dict()
    with pytest.raises(SpeechLengthError):
        student(torch.randn(1, 80, 202))


@pytest.fixture(scope="module")
def school(tmp_path_factory):
    """A teacher, and noise of many colours for it to listen to."""
    folder = tmp_path_factory.mktemp("school")
    random = np.random.default_rng(0)
    frames = random.integers(20, 60, 40)
    starts = np.concatenate([[0], np.cumsum(frames)[:-1]])
    with open(folder / "spectra.f16", "wb") as file:
        for count in frames:
            colour = random.normal(-2, 1.5, (1, 80)) + random.normal(0, 0.5, (2 * count, 80))
            file.write(colour.astype(np.float16).tobytes())
    np.savez(folder / "spectra.npz", starts=starts, frames=frames)
    teacher = Teacher(save_whisper(folder / "whisper"), (1, 2))
    recipe = EncoderRecipe(
        width=16, layers=2, heads=2, feed_forward=24, student_layers=(1, 2), steps=30, together_steps=30,
        seconds_per_batch=4.0, learning_rate=1e-2, together_learning_rate=1e-2,
    )  # fmt: skip
    return folder, recipe, clips.Spectra(folder), teacher


def test_passing_through_part_by_part_is_what_the_encoder_does(school):
    *_, teacher = school
    encoder = teacher.encoder.float()
    features, mask = torch.randn(2, 80, 60), torch.ones(2, 60, dtype=torch.bool)
    mask[1, 40:] = False
    heard = pass_through(encoder, features, mask)
    expected = encoder.run(*encoder.begin(features, mask), 0, 2)
    for number, state in enumerate(heard.states[:2]):
        torch.testing.assert_close(state, expected[number])
    torch.testing.assert_close(encoder.layer_norm(heard.states[2]), expected[2])
    teacher.encoder.bfloat16()


def test_lessons_are_the_same_from_wherever_one_goes_on(school):
    _, recipe, spectra, _ = school
    whole, later = Lessons(recipe, spectra, 0), Lessons(recipe, spectra, 0)
    for step in range(12):
        features, mask = whole[step]
        assert bool(features.isfinite().all())
        assert mask.sum(1).min() >= 8
    assert torch.equal(later[11][0], features)
    assert not torch.equal(Lessons(recipe, spectra, 1)[0][0], whole[0][0])


@needs_muon
def test_the_learner_steps_as_the_optimizers_do_and_its_copy_follows():
    torch.manual_seed(0)
    learner = Learner(nn.Sequential(nn.Conv1d(3, 4, 2), nn.Flatten(), nn.Linear(4, 2)), EncoderRecipe(weight_decay=0.1))
    before = {name: tensor.clone() for name, tensor in learner.master.state_dict().items()}
    working = learner.ready()
    working(torch.randn(5, 3, 2).bfloat16()).square().sum().backward()
    gradients = {name: weight.grad.float() for name, weight in working.named_parameters()}
    learner.learn(0.01)
    length = torch.cat([gradient.flatten() for gradient in gradients.values()]).norm()
    for name, weight in learner.master.named_parameters():
        expected = nn.Parameter(before[name].flatten(1) if weight.ndim > 1 else before[name])
        expected.grad = (gradients[name] * min(1.0, 1.0 / length)).view(expected.shape)
        if weight.ndim > 1:
            alone = torch.optim.Muon([expected], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
        else:
            alone = torch.optim.AdamW([expected], lr=0.005, weight_decay=0.1, betas=(0.9, 0.98))
        alone.step()
        torch.testing.assert_close(weight.data.view(expected.shape), expected.data, atol=1e-4, rtol=1e-3)
        assert torch.equal(learner.ready().get_parameter(name), weight.bfloat16())


@needs_muon
def test_the_student_comes_close_to_the_teacher_and_goes_on_where_it_was_stopped(school, tmp_path, monkeypatch):
    _, recipe, spectra, teacher = school
    monkeypatch.setattr(distillation, "SAVED_EVERY", 20)
    monkeypatch.setattr(distillation, "MEASURED_BATCHES", 6)
    monkeypatch.setattr(distillation, "WARM_UP", 3)
    monkeypatch.setattr(distillation, "LOGGED_EVERY", 10)
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    log = []
    weights = distil(recipe, 2.0, tmp_path / "whole", spectra, teacher, 0, log.append)
    taught, alone = log[:3], log[3:]
    for phase, names in ((taught, ("frames_0", "frames_2", "halfway_1")), (alone, ("stem", "frames_1", "frames_2"))):
        for name in names:
            assert phase[-1][name] < 0.9 * phase[0][name], name

    class Stopped(Exception):
        pass

    def stop(values):
        if values["step"] == 50:
            raise Stopped

    with pytest.raises(Stopped):
        distil(recipe, 2.0, tmp_path / "parts", spectra, teacher, 0, stop)
    resumed = distil(recipe, 2.0, tmp_path / "parts", spectra, teacher, 0, lambda _: None)
    assert all(torch.equal(resumed[name], weights[name]) for name in weights)

    student = new_student(recipe, 2.0).eval()
    student.load_state_dict(weights)
    heard = hear(student, spectra, tmp_path / "heard.f16")
    clip = 7
    features = clips.features(
        torch.from_numpy(spectra[clip].astype(np.float32)).T[None],
        torch.ones(1, 2 * spectra.frames[clip], dtype=torch.bool),
    )
    alone, _ = student(features)
    alone = torch.nn.functional.layer_norm(alone, alone.shape[-1:])[0]
    kept = torch.from_numpy(np.array(heard.frames[heard.starts[clip] : heard.starts[clip] + heard.lengths[clip]]))
    torch.testing.assert_close(kept.float().transpose(0, 1), alone, atol=2e-2, rtol=1e-2)
    torch.testing.assert_close(heard.means[clip], alone.mean(1), atol=1e-3, rtol=1e-3)


def test_other_voices_keep_an_even_length_and_change_the_sound():
    spectra = torch.randn(60, 80)
    voices = [another_voice(spectra, np.random.default_rng(seed)) for seed in range(30)]
    assert {len(voice) % 2 for voice in voices} == {0}
    assert len({len(voice) for voice in voices}) > 3
    assert any(len(voice) == 60 and torch.equal(voice, spectra.flip(0)) for voice in voices)


def test_recipes_refuse_what_they_do_not_know():
    with pytest.raises(TinyRecipeError, match=r"encoder\.deptth"):
        TinyRecipe.from_dict({"encoder": {"deptth": 3}})


def test_the_published_recipe_reads():
    from pathlib import Path

    path = Path(__file__).parents[2] / "training" / "recipes" / "mser-tiny.yaml"
    recipe = TinyRecipe.from_yaml(path)
    assert recipe.corpora == ("crema_d", "emodb", "nemo", "emotiontts_ko")
    assert recipe.encoder.width == 512
