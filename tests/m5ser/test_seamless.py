"""The Seamless translators: Transformers' own class at a tiny size, and the preflight of the gated one."""

import numpy as np
import pytest
import torch
from made_up_voices import voice
from tiny_seamless import save_tiny_seamless

from hf_mser.m5ser import PreflightError, SourceClip, TranslationError, translator

CLIP = SourceClip("c/1", voice(0.8).astype(np.float32), "en")
LONGER = SourceClip("c/2", voice(1.4, 220).astype(np.float32), "en")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_seamless(tmp_path_factory.mktemp("seamless"))


def test_m4t_speaks_at_16_khz_and_says_the_same_every_time(folder):
    m4t = translator("seamless-m4t", model=str(folder), max_new_tokens=6)
    m4t.preflight(["fr", "zh"])
    first = m4t.translate(CLIP, "fr")
    assert first.samples.dtype == np.float32
    assert first.samples.ndim == 1
    assert first.seconds > 0.025
    again = translator("seamless-m4t", model=str(folder), max_new_tokens=6).translate(CLIP, "fr")
    assert np.array_equal(again.samples, first.samples)
    assert again.text == first.text


def test_m4t_gives_what_the_model_itself_gives(folder):
    from transformers import AutoProcessor, SeamlessM4Tv2Model

    processor, model = AutoProcessor.from_pretrained(folder), SeamlessM4Tv2Model.from_pretrained(folder).eval()
    inputs = processor(audio=[CLIP.samples], sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        wave, length = model.generate(
            input_features=inputs["input_features"], tgt_lang="deu", text_max_new_tokens=6, num_beams=1, do_sample=False
        )
    expected = wave.reshape(-1)[: int(length.reshape(-1)[0])].numpy()
    made = translator("seamless-m4t", model=str(folder), max_new_tokens=6).translate(CLIP, "de")
    assert np.allclose(made.samples, expected, atol=1e-4)


def test_m4t_takes_batches_in_order(folder):
    m4t = translator("seamless-m4t", model=str(folder), max_new_tokens=6)
    batch = m4t.translate_batch([CLIP, LONGER], "es")
    assert len(batch) == 2
    assert all(not isinstance(result, Exception) for result in batch)


def test_one_bad_clip_of_a_batch_spoils_that_clip_alone(folder):
    m4t = translator("seamless-m4t", model=str(folder), max_new_tokens=6)
    empty = SourceClip("c/3", np.zeros(0, np.float32), "en")
    good, bad = m4t.translate_batch([CLIP, empty], "es")
    assert isinstance(bad, TranslationError)
    assert good.seconds > 0.025


def test_m4t_says_what_it_cannot_load(tmp_path):
    with pytest.raises(PreflightError, match="cannot be had"):
        translator("seamless-m4t", model=str(tmp_path)).preflight(["fr"])


def test_expressive_lists_everything_that_is_missing(tmp_path):
    (tmp_path / "pretssel_melhifigan_wm-final.pt").write_bytes(b"weights")
    with pytest.raises(PreflightError) as caught:
        translator("seamless-expressive", model=str(tmp_path)).preflight(["fr", "pl"])
    message = str(caught.value)
    assert "package: seamless_communication is not installed" in message
    assert "lacks m2m_expressive_unity.pt" in message
    assert "vocoder" not in message
    assert "licence: " in message
    assert "languages: it speaks en, fr, de, it, zh, es, not pl" in message
    with pytest.raises(PreflightError, match="no folder was given"):
        translator("seamless-expressive").preflight(["fr"])
    if not torch.cuda.is_available():
        with pytest.raises(PreflightError, match="PyTorch sees no GPU"):
            translator("seamless-expressive").preflight(["fr"], "cuda:0")
