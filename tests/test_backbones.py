"""Where frozen weights come from, and the proof that they are the right ones."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import QFORMER, llm, save_bert, save_llm, save_whisper

from hf_mser import EmotionQFormerConfig
from hf_mser.backbones import (
    BackboneError,
    checksum,
    fingerprint,
    qformer_weights,
    read_weights,
    speech_encoder_weights,
    verify,
)
from hf_mser.connector import EmotionQFormer
from hf_mser.errors import MSERError


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    return save_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_bert(tmp_path_factory.mktemp("bert"))


def rename(source, target, new_name) -> None:
    """A checkpoint with other names for its tensors; no name, no tensor."""
    target.mkdir()
    tensors = {new_name(name): tensor for name, tensor in load_file(source / "model.safetensors").items()}
    tensors.pop(None, None)
    save_file(tensors, target / "model.safetensors", {"format": "pt"})


def test_weights_in_one_file_or_several_are_the_same(tmp_path):
    model = llm("llama3")
    model.save_pretrained(tmp_path / "one")
    model.save_pretrained(tmp_path / "several", max_shard_size="5KB")
    assert len(list((tmp_path / "several").glob("*.safetensors"))) > 1
    one, _ = read_weights(tmp_path / "one")
    several, _ = read_weights(tmp_path / "several")
    assert one.keys() == several.keys()
    assert fingerprint(one) == fingerprint(several)


def test_a_missing_folder_and_a_folder_without_weights_are_named(tmp_path):
    with pytest.raises(BackboneError, match="nowhere"):
        read_weights(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackboneError, match=r"empty.*no complete safetensors weights.*save_pretrained"):
        read_weights(tmp_path / "empty")


def test_a_missing_shard_is_named(tmp_path):
    llm("llama3").save_pretrained(tmp_path, max_shard_size="5KB")
    next(tmp_path.glob("*.safetensors")).unlink()
    with pytest.raises(BackboneError, match="no complete safetensors weights"):
        read_weights(tmp_path)


def test_errors_are_caught_as_the_packages_and_as_the_systems():
    assert issubclass(BackboneError, MSERError)
    assert issubclass(BackboneError, OSError)


def test_the_encoder_of_a_whole_whisper_or_of_its_inner_model(whisper, tmp_path):
    rename(whisper, tmp_path / "inner", lambda name: name.removeprefix("model."))
    rename(whisper, tmp_path / "outer", lambda name: "model." + name.removeprefix("model."))
    inner, _ = speech_encoder_weights(tmp_path / "inner")
    outer, _ = speech_encoder_weights(tmp_path / "outer")
    assert fingerprint(inner) == fingerprint(outer)
    assert "conv1.weight" in inner
    assert not any("decoder" in name for name in inner)


def test_what_is_no_whisper_is_refused(tmp_path):
    folder = save_llm(tmp_path, "llama3")
    with pytest.raises(BackboneError, match=r"no Whisper checkpoint\. It holds .*lm_head\.weight"):
        speech_encoder_weights(folder)


def test_berts_tensors_land_under_the_q_formers_names(bert):
    config = EmotionQFormerConfig(**QFORMER)
    wanted = EmotionQFormer(config, 8).qformer.state_dict()
    found = qformer_weights(bert, wanted)
    original = load_file(bert / "model.safetensors")
    pairs = {
        "layernorm.weight": "embeddings.LayerNorm.weight",
        "encoder.layer.1.attention.attention.query.weight": "encoder.layer.1.attention.self.query.weight",
        "encoder.layer.1.attention.output.dense.bias": "encoder.layer.1.attention.output.dense.bias",
        "encoder.layer.0.intermediate_query.dense.weight": "encoder.layer.0.intermediate.dense.weight",
        "encoder.layer.0.output_query.LayerNorm.bias": "encoder.layer.0.output.LayerNorm.bias",
    }
    for ours, berts in pairs.items():
        assert torch.equal(found[ours], original[berts])
    new = {name for name in wanted if name not in found}
    assert new
    assert all("crossattention" in name for name in new)


def test_old_bert_names_with_gamma_and_prefix_are_understood(bert, tmp_path):
    def old(name: str) -> str:
        return "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")

    rename(bert, tmp_path / "old", old)
    wanted = EmotionQFormer(EmotionQFormerConfig(**QFORMER), 8).qformer.state_dict()
    assert fingerprint(qformer_weights(tmp_path / "old", wanted)) == fingerprint(qformer_weights(bert, wanted))


def test_a_bert_of_another_size_is_refused_with_the_cure(bert):
    wanted = EmotionQFormer(EmotionQFormerConfig(**{**QFORMER, "intermediate_size": 30}), 8).qformer.state_dict()
    with pytest.raises(BackboneError, match="Give qformer_config the hidden_size and intermediate_size"):
        qformer_weights(bert, wanted)


def test_what_is_no_bert_is_refused(whisper):
    with pytest.raises(BackboneError, match="nothing that a Q-Former can start from"):
        qformer_weights(whisper, EmotionQFormer(EmotionQFormerConfig(**QFORMER), 8).qformer.state_dict())


def test_the_fingerprint_sees_every_bit_name_shape_and_type():
    weights = {"a": torch.arange(6.0), "b": torch.ones(2)}
    first = fingerprint(weights)
    assert fingerprint({"b": torch.ones(2), "a": torch.arange(6.0)}) == first
    flipped = torch.arange(6.0)
    flipped[3] = torch.nextafter(flipped[3], torch.tensor(9.0))
    swapped = torch.tensor([1.0, 0.0, 2.0, 3.0, 4.0, 5.0])
    others = [
        {"a": flipped, "b": torch.ones(2)},
        {"a": swapped, "b": torch.ones(2)},
        {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(2)},
        {"a": torch.arange(6.0).double(), "b": torch.ones(2)},
        {"a": torch.arange(6.0), "c": torch.ones(2)},
        {"a": torch.arange(6.0)},
    ]
    assert len({first, *map(fingerprint, others)}) == 7
    verify("speech", weights, {"id": "x", "sha256": first})
    with pytest.raises(BackboneError, match=r"speech backbone x \(revision unpinned\) differs"):
        verify("speech", others[0], {"id": "x", "sha256": first})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_the_checksum_notices_a_changed_number(dtype):
    weights = {"a": torch.arange(6).to(dtype)}
    before = checksum(weights)
    assert checksum({"a": weights["a"].clone()}) == before
    weights["a"][2] = 7
    assert checksum(weights) != before
