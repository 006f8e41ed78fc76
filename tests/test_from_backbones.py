"""A new model from pretrained parts: what was loaded, what is new, and that nothing is random by accident."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import FAMILIES, QFORMER, put_together, save_bert, save_llm, save_whisper, tone
from transformers import AutoModelForCausalLM, WhisperModel

from hf_mser import EMOTIONS, MSERForEmotionGeneration, MSERProcessor
from hf_mser.backbones import BackboneError

SIZES = {"num_query_tokens": 3, "embedding_size": 8}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return {
        "speech": save_whisper(folder / "whisper"),
        "text": save_llm(folder / "llm", "llama3"),
        "qformer": save_bert(folder / "bert"),
    }


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_hears_speaks_and_scores(tmp_path, family, mels):
    model, processor = put_together(tmp_path, family, mels)
    inputs = processor(audio=[tone(0.5), tone(0.8, 400)], sampling_rate=16_000)
    scores = model.score_emotions(**inputs)
    assert scores.shape == (2, 7)
    assert torch.isfinite(scores).all()
    assert not torch.allclose(scores[0], scores[1], atol=1e-3)
    output = model(**processor(audio=tone(0.5), sampling_rate=16_000, labels="sad"))
    answer = model.config.candidate_ids[EMOTIONS.index("sad")]
    sad = model.score_emotions(**processor(audio=tone(0.5), sampling_rate=16_000))[0, EMOTIONS.index("sad")]
    torch.testing.assert_close(output.loss, -sad / len(answer), atol=1e-4, rtol=0)
    written = model.generate(**inputs, max_new_tokens=2)
    assert written.shape[0] == 2


def test_backbones_are_bit_equal_to_their_checkpoints(parts):
    model = MSERForEmotionGeneration.from_backbones(**parts, qformer_config=SIZES)
    speech = WhisperModel.from_pretrained(parts["speech"]).encoder.state_dict()
    text = AutoModelForCausalLM.from_pretrained(parts["text"]).state_dict()
    assert model.speech_encoder.state_dict().keys() == speech.keys()
    assert all(torch.equal(tensor, speech[name]) for name, tensor in model.speech_encoder.state_dict().items())
    assert all(torch.equal(tensor, text[name]) for name, tensor in model.text_model.state_dict().items())


def test_the_report_tells_what_is_loaded_and_what_is_new(parts):
    model, report = MSERForEmotionGeneration.from_backbones(**parts, qformer_config=SIZES, output_loading_info=True)
    loaded, new = set(report["loaded_keys"]), set(report["missing_keys"])
    assert loaded | new == set(model.state_dict())
    assert loaded.isdisjoint(new)
    assert all(name.startswith("connector.") for name in new)
    assert {f"speech_encoder.{name}" for name in model.speech_encoder.state_dict()} <= loaded
    of_qformer = {name for name in new if name.startswith("connector.qformer.")}
    assert of_qformer
    assert all("crossattention" in name for name in of_qformer)
    bert = load_file(parts["qformer"] / "model.safetensors")
    found = model.connector.qformer.encoder.layer[1].attention.attention.key.weight
    assert torch.equal(found, bert["encoder.layer.1.attention.self.key.weight"])


def test_what_is_new_starts_as_it_should(parts):
    connector = MSERForEmotionGeneration.from_backbones(**parts, qformer_config=SIZES).connector
    assert connector.layer_weights.abs().max() == 0
    assert 0.005 < connector.query_tokens.std() < 0.05
    assert (connector.frame_std == 1).all()
    assert (connector.frame_mean == 0).all()
    assert connector.text_projection.weight.std() > 0


def test_without_a_bert_the_q_former_is_new(parts):
    model, report = MSERForEmotionGeneration.from_backbones(
        parts["speech"], parts["text"], None, qformer_config=QFORMER, output_loading_info=True
    )
    assert {name for name in model.state_dict() if name.startswith("connector.")} == set(report["missing_keys"])


def test_settings_reach_the_config(parts):
    model = MSERForEmotionGeneration.from_backbones(
        **parts, qformer_config=SIZES, labels=["calm", "tense"], speech_layers=[0, 1], score_normalization="mean"
    )
    assert model.config.labels == ["calm", "tense"]
    assert len(model.config.candidate_ids) == 2
    assert len(model.speech_encoder.layers) == 1
    assert model.config.score_normalization == "mean"
    assert MSERProcessor.from_backbones(model.config).labels == ["calm", "tense"]


def test_layers_that_are_not_read_are_not_asked_for(parts):
    model = MSERForEmotionGeneration.from_backbones(**parts, qformer_config=SIZES, speech_layers=[1])
    expected = WhisperModel.from_pretrained(parts["speech"]).encoder.layers[0].fc1.weight
    assert torch.equal(model.speech_encoder.layers[0].fc1.weight, expected)


def test_a_checkpoint_without_an_encoder_is_refused(parts, tmp_path):
    broken = save_whisper(tmp_path / "whisper")
    edit(broken, lambda name: "encoder." in name and "decoder" not in name)
    with pytest.raises(BackboneError, match="no Whisper checkpoint"):
        MSERForEmotionGeneration.from_backbones(broken, parts["text"], None, qformer_config=QFORMER)


def test_an_encoder_that_lacks_one_tensor_is_refused(parts, tmp_path):
    broken = save_whisper(tmp_path / "whisper")
    edit(broken, lambda name: name.endswith("encoder.layers.1.self_attn.k_proj.weight"))
    with pytest.raises(BackboneError, match=r"speech_encoder\.layers\.1\.self_attn\.k_proj\.weight.*random"):
        MSERForEmotionGeneration.from_backbones(broken, parts["text"], None, qformer_config=QFORMER)


def test_an_llm_that_lacks_one_tensor_is_refused(parts, tmp_path):
    broken = save_llm(tmp_path / "llm", "llama3")
    edit(broken, lambda name: name.endswith("layers.0.mlp.up_proj.weight"))
    with pytest.raises(BackboneError, match=r"text_model\.model\.layers\.0\.mlp\.up_proj\.weight"):
        MSERForEmotionGeneration.from_backbones(parts["speech"], broken, None, qformer_config=QFORMER)


def test_backbones_in_half_precision_and_by_part(parts):
    model = MSERForEmotionGeneration.from_backbones(
        **parts, qformer_config=SIZES, dtype=torch.bfloat16, attn_implementation={"text_config": "eager"}
    )
    assert model.text_model.dtype == torch.bfloat16
    assert model.connector.query_tokens.dtype == torch.float32
    assert model.text_model.config._attn_implementation == "eager"


def edit(folder, is_lost) -> None:
    """The checkpoint without the tensors whose names `is_lost` picks."""
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not is_lost(name)}
    assert len(kept) < len(tensors)
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
