"""Packed weights: how far they are off, how small they get, and checkpoints made of them."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import save_bert, save_llm, save_whisper
from transformers import AutoModel

from hf_mser import MSERForEmotionGeneration
from hf_mser.backbones import read_weights
from hf_mser.packing import SCALE, SMALLEST, pack, unpack


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 60),
    size=st.sampled_from([1e-30, 1e-4, 1.0, 1e4]),
    seed=st.integers(0, 99),
)
def test_no_number_moves_by_more_than_half_a_step_of_its_row(rows, columns, size, seed):
    matrix = size * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    packed = pack({"a": matrix})
    back = unpack(packed)["a"].float()
    if matrix.numel() < SMALLEST:
        assert torch.equal(back, matrix.half().float())
    else:
        step = matrix.abs().amax(1, keepdim=True) / 127
        assert bool(((back - matrix).abs() <= 0.5001 * step).all())


def test_what_is_named_stays_exact():
    measured = torch.randn(3, 2, 512) * torch.logspace(-3, 2, 512)
    packed = pack({"mean": measured, "matrix": measured}, exact={"mean"})
    assert torch.equal(packed["mean"], measured)
    assert set(packed) == {"mean", "matrix", "matrix" + SCALE}


def test_silent_rows_convolutions_and_whole_numbers_survive():
    kernel = torch.randn(16, 8, 9)
    kernel[3] = 0
    weights = {"kernel": kernel, "count": torch.arange(5000), "bias": torch.randn(2000)}
    packed = pack(weights)
    assert packed["kernel"].dtype == torch.int8
    assert packed["kernel" + SCALE].shape == (16,)
    back = unpack(packed)
    assert set(back) == set(weights)
    assert back["kernel"].shape == kernel.shape
    assert bool((back["kernel"][3] == 0).all())
    assert torch.equal(back["count"], weights["count"])
    assert torch.equal(back["bias"], weights["bias"].half())


def test_a_packed_checkpoint_is_small_answers_alike_and_saves_as_an_ordinary_one(tmp_path):
    model = MSERForEmotionGeneration.from_backbones(
        save_whisper(tmp_path / "whisper"), save_llm(tmp_path / "llm", "llama3"), save_bert(tmp_path / "bert")
    ).eval()
    model.save_pretrained(tmp_path / "packed", full=True, packed=True)
    model.save_pretrained(tmp_path / "plain", full=True)
    size = {name: (tmp_path / name / "model.safetensors").stat().st_size for name in ("packed", "plain")}
    assert size["packed"] < 0.5 * size["plain"]
    assert model.config.packed is False

    loaded = MSERForEmotionGeneration.from_pretrained(tmp_path / "packed").eval()
    features = torch.randn(2, 80, 120)
    difference = loaded.score_emotions(features).softmax(-1) - model.score_emotions(features).softmax(-1)
    assert difference.abs().max() < 0.02
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    loaded.save_pretrained(tmp_path / "again")
    again = AutoModel.from_pretrained(tmp_path / "again").eval()
    assert torch.equal(again.score_emotions(features), loaded.score_emotions(features))
    assert not any(name.endswith(SCALE) for name in read_weights(tmp_path / "again")[0])


def test_a_packed_connector_fetches_its_backbones(tmp_path):
    model = MSERForEmotionGeneration.from_backbones(
        save_whisper(tmp_path / "whisper"), save_llm(tmp_path / "llm", "llama3"), save_bert(tmp_path / "bert")
    ).eval()
    model.save_pretrained(tmp_path / "packed", packed=True)
    loaded = MSERForEmotionGeneration.from_pretrained(tmp_path / "packed").eval()
    assert torch.equal(loaded.speech_encoder.conv1.weight, model.speech_encoder.conv1.weight)
    features = torch.randn(1, 80, 80)
    difference = loaded.score_emotions(features).softmax(-1) - model.score_emotions(features).softmax(-1)
    assert difference.abs().max() < 0.02
