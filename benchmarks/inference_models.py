"""The models that the inference benchmark times: real shapes, random weights (time does not depend on values)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, PreTrainedTokenizerFast, WhisperConfig, WhisperFeatureExtractor

from hf_mser import EmotionQFormerConfig, MSERConfig, MSERForEmotionGeneration, MSERProcessor
from hf_mser.backbones import speech_encoder_weights
from hf_mser.emotions import EMOTIONS

SPEECH_SHAPES: dict[str, dict[str, int]] = {
    "whisper-base": {"d_model": 512, "encoder_layers": 6, "encoder_attention_heads": 8, "encoder_ffn_dim": 2048},
    "tiny": {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32},
}

TEXT_SHAPES: dict[str, dict[str, int]] = {
    "llama-100m": {
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 10,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
        "vocab_size": 32_000,
    },
    "stories260K": {
        "hidden_size": 64,
        "intermediate_size": 172,
        "num_hidden_layers": 5,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 512,
    },
    "tiny": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 512,
    },
}

QFORMER_SHAPES: dict[str, dict[str, int]] = {
    "qformer-small": {
        "hidden_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
        "num_query_tokens": 32,
    },
    "tiny": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "num_query_tokens": 4,
    },
}


@dataclass(frozen=True)
class Shape:
    """Names of the three parts' sizes."""

    speech: str = "whisper-base"
    qformer: str = "qformer-small"
    text: str = "llama-100m"


def mser_config(shape: Shape, **settings: Any) -> MSERConfig:
    """The configuration of a model of that shape, its prompt and answers tokenised."""
    config = MSERConfig(
        speech_config=WhisperConfig(num_mel_bins=80, **SPEECH_SHAPES[shape.speech]),
        qformer_config=EmotionQFormerConfig(**QFORMER_SHAPES[shape.qformer]),
        text_config=LlamaConfig(bos_token_id=0, eos_token_id=1, **TEXT_SHAPES[shape.text]),
        **settings,
    )
    config.set_words(tokenizer())
    return config


def mser_model(
    shape: Shape, weights: Path | None = None, dtype: torch.dtype = torch.float32, **settings: Any
) -> MSERForEmotionGeneration:
    """A model with random weights; `weights` is a Whisper checkpoint for the encoder, if it should be a real one."""
    torch.manual_seed(0)
    model = MSERForEmotionGeneration(mser_config(shape, **settings)).eval()
    if weights is not None:
        tensors, _ = speech_encoder_weights(weights)
        model.speech_encoder.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    model.speech_encoder.to(dtype)
    model.text_model.to(dtype)  # the connector stays in float32, as it does when a checkpoint is loaded
    return model


def mser_processor(config: MSERConfig) -> MSERProcessor:
    """The processor of such a model."""
    return MSERProcessor(
        WhisperFeatureExtractor(feature_size=80),
        tokenizer(),
        prompt=config.prompt,
        labels=config.labels,
        num_speech_tokens=config.qformer_config.num_speech_tokens,
    )


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that splits the prompt as an LLM's does: every word of it, and every emotion, is one token."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<s>", "</s>", "<|audio|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = MSERConfig.prompt.replace("{labels}", ", ".join(EMOTIONS))
    bpe.train_from_iterator([text, " " + " ".join(EMOTIONS)] * 2, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def count_parameters(module: torch.nn.Module) -> int:
    """All parameters, each counted once."""
    return sum(parameter.numel() for parameter in module.parameters())
