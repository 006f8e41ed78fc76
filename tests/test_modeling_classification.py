"""The emotion classifier on tiny encoders of four families: its path, its adapters, its checkpoints, its pipelines."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from tiny_models import QFORMER, features, put_together, read_json, save_wave_encoder, save_whisper, tone
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForAudioClassification,
    AutoProcessor,
    pipeline,
)

from hf_mser import (
    MSERClassificationConfig,
    MSERForEmotionClassification,
    MSERForEmotionGeneration,
    MSERSpeechProcessor,
    SpeechEmotionPipeline,
)
from hf_mser.backbones import BackboneError
from hf_mser.configuration_mser import MSERConfigError
from hf_mser.encoder_adapters import EncoderAdapterError
from hf_mser.pretrained_speech import MSERModelError
from hf_mser.wave_encoder import TrueLengthWaveEncoder

FAMILIES = ("whisper", "wav2vec2", "hubert", "wavlm")
WAVES = [(family, stable) for family in FAMILIES[1:] for stable in (False, True)]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    save_whisper(folder / "whisper")
    for family in FAMILIES[1:]:
        save_wave_encoder(folder / family, family)
    return folder


def make(encoders, family, stir=True, **settings) -> MSERForEmotionClassification:
    torch.manual_seed(4)
    model = MSERForEmotionClassification.from_backbones(encoders / family, **settings).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if stir and weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.2)
    return model


def sound(family) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Two clips, the second shorter, and its length."""
    if family == "whisper":
        return *features([90, 57]), 57
    samples = torch.randn(2, 6000, generator=torch.Generator().manual_seed(1))
    return samples, (torch.arange(6000) < torch.tensor([6000, 3900])[:, None]).long(), 3900


