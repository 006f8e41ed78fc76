"""Saving and loading: bit-equal scores, connector checkpoints, and every way in which they could go wrong."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import features, put_together, read_json, save_llm, save_whisper, tiny_model

from hf_mser import MSERForEmotionGeneration, MSERProcessor
from hf_mser.backbones import BackboneError
from hf_mser.modeling_mser import MSERModelError

PARTS = {"speech_encoder", "connector", "text_model"}


@pytest.fixture
def home(tmp_path):
    """Backbones, and a model made from them with a connector that says something."""
    model, _ = put_together(tmp_path)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.connector.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return tmp_path, model


def parts_in(folder: Path) -> set[str]:
    names = [name for file in folder.glob("*.safetensors") for name in load_file(file)]
    return {name.split(".")[0] for name in names}


def scores(model: MSERForEmotionGeneration) -> torch.Tensor:
    sound, mask = features([20, 33, 51])
    return model.score_emotions(sound, input_features_mask=mask)


@pytest.mark.parametrize("family", ["llama3", "smollm", "gemma"])
def test_a_model_without_named_backbones_is_saved_whole_and_bit_equal(tmp_path, family):
    model = tiny_model(family)
    model.save_pretrained(tmp_path)
    assert parts_in(tmp_path) == PARTS
    loaded = MSERForEmotionGeneration.from_pretrained(tmp_path)
    assert torch.equal(scores(loaded), scores(model))
    assert not loaded.training


def test_a_connector_checkpoint_holds_the_connector_alone(home):
    folder, model = home
    model.save_pretrained(folder / "saved")
    assert parts_in(folder / "saved") == {"connector"}
    saved = load_file(folder / "saved" / "model.safetensors")
    assert saved.keys() == {f"connector.{name}" for name in model.connector.state_dict()}
    config = read_json(folder / "saved" / "config.json")
    assert config["connector_only"] is True
    assert config["backbones"]["speech"]["id"] == str(folder / "whisper")
    loaded, report = MSERForEmotionGeneration.from_pretrained(folder / "saved", output_loading_info=True)
    assert torch.equal(scores(loaded), scores(model))
    assert not report["missing_keys"]
    assert set(report["loaded_keys"]) == set(model.state_dict())
    assert loaded.name_or_path == str(folder / "saved")


def test_a_loaded_connector_checkpoint_saves_as_one_again(home):
    folder, model = home
    model.save_pretrained(folder / "first")
    MSERForEmotionGeneration.from_pretrained(folder / "first").save_pretrained(folder / "second")
    for name in ("config.json", "model.safetensors"):
        assert (folder / "second" / name).read_bytes() == (folder / "first" / name).read_bytes()


def test_full_writes_everything_and_needs_no_backbone(home):
    folder, model = home
    model.save_pretrained(folder / "saved", full=True)
    assert parts_in(folder / "saved") == PARTS
    for name in ("whisper", "llama3", "bert"):
        shutil.rmtree(folder / name)
    loaded = MSERForEmotionGeneration.from_pretrained(folder / "saved")
    assert torch.equal(scores(loaded), scores(model))
    assert loaded.config.connector_only is False


@pytest.mark.parametrize("part", ["speech_encoder", "text_model"])
def test_changed_backbones_are_saved_however_often(home, part):
    folder, model = home
    with torch.no_grad():
        next(iter(getattr(model, part).parameters())).add_(0.5)
    for turn in ("first", "second", "third"):
        model.save_pretrained(folder / turn)
        assert parts_in(folder / turn) == PARTS
        loaded = MSERForEmotionGeneration.from_pretrained(folder / turn)
        assert torch.equal(scores(loaded), scores(model))
        model = loaded


def test_random_weights_under_a_config_that_names_backbones_are_saved(home):
    folder, model = home
    torch.manual_seed(9)
    other = MSERForEmotionGeneration(model.config).eval()
    expected = scores(other)
    other.save_pretrained(folder / "saved")
    loaded = MSERForEmotionGeneration.from_pretrained(folder / "saved")
    loaded.save_pretrained(folder / "again")
    assert torch.equal(scores(MSERForEmotionGeneration.from_pretrained(folder / "again")), expected)


@pytest.mark.parametrize(("part", "remake"), [("speech", save_whisper), ("text", save_llm)])
def test_another_backbone_under_the_same_name_is_refused(home, part, remake):
    folder, model = home
    model.save_pretrained(folder / "saved")
    if part == "speech":
        save_whisper(folder / "whisper", seed=77)
    else:
        save_llm(folder / "llama3", "llama3", seed=77)
    with pytest.raises(BackboneError, match=f"The {part} backbone .*differs.*Fetch the original weights"):
        MSERForEmotionGeneration.from_pretrained(folder / "saved")


@pytest.mark.parametrize(("name", "which"), [("whisper", "whisper"), ("llama3", "llama3")])
def test_a_missing_backbone_is_named(home, name, which):
    folder, model = home
    model.save_pretrained(folder / "saved")
    shutil.rmtree(folder / name)
    with pytest.raises(BackboneError, match=which):
        MSERForEmotionGeneration.from_pretrained(folder / "saved")


def test_a_connector_alone_without_named_backbones_is_refused(home):
    folder, model = home
    model.save_pretrained(folder / "saved")
    config = model.config
    config.backbones, config.connector_only = None, True
    config.save_pretrained(folder / "saved")
    with pytest.raises(BackboneError, match="does not name the backbones"):
        MSERForEmotionGeneration.from_pretrained(folder / "saved")


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("lost", ["connector.query_tokens", "connector.text_projection.weight", "connector.frame_mean"])
def test_a_checkpoint_that_lacks_a_connector_weight_is_refused(home, full, lost):
    folder, model = home
    model.save_pretrained(folder / "saved", full=full)
    file = folder / "saved" / "model.safetensors"
    save_file({name: tensor for name, tensor in load_file(file).items() if name != lost}, file, {"format": "pt"})
    with pytest.raises(MSERModelError, match=f"lacks 1 weights of this model, such as '{lost}'"):
        MSERForEmotionGeneration.from_pretrained(folder / "saved")


def test_a_full_checkpoint_that_lacks_an_encoder_weight_is_refused(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    lost = "speech_encoder.layers.0.fc1.weight"
    save_file({name: tensor for name, tensor in load_file(file).items() if name != lost}, file, {"format": "pt"})
    with pytest.raises(MSERModelError, match=lost):
        MSERForEmotionGeneration.from_pretrained(tmp_path)


def test_a_pickle_is_not_read(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    tiny_model().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"weight": Trap()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        MSERForEmotionGeneration.from_pretrained(tmp_path, use_safetensors=False)
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_of_another_size_is_refused(tmp_path):
    model = tiny_model()
    model.save_pretrained(tmp_path)
    config = tiny_model(qformer={"intermediate_size": 28}).config
    with pytest.raises((RuntimeError, ValueError), match=r"(?s)size|mismatch"):
        MSERForEmotionGeneration.from_pretrained(tmp_path, config=config)


def test_weights_in_half_precision_come_back_in_half_precision_and_the_connector_bit_equal(home):
    folder, model = home
    model.save_pretrained(folder / "saved")
    half = MSERForEmotionGeneration.from_pretrained(folder / "saved", dtype=torch.bfloat16)
    half.save_pretrained(folder / "half")
    assert parts_in(folder / "half") == {"connector"}
    again = MSERForEmotionGeneration.from_pretrained(folder / "half", dtype=torch.bfloat16)
    assert torch.equal(scores(again), scores(half))
    for name, tensor in model.connector.state_dict().items():
        assert torch.equal(again.connector.state_dict()[name], tensor)


def test_a_state_dict_of_ones_own_is_what_gets_saved(home):
    folder, model = home
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights["connector.frame_mean"] += 1
    model.save_pretrained(folder / "saved", state_dict=weights)
    assert parts_in(folder / "saved") == {"connector"}
    loaded = MSERForEmotionGeneration.from_pretrained(folder / "saved")
    assert torch.equal(loaded.connector.frame_mean, model.connector.frame_mean + 1)


def test_a_state_dict_with_other_backbones_is_saved_whole(home):
    folder, model = home
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights["speech_encoder.conv1.bias"] += 1
    model.save_pretrained(folder / "saved", state_dict=weights)
    assert parts_in(folder / "saved") == PARTS
    loaded = MSERForEmotionGeneration.from_pretrained(folder / "saved")
    assert torch.equal(loaded.speech_encoder.conv1.bias, model.speech_encoder.conv1.bias + 1)


def test_a_state_dict_of_the_connector_alone_is_enough(home):
    folder, model = home
    weights = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("connector.")}
    model.save_pretrained(folder / "saved", state_dict=weights)
    assert parts_in(folder / "saved") == {"connector"}
    assert torch.equal(scores(MSERForEmotionGeneration.from_pretrained(folder / "saved")), scores(model))


def test_connector_checkpoints_in_several_files(home):
    folder, model = home
    model.save_pretrained(folder / "saved", max_shard_size="5KB")
    assert len(list((folder / "saved").glob("*.safetensors"))) > 1
    assert torch.equal(scores(MSERForEmotionGeneration.from_pretrained(folder / "saved")), scores(model))


def test_a_new_vocabulary_is_a_change_that_is_saved(home):
    folder, model = home
    model.resize_token_embeddings(400)
    model.save_pretrained(folder / "saved")
    assert parts_in(folder / "saved") == PARTS
    loaded = MSERForEmotionGeneration.from_pretrained(folder / "saved")
    assert loaded.get_input_embeddings().weight.shape[0] == 400
    assert torch.equal(scores(loaded), scores(model))


def test_settings_at_loading_reach_the_config(home):
    folder, model = home
    model.save_pretrained(folder / "saved")
    loaded = MSERForEmotionGeneration.from_pretrained(folder / "saved", score_normalization="mean", temperature=2.0)
    assert loaded.config.score_normalization == "mean"
    assert loaded.config.temperature == 2.0


def test_adapters_of_peft_train_and_save_the_connector(home):
    peft = pytest.importorskip("peft")
    folder, model = home
    wrapped = peft.get_peft_model(
        model,
        peft.LoraConfig(
            r=2, target_modules=r"text_model.*\.(q_proj|v_proj)", modules_to_save=["connector"], init_lora_weights=False
        ),
    )
    trained = {name for name, parameter in wrapped.named_parameters() if parameter.requires_grad}
    assert any("lora_A" in name for name in trained)
    assert any("connector" in name for name in trained)
    assert not any("speech_encoder" in name for name in trained)
    wrapped.save_pretrained(folder / "adapter")
    names = set(load_file(folder / "adapter" / "adapter_model.safetensors"))
    assert sum("connector" in name for name in names) == len(model.connector.modules_to_save["default"].state_dict())


def test_the_processor_travels(home):
    folder, model = home
    processor = MSERProcessor.from_backbones(model.config)
    processor.save_pretrained(folder / "saved")
    loaded = MSERProcessor.from_pretrained(folder / "saved")
    for name in ("prompt", "labels", "num_speech_tokens", "pad_to_30s", "audio_token_id"):
        assert getattr(loaded, name) == getattr(processor, name)
    assert loaded.tokenize_prompt(2)["input_ids"].tolist() == [model.config.prompt_ids] * 2
    assert loaded.candidate_ids(loaded.labels) == model.config.candidate_ids


def test_backbones_of_the_hub_are_pinned_to_the_revision_they_had(home):
    """A cache as the Hub's client fills it; then `main` moves on, and the old revision must still be the one."""
    folder, _ = home
    cache, old, new = folder / "cache", "a" * 40, "b" * 40
    for name, source in (("whisper", folder / "whisper"), ("llm", folder / "llama3")):
        shutil.copytree(source, cache / f"models--org--{name}" / "snapshots" / old)
        (cache / f"models--org--{name}" / "refs").mkdir()
        (cache / f"models--org--{name}" / "refs" / "main").write_text(old)
    hub = {"cache_dir": cache, "local_files_only": True}
    qformer = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = MSERForEmotionGeneration.from_backbones("org/whisper", "org/llm", None, qformer_config=qformer, **hub)
    assert {part: pin["revision"] for part, pin in model.config.backbones.items()} == {"speech": old, "text": old}
    model.save_pretrained(folder / "saved")

    save_whisper(cache / "models--org--whisper" / "snapshots" / new, seed=77)
    (cache / "models--org--whisper" / "refs" / "main").write_text(new)
    loaded = MSERForEmotionGeneration.from_pretrained(folder / "saved", **hub)
    assert torch.equal(scores(loaded), scores(model))

    shutil.rmtree(cache / "models--org--whisper" / "snapshots" / old)
    with pytest.raises(BackboneError, match=rf"org/whisper \(revision {old}\)"):
        MSERForEmotionGeneration.from_pretrained(folder / "saved", **hub)
