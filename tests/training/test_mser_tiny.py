"""How mser-tiny is made: words, domains, recording conditions, and the parts of the distillation."""

import numpy as np
import pytest
import torch

from hf_mser.emotions import EMOTIONS, SYNONYMS
from hf_mser.training.tiny import clips, domains, words
from hf_mser.training.tiny.distillation import new_student
from hf_mser.training.tiny.recipe import DecoderRecipe, EncoderRecipe, TinyRecipe, TinyRecipeError
from hf_mser.training.tiny.recording import recorded

PROMPT = "{audio} The speaker sounds"


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


def test_a_domain_is_what_numpy_says_of_all_frames():
    random = np.random.default_rng(0)
    frames = [random.normal(2.0, 3.0, (count, 1, 4)) for count in (5, 9, 30)]
    means = torch.tensor(np.stack([own.mean(0) for own in frames]))
    stds = torch.tensor(np.stack([own.std(0) for own in frames]))
    domain = domains.measure(means, stds, torch.tensor([5.0, 9.0, 30.0]))
    everything = np.concatenate(frames)
    np.testing.assert_allclose(domain["frame_mean"], everything.mean(0), rtol=1e-5)
    np.testing.assert_allclose(domain["frame_std"], everything.std(0), rtol=1e-5)
    np.testing.assert_allclose(domain["statistics_mean"][:, 0], means.mean(0), rtol=1e-5)


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


def test_balance_makes_emotions_equal_within_a_corpus():
    corpus = np.array(["a"] * 4 + ["b"])
    weights = clips.balanced(corpus, np.array([0, 0, 0, 1, -1]))
    assert weights[:3].sum() == pytest.approx(weights[3])
    assert weights[4] == 0


def test_batches_hold_every_clip_once_and_not_too_many_frames():
    lengths = np.random.default_rng(0).integers(10, 90, 50)
    batches = list(clips.by_length(lengths, 200))
    assert sorted(np.concatenate(batches)) == list(range(50))
    assert all(len(batch) * lengths[batch].max() <= 200 for batch in batches)


def test_the_student_has_the_recipes_shape_and_names_of_whisper():
    student = new_student(EncoderRecipe(width=32, heads=2))
    frames, _ = student(torch.randn(2, 80, 40))
    assert frames.shape == (2, 3, 20, 32)
    assert "layers.0.self_attn.q_proj.weight" in student.state_dict()


def test_recipes_refuse_what_they_do_not_know():
    with pytest.raises(TinyRecipeError, match=r"encoder\.deptth"):
        TinyRecipe.from_dict({"encoder": {"deptth": 3}})


def test_the_published_recipe_reads():
    from pathlib import Path

    path = Path(__file__).parents[2] / "training" / "recipes" / "mser-tiny.yaml"
    recipe = TinyRecipe.from_yaml(path)
    assert recipe.corpora == ("crema_d", "emodb", "nemo", "emotiontts_ko")
    assert recipe.encoder.width == 256