@pytest.mark.parametrize(("family", "stable"), WAVES)
def test_the_path_is_that_of_transformers(tmp_path, family, stable):
    save_wave_encoder(tmp_path, family, stable=stable)
    reference = AutoModel.from_pretrained(tmp_path).eval()
    ours = TrueLengthWaveEncoder(reference.config, (0, 1, 2)).eval()
    ours.model.load_state_dict(reference.state_dict(), strict=False)
    samples = torch.randn(1, 5000)
    with torch.no_grad():
        states, expected = ours(samples)[0][0], reference(samples, output_hidden_states=True)
    for layer in (0, 1):
        torch.testing.assert_close(states[layer], expected.hidden_states[layer][0])
    torch.testing.assert_close(states[2], expected.last_hidden_state[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_gives_what_its_clips_give_alone(encoders, family):
    model = make(encoders, family, speech_layers="mix", frames_per_token=2, pooling="attentive")
    clips, mask, length = sound(family)
    with torch.no_grad():
        together = model(clips, mask)
        alone = [model(clips[:1]), model(clips[1:, ..., :length])]
    for row, single in enumerate(alone):
        torch.testing.assert_close(together.logits[row], single.logits[0], atol=1e-5, rtol=0)
    assert (together.logits[0] - together.logits[1]).abs().max() > 1e-2
    torch.testing.assert_close(together.speech_embeds.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("family", FAMILIES)
def test_adaptation_starts_at_the_pretrained_encoder_and_then_leaves_it(encoders, family):
    clips, mask, _ = sound(family)
    plain = make(encoders, family, stir=False, lora_rank=0, adapter_width=0, gating=False)
    for switches in (
        {},
        {"lora_rank": 0, "gating": False},
        {"adapter_width": 0, "gating": False},
        {"lora_rank": 0, "adapter_width": 0},
    ):
        adapted = make(encoders, family, stir=False, **switches)
        adapted.classifier.load_state_dict(plain.classifier.state_dict())
        with torch.no_grad():
            assert torch.equal(adapted(clips, mask).logits, plain(clips, mask).logits)
        loss = adapted(clips, mask, labels=torch.tensor([1, 2])).loss
        loss.backward()
        moved = {name for name, weight in adapted.named_parameters() if weight.grad is not None and weight.grad.any()}
        kinds = {"lora_": "lora_B", "adapters.bottlenecks": "up", "adapters.gates": "logits"}
        for kind, part in kinds.items():
            wanted = any(kind in name for name, _ in adapted.named_parameters())
            assert any(kind in name and part in name for name in moved) == wanted
        assert all("lora_" in name or not name.startswith("speech_encoder.") for name in moved)


def test_loras_of_all_layers_change_the_answer(encoders):
    """WavLM hands bare weights to PyTorch: an adapter that is bypassed would change nothing."""
    for family in FAMILIES:
        model = make(encoders, family, stir=False, adapter_width=0, gating=False)
        clips, mask, _ = sound(family)
        with torch.no_grad():
            before = model(clips, mask).logits
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.fill_(0.5)
            assert not torch.allclose(model(clips, mask).logits, before, atol=1e-4)


@pytest.mark.parametrize("family", ["whisper", "wavlm"])
def test_frames_computed_earlier_give_the_same(encoders, family):
    model = make(encoders, family, speech_layers=[1, 2], adapted_layers=1)
    assert model.config.frozen_layer_indices == (1,)
    clips, mask, _ = sound(family)
    with torch.no_grad():
        frames, frames_mask = model.encode_speech(clips, mask)
        direct = model(clips, mask).logits
        cached = model(speech_frames=frames, speech_frames_mask=frames_mask).logits
    assert torch.equal(cached, direct)
    frozen = set(model.frozen_speech())
    assert not any("lora_" in name for name in frozen)
    layers = "layers." if family == "whisper" else "model.encoder.layers."
    assert any(name.startswith(f"{layers}0.") for name in frozen)
    assert not any(name.startswith(f"{layers}1.") for name in frozen)


def test_pooling_is_a_mean_over_the_clip(encoders):
    model = make(encoders, "whisper", normalize_frames=False, adapted_layers=0)
    clips, mask, length = sound("whisper")
    with torch.no_grad():
        frames, _ = model.encode_speech(clips[1:, :, :length])
        pooled = model.connect_speech(clips, mask).pooled[1]
    torch.testing.assert_close(pooled, frames[0, 0].mean(0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_holds_what_was_trained_and_nothing_else(encoders, tmp_path, family):
    model = make(encoders, family, labels=["sad", "happy"], speech_layers=[1])
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    mixture = {"connector.frame_mean", "connector.frame_std", "connector.layer_weights"}
    assert set(saved) - mixture == trained - mixture
    config = read_json(tmp_path / "config.json")
    assert config["backbones"]["speech"]["id"] == str(encoders / family)
    loaded = MSERForEmotionClassification.from_pretrained(tmp_path).eval()
    clips, mask, _ = sound(family)
    with torch.no_grad():
        assert torch.equal(loaded(clips, mask).logits, model(clips, mask).logits)
    assert loaded.config.labels == ["sad", "happy"]
    loaded.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_a_full_checkpoint_needs_no_encoder_and_another_encoder_is_refused(tmp_path):
    save_whisper(tmp_path / "whisper")
    model = make(tmp_path, "whisper")
    model.save_pretrained(tmp_path / "small")
    model.save_pretrained(tmp_path / "full", full=True)
    save_whisper(tmp_path / "whisper", seed=77)
    with pytest.raises(BackboneError, match=r"The speech backbone .*differs"):
        MSERForEmotionClassification.from_pretrained(tmp_path / "small")
    shutil.rmtree(tmp_path / "whisper")
    clips, mask, _ = sound("whisper")
    loaded = MSERForEmotionClassification.from_pretrained(tmp_path / "full").eval()
    with torch.no_grad():
        assert torch.equal(loaded(clips, mask).logits, model(clips, mask).logits)


def test_an_encoder_that_learns_is_saved_whole(encoders, tmp_path):
    model = make(encoders, "whisper", freeze_speech=False)
    assert not model.frames_are_frozen
    model.save_pretrained(tmp_path)
    assert any(name.startswith("speech_encoder.conv1") for name in load_file(tmp_path / "model.safetensors"))


@pytest.mark.parametrize("family", FAMILIES)
def test_both_pipelines_answer_alike(encoders, tmp_path, family):
    model = make(encoders, family)
    MSERSpeechProcessor.from_backbones(model.config).save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    ours, stock = (pipeline(task, model=str(tmp_path)) for task in ("speech-emotion", "audio-classification"))
    assert type(ours) is SpeechEmotionPipeline
    assert type(stock.model) is MSERForEmotionClassification
    clip = tone(1.3)
    scores = {entry["label"]: entry["score"] for entry in ours({"array": clip, "sampling_rate": 16_000})}
    assert sum(scores.values()) == pytest.approx(1.0)
    for entry in stock({"raw": clip, "sampling_rate": 16_000}, top_k=None):
        assert entry["score"] == pytest.approx(scores[entry["label"]], abs=1e-4)


def test_the_pipeline_windows_embeds_chooses_and_adapts(encoders, tmp_path):
    model = make(encoders, "whisper")
    pipe = SpeechEmotionPipeline(model=model, processor=MSERSpeechProcessor.from_backbones(model.config))
    clips = [tone(seconds, pitch, seed) for seed, (seconds, pitch) in enumerate([(0.7, 200), (1.1, 900), (0.9, 400)])]
    answer = pipe(clips[1], sampling_rate=16_000, return_timestamps=True, return_embeddings=True, window_s=0.5)
    assert len(answer["segments"]) > 2
    assert np.linalg.norm(answer["embedding"]) == pytest.approx(1.0)
    all_scores = {entry["label"]: entry["score"] for entry in pipe(clips[0], sampling_rate=16_000)}
    two = pipe(clips[0], sampling_rate=16_000, candidate_labels=["sad", "happy"])
    ratio = all_scores["sad"] / (all_scores["sad"] + all_scores["happy"])
    assert {e["label"]: e["score"] for e in two}["sad"] == pytest.approx(ratio, rel=1e-5)
    with pytest.raises(ValueError, match=r"is a classifier and knows .*not 'bored'"):
        pipe(clips[0], sampling_rate=16_000, candidate_labels=["bored"])
    assert pipe.adapt(clips, sampling_rate=16_000).clips == 3
    assert model.connector.frame_mean.any()
    with pytest.raises(ValueError, match="adapt it without `labels`"):
        pipe.adapt(clips, sampling_rate=16_000, labels=["sad", "happy"])


def test_auto_classes_know_it(encoders, tmp_path):
    model = make(encoders, "hubert")
    model.save_pretrained(tmp_path)
    MSERSpeechProcessor.from_backbones(model.config).save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is MSERClassificationConfig
    assert type(AutoProcessor.from_pretrained(tmp_path)) is MSERSpeechProcessor
    for auto in (AutoModel, AutoModelForAudioClassification):
        assert type(auto.from_pretrained(tmp_path)) is MSERForEmotionClassification


def test_its_own_code_is_enough_where_the_package_is_not(encoders, tmp_path):
    model = make(encoders, "whisper")
    model.save_pretrained(tmp_path / "saved", full=True)
    MSERSpeechProcessor.from_backbones(model.config).save_pretrained(tmp_path / "saved")
    soundfile.write(tmp_path / "clip.wav", tone(0.6), 16_000)
    expected = pipeline("speech-emotion", model=str(tmp_path / "saved"))(str(tmp_path / "clip.wav"), top_k=1)
    code = (
        'import sys; sys.modules["hf_mser"] = None\n'
        "import soundfile\nfrom transformers import pipeline\n"
        "options = dict(model='saved', trust_remote_code=True)\n"
        "print(pipeline('speech-emotion', **options)('clip.wav', top_k=1))\n"
        "clip = {'raw': soundfile.read('clip.wav')[0], 'sampling_rate': 16_000}\n"
        "print(pipeline('audio-classification', **options)(clip, top_k=1))"
    )
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ours, stock = done.stdout.splitlines()[-2:]
    assert ours == str(expected)
    assert expected[0]["label"] in stock


def test_the_qformer_goes_to_generation_and_back(tmp_path):
    generation, _ = put_together(tmp_path)
    with torch.no_grad():
        for weight in generation.connector.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    generation.save_pretrained(tmp_path / "generation")
    classifier = MSERForEmotionClassification.from_backbones(
        tmp_path / "whisper", connector=tmp_path / "generation", speech_layers="mix", adapted_layers=0
    ).eval()
    sound_, mask = features([40, 60])
    with torch.no_grad():
        expected = generation.connect_speech(sound_, mask).speech_embeds
        assert torch.equal(classifier.connect_speech(sound_, mask).speech_embeds, expected)
    classifier.save_pretrained(tmp_path / "classifier")
    back = MSERForEmotionGeneration.from_backbones(
        tmp_path / "whisper", tmp_path / "llama3", connector=tmp_path / "classifier"
    ).eval()
    with torch.no_grad():
        assert torch.equal(back.connect_speech(sound_, mask).speech_embeds, expected)
    assert back.config.qformer_config.num_query_tokens == QFORMER["num_query_tokens"]
    make(tmp_path, "whisper").save_pretrained(tmp_path / "pooled")
    with pytest.raises(MSERModelError, match="no Emotion Q-Former"):
        MSERForEmotionClassification.from_backbones(tmp_path / "whisper", connector=tmp_path / "pooled")


def test_a_frozen_encoder_drops_nothing_out_and_its_lora_does(encoders):
    model = make(encoders, "wav2vec2", lora_dropout=0.5).train()
    assert not model.speech_encoder.model.encoder.training
    dropouts = [part for name, part in model.speech_encoder.named_modules() if name.endswith("lora_dropout.default")]
    assert dropouts
    assert all(part.training for part in dropouts)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "max"}, "pooling='max'"),
        ({"lora_rank": -1}, "lora_rank=-1"),
        ({"adapted_layers": 9}, "adapted_layers=9"),
        ({"frames_per_token": 0}, "frames_per_token=0"),
        ({"speech_layers": [7]}, "speech_layers"),
    ],
)
def test_what_cannot_be_built_is_refused(settings, message):
    with pytest.raises(MSERConfigError, match=message):
        MSERClassificationConfig(**settings)


def test_lora_where_it_would_do_nothing_is_refused(encoders):
    with pytest.raises(MSERConfigError, match=r"WavLM's attention bypasses"):
        make(encoders, "wavlm", lora_targets=["q_proj"])
    with pytest.raises(EncoderAdapterError, match=r"no layer is called nothing.*q_proj"):
        make(encoders, "whisper", lora_targets=["nothing"])


def test_weights_of_another_family_are_refused(encoders, tmp_path):
    shutil.copytree(encoders / "whisper", tmp_path / "liar")
    shutil.copy(encoders / "hubert" / "config.json", tmp_path / "liar" / "config.json")
    with pytest.raises(BackboneError, match="no checkpoint of wav2vec 2"):
        make(tmp_path, "liar")
