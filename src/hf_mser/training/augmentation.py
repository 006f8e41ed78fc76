"""Small changes to a clip that keep its emotion: loudness, noise, masked time and masked bands.

Every change is drawn from a generator that the caller seeds, so that a run can be repeated and resumed exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..errors import MSERError


class AugmentationError(MSERError, ValueError):
    """An augmentation with impossible settings."""


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training clip; the defaults change nothing.

    Args:
        gain_db: the largest change of loudness, up or down.
        noise_db: the lowest signal-to-noise ratio of added white noise (drawn up to 20 dB above it); `None` = none.
        time_mask: the largest share of the frames that SpecAugment hides.
        mel_mask: the largest share of the mel bands that SpecAugment hides.
        variants: how many variants of each clip the feature cache keeps; 0 switches the cache off for training.

    Example:
        >>> augmentation = Augmentation(gain_db=6.0)
        >>> augmentation.waveform(np.ones(4, np.float32), np.random.default_rng(0)).round(2)
        array([1.21, 1.21, 1.21, 1.21], dtype=float32)
    """

    gain_db: float = 0.0
    noise_db: float | None = None
    time_mask: float = 0.0
    mel_mask: float = 0.0
    variants: int = 0

    def __post_init__(self) -> None:
        for name in ("time_mask", "mel_mask"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise AugmentationError(f"{name} is {getattr(self, name)}; it is a share from 0 to below 1.")
        if self.gain_db < 0 or self.variants < 0:
            raise AugmentationError("gain_db and variants must not be negative.")

    def waveform(self, samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The clip, louder or softer, and noisier."""
        changed = samples * 10.0 ** (random.uniform(-self.gain_db, self.gain_db) / 20.0)
        if self.noise_db is not None:
            ratio_db = random.uniform(self.noise_db, self.noise_db + 20.0)
            level = np.sqrt(np.mean(np.square(changed)) / 10.0 ** (ratio_db / 10.0))
            changed = changed + level * random.standard_normal(len(changed))
        return changed.astype(np.float32)

    def features(self, features: Tensor, frames: int, random: np.random.Generator) -> Tensor:
        """Log-mel features (mels, time) with a stretch of time and a range of bands at the clip's mean."""
        masked = features.clone()
        mean = features[:, :frames].mean()
        width = int(random.uniform(0.0, self.time_mask) * frames)
        start = int(random.integers(0, frames - width + 1))
        masked[:, start : start + width] = mean
        height = int(random.uniform(0.0, self.mel_mask) * len(features))
        lowest = int(random.integers(0, len(features) - height + 1))
        masked[lowest : lowest + height, :frames] = mean
        return masked
