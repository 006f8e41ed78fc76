"""What a frozen encoder hears in each clip: frames of one of its layers, shortened, computed once and kept.

SERE listens to each language with an encoder of its own. A `FrozenEncoder` is one of them; the frames of all clips
that it has heard lie one after another in a `HeardClips`, so that a batch needs no padding.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...audio import SAMPLING_RATE, load_audio
from ...backbones import fingerprint, speech_encoder_weights
from ...errors import MSERError
from ...speech_encoder import TrueLengthWhisperEncoder
from ..feature_keys import clip_key
from ..features import GIGABYTE, FrozenFeatureCache
from .recipe import EncoderSection

STORED_AT_ONCE = 64
SMALLEST_DEVIATION = 1e-4


class FrameError(MSERError, ValueError):
    """An encoder has no such layer, or frames do not fit together."""


@dataclass(frozen=True)
class HeardClips:
    """The frames of several clips, one clip after another.

    Example:
        >>> heard = HeardClips.of([torch.zeros(2, 3), torch.ones(1, 3)])
        >>> heard.lengths.tolist(), heard[1].tolist()
        ([2, 1], [[1.0, 1.0, 1.0]])
    """

    values: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, clips: Sequence[Tensor]) -> HeardClips:
        """Frames (time, width) of each clip, packed."""
        if not clips:
            raise FrameError("No clip to listen to.")
        return cls(torch.cat(list(clips)), torch.tensor([len(clip) for clip in clips]))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, clip: int) -> Tensor:
        end = int(self._ends[clip])
        return self.values[end - int(self.lengths[clip]) : end]

    @property
    def _ends(self) -> Tensor:
        return self.lengths.cumsum(0)

    def take(self, clips: Tensor) -> HeardClips:
        """Some of the clips, in the order given."""
        lengths = self.lengths[clips]
        starts = (self._ends - self.lengths)[clips]
        first = lengths.cumsum(0) - lengths
        rows = torch.arange(int(lengths.sum())) + (starts - first).repeat_interleave(lengths)
        return HeardClips(self.values[rows], lengths)

    def owner(self) -> Tensor:
        """For each frame, the clip that it belongs to."""
        return torch.arange(len(self.lengths)).repeat_interleave(self.lengths)

    def means(self) -> Tensor:
        """The mean frame of each clip."""
        sums = torch.zeros(len(self), self.values.shape[1]).index_add_(0, self.owner(), self.values.float())
        return sums / self.lengths[:, None]

    def averaged(self, count: int) -> HeardClips:
        """Every `count` frames as their mean; the last mean of a clip may be over fewer.

        Example:
            >>> HeardClips.of([torch.tensor([[1.0], [3.0], [5.0]])]).averaged(2).values.flatten().tolist()
            [2.0, 5.0]
        """
        if count == 1:
            return self
        lengths = (self.lengths + count - 1) // count
        first = lengths.cumsum(0) - lengths
        place = torch.arange(len(self.values)) - (self._ends - self.lengths)[self.owner()]
        group = first[self.owner()] + place // count
        sums = torch.zeros(int(lengths.sum()), self.values.shape[1]).index_add_(0, group, self.values.float())
        return HeardClips(sums / torch.bincount(group)[:, None], lengths)

    def standardised_by(self, others: HeardClips) -> HeardClips:
        """The same clips, measured by what is normal among others: mean 0 and deviation 1 of each dimension there."""
        normal = others.values.float()
        deviation = normal.std(0, unbiased=False).clamp(min=SMALLEST_DEVIATION)
        return HeardClips((self.values.float() - normal.mean(0)) / deviation, self.lengths)


class FrozenEncoder:
    """A Whisper encoder up to one layer; it never learns.

    Args:
        section: the checkpoint, the layer, and how clips are shortened.
        cache_folder: the root of a `FrozenFeatureCache`.
        max_bytes: the size that the cache never exceeds.

    Example:
        >>> encoder = FrozenEncoder(EncoderSection("openai/whisper-base", layer=3), "runs/cache")  # doctest: +SKIP
        >>> encoder.hear(["a.wav"])[0].shape  # doctest: +SKIP
        torch.Size([38, 512])
    """

    def __init__(
        self, section: EncoderSection, cache_folder: str | os.PathLike, max_bytes: int = 50 * GIGABYTE
    ) -> None:
        from transformers import WhisperConfig, WhisperFeatureExtractor

        config = WhisperConfig.from_pretrained(section.checkpoint)
        if not 0 <= section.layer <= config.encoder_layers:
            raise FrameError(
                f"{section.checkpoint} has {config.encoder_layers} layers; layer {section.layer} is none of them."
            )
        self.section = section
        self.width = config.d_model
        weights, self.revision = speech_encoder_weights(section.checkpoint)
        self.sha256 = fingerprint(weights)
        encoder = TrueLengthWhisperEncoder(config, (section.layer,))
        wanted = encoder.state_dict()
        encoder.load_state_dict({name: tensor.float() for name, tensor in weights.items() if name in wanted})
        self._encoder = encoder.eval().requires_grad_(False)
        self._extractor = WhisperFeatureExtractor.from_pretrained(section.checkpoint)
        # More than this no crop, no layer and no pace: what is heard depends on nothing else.
        settings = f"{self.sha256} {section.layer} {section.seconds} {section.average} {self._extractor.to_dict()}"
        key = hashlib.blake2b(settings.encode(), digest_size=16).hexdigest()
        self._cache = FrozenFeatureCache(Path(cache_folder), f"sere-{key}", max_bytes)

    def hear(self, clips: Sequence[Any]) -> HeardClips:
        """The frames of each clip (a path or another source of audio); those that the cache lacks are computed."""
        frames: list[Tensor] = []
        new: dict[str, Tensor] = {}
        for clip in clips:
            key = clip_key(clip)
            found = self._cache.get(key)
            if found is None:
                found = new[key] = self._encode(load_audio(clip))
            if len(new) == STORED_AT_ONCE:
                self._store(new)
            frames.append(found)
        self._store(new)
        return HeardClips.of(frames)

    def _store(self, new: dict[str, Tensor]) -> None:
        if new:
            self._cache.put_many(new)
            new.clear()

    @torch.no_grad()
    def _encode(self, samples: np.ndarray) -> Tensor:
        features = self._extractor(
            middle(samples, self.section.seconds), sampling_rate=SAMPLING_RATE, padding=False, return_tensors="pt"
        )
        frames, _ = self._encoder(features.input_features)
        return HeardClips.of([frames[0, 0]]).averaged(self.section.average).values.half()


def middle(samples: np.ndarray, seconds: float) -> np.ndarray:
    """The middle of a clip that is longer than that; a shorter one whole.

    Example:
        >>> middle(np.arange(48_000), 1.0)[[0, -1]].tolist()
        [16000, 31999]
    """
    wanted = int(seconds * SAMPLING_RATE)
    start = max(0, (len(samples) - wanted) // 2)
    return samples[start : start + wanted]
