"""The parts become one small checkpoint, made of the package's own classes alone."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.models.whisper.feature_extraction_whisper import WhisperFeatureExtractor

from ...configuration_mser import MSERConfig
from ...emotions import EMOTIONS
from ...label_clouds import LabelClouds
from ...modeling_mser import MSERForEmotionGeneration
from ...processing_mser import MSERProcessor
from ..calibration import Calibration
from .connecting import Listener, connector_config
from .distillation import student_config
from .recipe import TinyRecipe


def assemble(
    recipe: TinyRecipe,
    student: dict[str, Tensor],
    listener: Listener,
    decoder: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    calibration: Calibration,
    clouds: LabelClouds,
) -> tuple[MSERForEmotionGeneration, MSERProcessor]:
    """Model and processor from the trained parts."""
    layers = recipe.encoder.student_layers
    decoder.config._name_or_path = ""  # the work folder is nobody else's business
    config = MSERConfig(
        speech_config=student_config(recipe.encoder, recipe.window_seconds),
        qformer_config=connector_config(recipe.connector, recipe.encoder.width, len(layers)),
        text_config=decoder.config,
        speech_layers=list(layers),
        prompt=recipe.prompt,
        window_seconds=recipe.window_seconds,
        temperature=calibration.temperature,
        label_weights=(calibration.weight * torch.eye(len(EMOTIONS))).tolist(),
        label_clouds=clouds.to_dict(),
    )
    config.set_words(tokenizer)
    model = MSERForEmotionGeneration(config).eval()
    model.speech_encoder.load_state_dict(student)
    model.connector.load_state_dict(listener.connector.state_dict())
    model.text_model.load_state_dict(decoder.state_dict())
    processor = MSERProcessor(
        WhisperFeatureExtractor(feature_size=config.speech_config.num_mel_bins),
        tokenizer,
        prompt=config.prompt,
        labels=config.labels,
        num_speech_tokens=config.qformer_config.num_speech_tokens,
    )
    return model, processor


def save(model: MSERForEmotionGeneration, processor: MSERProcessor, folder: Path) -> int:
    """Write the checkpoint without code, which the package brings; its size in bytes.

    The config says float32, so that it is computed in a precision that every CPU has.
    """
    model.save_pretrained(folder, full=True, packed=True)
    processor.save_pretrained(folder)
    for file in folder.glob("*.py"):
        file.unlink()
    return sum(file.stat().st_size for file in folder.iterdir())
