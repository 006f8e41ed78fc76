"""From sound to what an emotion classifier reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers.feature_extraction_utils import BatchFeature
from transformers.models.auto import AutoFeatureExtractor
from transformers.processing_utils import ProcessorMixin

from .audio import load_audio
from .configuration_classification import MSERClassificationConfig
from .speech_features import mel_features, reads_waveforms, waveforms


class _NoTokens:
    """`Trainer` asks every processor for its tokenizer's special tokens; here are none."""

    eos_token_id = bos_token_id = pad_token_id = None


class MSERSpeechProcessor(ProcessorMixin):
    r"""
    Features of clips at their true length: log-mel for Whisper, normalised samples for the others.

    The feature extractor that it saves also serves Transformers' own `audio-classification` pipeline.

    Args:
        feature_extractor (`FeatureExtractionMixin`): The encoder's.

    Example:

    ```python
    >>> import numpy as np
    >>> from transformers import WhisperFeatureExtractor
    >>> from hf_mser import MSERSpeechProcessor

    >>> processor = MSERSpeechProcessor(WhisperFeatureExtractor())
    >>> inputs = processor(audio=[np.zeros(16_000), np.ones(8_000)], sampling_rate=16_000)
    >>> tuple(inputs["input_features"].shape), inputs["input_features_mask"].sum(1).tolist()
    ((2, 80, 100), [100, 50])

    ```"""

    _auto_class = "AutoProcessor"  # its code travels with it, as the model's does

    def __init__(self, feature_extractor: Any):
        # So that the true lengths reach the model in Transformers' own pipeline as well.
        feature_extractor.return_attention_mask = True
        super().__init__(feature_extractor)

    @property
    def tokenizer(self) -> _NoTokens:
        """Nothing: a classifier reads no text."""
        return _NoTokens()

    @classmethod
    def from_backbones(cls, config: MSERClassificationConfig, **hub: Any) -> "MSERSpeechProcessor":
        """The processor for a model made by `MSERForEmotionClassification.from_backbones`."""
        speech = (config.backbones or {})["speech"]
        return cls(AutoFeatureExtractor.from_pretrained(speech["id"], revision=speech["revision"], **hub))

    def __call__(
        self, audio: Any = None, sampling_rate: int | None = None, return_tensors: str = "pt", **kwargs: Any
    ) -> BatchFeature:
        """`input_features` and `input_features_mask` of a clip or a list of clips that [`load_audio`] takes."""
        clips = audio if isinstance(audio, (list, tuple)) and not isinstance(audio[0], (int, float)) else [audio]
        features, mask = self.extract_features([load_audio(clip, sampling_rate) for clip in clips])
        return BatchFeature({"input_features": features, "input_features_mask": mask}, tensor_type=None)

    def extract_features(self, clips: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of mono 16 kHz clips, and the mask of their true lengths."""
        if reads_waveforms(self.feature_extractor):
            return waveforms(self.feature_extractor, clips)
        return mel_features(self.feature_extractor, clips)

    @property
    def model_input_names(self) -> list[str]:
        return ["input_features", "input_features_mask"]


__all__ = ["MSERSpeechProcessor"]
