"""Other voices on log-mel spectra: faster or slower, higher or lower, backwards, or over somebody else's.

They need not sound natural. The student only has to answer what the teacher answers to the same sound, so every
sound between the corpora's is one more lesson.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

SLOWEST, FASTEST = 0.8, 1.25
LARGEST_SHIFT = 5.0  # mel bands


def another_voice(spectra: Tensor, random: np.random.Generator) -> Tensor:
    """Log power mel spectra (time, bands) of one clip, as somebody else might have said it; an even length.

    Example:
        >>> another_voice(torch.zeros(50, 80), np.random.default_rng(0)).shape[1]
        80
    """
    if random.random() < 0.5:
        duration = np.exp(random.uniform(np.log(SLOWEST), np.log(FASTEST)))
        length = max(8, int(len(spectra) * duration) // 2 * 2)
        spectra = F.interpolate(spectra.T[None], length, mode="linear")[0].T
    if random.random() < 0.4:
        spectra = _shifted(spectra, random.uniform(-LARGEST_SHIFT, LARGEST_SHIFT))
    return spectra.flip(0) if random.random() < 0.15 else spectra


def together(power: Tensor, random: np.random.Generator) -> Tensor:
    """Each clip's power with that of another of the batch behind it, 0 to 20 dB quieter."""
    others = torch.from_numpy(random.permutation(len(power)))
    return power + power[others] * 10 ** random.uniform(-2, 0)


def _shifted(spectra: Tensor, bands: float) -> Tensor:
    last = spectra.shape[1] - 1
    position = (torch.arange(last + 1) + bands).clamp(0, last)
    below = position.floor().long()
    share = position - below
    return spectra[:, below] * (1 - share) + spectra[:, (below + 1).clamp(max=last)] * share
