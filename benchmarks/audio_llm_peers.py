"""Other audio models of equal backbone shapes, run from files to answers as their documentation runs them.

All pad to 30 s but Granite, whose encoder (a Conformer of the same width and depth) takes the true length. Each writes
as many tokens as the longest of our labels has, greedily, which is the least that could name an emotion. The prompt has
as many text tokens as ours. Granite's mel features are computed by PyTorch here, as torchaudio does not belong to this
project: 160 values per frame, the same hop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import soundfile
import torch
from inference_models import QFORMER_SHAPES, SPEECH_SHAPES, TEXT_SHAPES, Shape, mser_config
from transformers import (
    Blip2QFormerConfig,
    GraniteConfig,
    GraniteSpeechConfig,
    GraniteSpeechForConditionalGeneration,
    LlamaConfig,
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2Config,
    VoxtralConfig,
    VoxtralForConditionalGeneration,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
)
from transformers.models.granite_speech.configuration_granite_speech import GraniteSpeechEncoderConfig
from transformers.models.qwen2_audio.configuration_qwen2_audio import Qwen2AudioEncoderConfig
from transformers.models.voxtral.configuration_voxtral import VoxtralEncoderConfig

PEERS = ("Qwen2Audio", "Voxtral", "GraniteSpeech", "WhisperForAudioClassification")
AUDIO_TOKEN = 3


def peer(name: str, shape: Shape, clips: Sequence[Path], dtype: torch.dtype = torch.float32) -> Callable[[], Any]:
    """A contestant: from the clips to the peer's answers."""
    torch.manual_seed(0)
    return {
        "Qwen2Audio": _qwen2_audio,
        "Voxtral": _voxtral,
        "GraniteSpeech": _granite_speech,
        "WhisperForAudioClassification": _whisper_classifier,
    }[name](shape, clips, dtype)


def _qwen2_audio(shape: Shape, clips: Sequence[Path], dtype: torch.dtype) -> Callable[[], Any]:
    encoder = Qwen2AudioEncoderConfig(num_mel_bins=80, **SPEECH_SHAPES[shape.speech])
    config = Qwen2AudioConfig(
        audio_config=encoder.to_dict(),
        text_config=Qwen2Config(**_text(shape)).to_dict(),
        audio_token_index=AUDIO_TOKEN,
    )
    model = Qwen2AudioForConditionalGeneration(config).eval().to(dtype)
    extractor = WhisperFeatureExtractor(feature_size=80)

    def run() -> Any:
        inputs = extractor(_read(clips), sampling_rate=16_000, return_attention_mask=True, return_tensors="pt")
        frames = (int(inputs.attention_mask[0].sum()) - 1) // 2 + 1
        prompt = _prompt(shape, len(clips), (frames - 2) // 2 + 1)
        return _generate(
            model,
            shape,
            prompt,
            input_features=inputs.input_features.to(dtype),
            feature_attention_mask=inputs.attention_mask,
        )

    return run


def _voxtral(shape: Shape, clips: Sequence[Path], dtype: torch.dtype) -> Callable[[], Any]:
    sizes = SPEECH_SHAPES[shape.speech]
    encoder = VoxtralEncoderConfig(
        num_mel_bins=80,
        hidden_size=sizes["d_model"],
        intermediate_size=sizes["encoder_ffn_dim"],
        num_hidden_layers=sizes["encoder_layers"],
        num_attention_heads=sizes["encoder_attention_heads"],
    )
    text = {**_text(shape), "head_dim": _text(shape)["hidden_size"] // _text(shape)["num_attention_heads"]}
    config = VoxtralConfig(
        audio_config=encoder.to_dict(), text_config=LlamaConfig(**text).to_dict(), audio_token_id=AUDIO_TOKEN
    )
    model = VoxtralForConditionalGeneration(config).eval().to(dtype)
    extractor = WhisperFeatureExtractor(feature_size=80)
    stacked = sizes["encoder_ffn_dim"] // sizes["d_model"]  # frames that become one token

    def run() -> Any:
        features = extractor(_read(clips), sampling_rate=16_000, return_tensors="pt").input_features
        prompt = _prompt(shape, len(clips), 1500 // stacked)
        return _generate(model, shape, prompt, input_features=features.to(dtype))

    return run


def _granite_speech(shape: Shape, clips: Sequence[Path], dtype: torch.dtype) -> Callable[[], Any]:
    sizes, queries = SPEECH_SHAPES[shape.speech], QFORMER_SHAPES[shape.qformer]
    heads = sizes["encoder_attention_heads"]
    encoder = GraniteSpeechEncoderConfig(
        input_dim=160,
        num_layers=sizes["encoder_layers"],
        hidden_dim=sizes["d_model"],
        num_heads=heads,
        dim_head=sizes["d_model"] // heads,
    )
    projector = Blip2QFormerConfig(
        encoder_hidden_size=sizes["d_model"],
        **{name: value for name, value in queries.items() if name != "num_query_tokens"},
    )
    config = GraniteSpeechConfig(
        encoder_config=encoder.to_dict(),
        projector_config=projector.to_dict(),
        text_config=GraniteConfig(**_text(shape)).to_dict(),
        audio_token_index=AUDIO_TOKEN,
        has_lora_adapter=False,
    )
    model = GraniteSpeechForConditionalGeneration(config).eval().to(dtype)
    extractor = WhisperFeatureExtractor(feature_size=80)

    def run() -> Any:
        samples = _read(clips)
        mel = extractor(samples, sampling_rate=16_000, padding="longest", return_tensors="pt").input_features
        pairs = mel.shape[2] // 2
        features = mel[..., : 2 * pairs].transpose(1, 2).reshape(len(clips), pairs, 160)
        tokens = -(-pairs // config.window_size) * (config.window_size // config.downsample_rate)
        return _generate(model, shape, _prompt(shape, len(clips), tokens), input_features=features.to(dtype))

    return run


def _whisper_classifier(shape: Shape, clips: Sequence[Path], dtype: torch.dtype) -> Callable[[], Any]:
    model = WhisperForAudioClassification(WhisperConfig(num_mel_bins=80, num_labels=7, **SPEECH_SHAPES[shape.speech]))
    model = model.eval().to(dtype)
    extractor = WhisperFeatureExtractor(feature_size=80)

    def run() -> Any:
        features = extractor(_read(clips), sampling_rate=16_000, return_tensors="pt").input_features
        return model(features.to(dtype)).logits.softmax(-1)

    return run


def _text(shape: Shape) -> dict[str, Any]:
    return {**TEXT_SHAPES[shape.text], "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}


def _read(clips: Sequence[Path]) -> list[Any]:
    return [soundfile.read(path, dtype="float32")[0] for path in clips]


def _prompt(shape: Shape, batch: int, audio_tokens: int) -> torch.Tensor:
    """As much text as our prompt has, around the audio's places."""
    ids = mser_config(shape).prompt_ids
    text = len([token for token in ids if token != mser_config(shape).audio_token_id])
    return torch.tensor([[5, *[AUDIO_TOKEN] * audio_tokens, *[5] * (text - 1)]] * batch)


def _generate(model: Any, shape: Shape, prompt: torch.Tensor, **speech: torch.Tensor) -> Any:
    tokens = max(len(ids) for ids in mser_config(shape).candidate_ids)
    return model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        min_new_tokens=tokens,
        max_new_tokens=tokens,
        do_sample=False,
        **speech,
    )
