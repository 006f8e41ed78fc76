"""Random recording conditions on mel spectra: rooms, microphones, lines and noises.

A linear filter multiplies the power in each band, reverberation smears it over time, and noise adds to it: on
power mel spectra all of this is cheap. What they keep is what they must: who speaks, how, and in which mood.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

FRAME_SECONDS = 0.01
TAIL_FRAMES = 40


def recorded(power: Tensor, mask: Tensor, random: np.random.Generator) -> Tensor:
    """Power mel spectra (batch, bands, time) as other rooms and devices would have recorded them.

    Args:
        power: the spectra; `mask` (batch, time) is true where they are real.
        random: every draw comes from here, so that a run can be repeated.

    Example:
        >>> power, mask = torch.ones(2, 80, 50), torch.ones(2, 50, dtype=torch.bool)
        >>> recorded(power, mask, np.random.default_rng(0)).shape
        torch.Size([2, 80, 50])
    """
    draw = _Draw(random, len(power))
    return _with_noise(_filtered(_reverberant(power, draw), draw), mask, draw)


class _Draw:
    """Uniform numbers and coin tosses, one or several for each clip."""

    def __init__(self, random: np.random.Generator, clips: int) -> None:
        self.random, self.clips = random, clips

    def uniform(self, low: float, high: float, each: int = 1) -> Tensor:
        return torch.from_numpy(self.random.uniform(low, high, (self.clips, each)).astype(np.float32))

    def chosen(self, share: float) -> Tensor:
        return torch.from_numpy(self.random.random((self.clips, 1))) < share


def _reverberant(power: Tensor, draw: _Draw) -> Tensor:
    """An exponential tail that falls by 60 dB in 0.1 to 0.8 s."""
    steps = torch.arange(TAIL_FRAMES) * FRAME_SECONDS
    tail = 10 ** (-6 * steps / draw.uniform(0.1, 0.8)) * 10 ** draw.uniform(-1.6, -0.3)
    tail = torch.where(draw.chosen(0.3), tail, torch.zeros_like(tail))
    tail[:, 0] = 1.0
    length = power.shape[-1]
    size = 1 << (length + TAIL_FRAMES - 1).bit_length()
    spectrum = torch.fft.rfft(power, size) * torch.fft.rfft(tail, size)[:, None]
    return torch.fft.irfft(spectrum, size)[..., :length].clamp(min=0)


def _filtered(power: Tensor, draw: _Draw) -> Tensor:
    """A smooth colour, and sometimes nothing above or below some band."""
    count = power.shape[1]
    bands = torch.arange(count)[None]
    colour = _smooth(draw.uniform(-1, 1, 8), count) * draw.uniform(0, 0.9)
    decades = torch.where(draw.chosen(0.6), colour, torch.zeros_like(colour))
    too_high = (bands - draw.uniform(0.375 * count, 0.99 * count)).clamp(min=0) * draw.uniform(0.1, 0.6)
    too_low = (draw.uniform(0.025 * count, 0.15 * count) - bands).clamp(min=0) * 0.3
    decades = decades - torch.where(draw.chosen(0.2), too_high, torch.zeros_like(too_high))
    decades = decades - torch.where(draw.chosen(0.2), too_low, torch.zeros_like(too_low))
    return power * 10 ** decades[..., None]


def _with_noise(power: Tensor, mask: Tensor, draw: _Draw) -> Tensor:
    """Steady coloured noise, 0 to 40 dB below the speech."""
    count = power.shape[1]
    colour = 10 ** (draw.uniform(-0.03, 0.01) * torch.arange(count)[None] + _smooth(draw.uniform(-0.5, 0.5, 6), count))
    speech = ((power.sum(1) * mask).sum(1) / mask.sum(1))[:, None]
    level = colour / colour.sum(1, keepdim=True) * speech * 10 ** (-draw.uniform(0, 40) / 10)
    level = torch.where(draw.chosen(0.5), level, torch.zeros_like(level))
    flutter = torch.from_numpy(draw.random.exponential(0.5, power.shape).astype(np.float32)) + 0.5
    return power + level[..., None] * flutter


def _smooth(knots: Tensor, count: int) -> Tensor:
    return F.interpolate(knots[:, None], count, mode="linear", align_corners=True)[:, 0]
