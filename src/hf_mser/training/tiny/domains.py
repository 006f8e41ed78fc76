"""What is normal: for a corpus, for a speaker, for all clips together.

A connector that is always told what is normal for this corpus fails without adaptation; one that never is
gains nothing from it. In training each clip draws one of three, so that one checkpoint serves both.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SMALLEST_DEVIATION = 1e-3
NAMES = ("frame_mean", "frame_std", "statistics_mean", "statistics_std")

Domain = dict[str, Tensor]


def measure(means: Tensor, stds: Tensor, frames: Tensor) -> Domain:
    """The domain of some clips from each clip's mean and deviation (clips, layers, width) and length.

    Example:
        >>> sorted(measure(torch.zeros(3, 1, 4), torch.ones(3, 1, 4), torch.ones(3)))
        ['frame_mean', 'frame_std', 'statistics_mean', 'statistics_std']
    """
    weights = (frames / frames.sum()).double()[:, None, None]
    means, stds = means.double(), stds.double()
    frame_mean = (means * weights).sum(0)
    square = ((stds.square() + means.square()) * weights).sum(0)
    statistics = torch.stack([means, stds], 2)
    domain = {
        "frame_mean": frame_mean,
        "frame_std": (square - frame_mean.square()).clamp(min=SMALLEST_DEVIATION**2).sqrt(),
        "statistics_mean": statistics.mean(0),
        "statistics_std": statistics.std(0, correction=0).clamp(min=SMALLEST_DEVIATION),
    }
    return {name: tensor.float() for name, tensor in domain.items()}


def between(own: Domain, prior: Domain, weight: float) -> Domain:
    """`own` with `weight`, the rest `prior`: means and variances are mixed."""
    mixed = {}
    for kind in ("frame", "statistics"):
        mean, std = f"{kind}_mean", f"{kind}_std"
        mixed[mean] = weight * own[mean] + (1 - weight) * prior[mean]
        mixed[std] = (weight * own[std].square() + (1 - weight) * prior[std].square()).sqrt()
    return mixed


def stacked(domains: list[Domain]) -> Domain:
    """One domain per clip, as the connector takes them."""
    return {name: torch.stack([domain[name] for domain in domains]) for name in NAMES}


class Views:
    """The three domains of every clip of one version of the clips."""

    PRIOR_CLIPS = 10.0

    def __init__(
        self, means: Tensor, stds: Tensor, frames: Tensor, corpora: np.ndarray, speakers: np.ndarray, world: Domain
    ) -> None:
        self.world = world
        self._corpora, self._speakers = corpora, speakers
        self._of: dict[str, Domain] = {}
        for corpus in np.unique(corpora):
            chosen = torch.from_numpy(np.flatnonzero(corpora == corpus))
            self._of[corpus] = measure(means[chosen], stds[chosen], frames[chosen])
        for speaker in np.unique(speakers):
            own = np.flatnonzero(speakers == speaker)
            chosen, corpus = torch.from_numpy(own), self._of[corpora[own[0]]]
            few = measure(means[chosen], stds[chosen], frames[chosen])
            self._of[speaker] = between(few, corpus, len(own) / (len(own) + self.PRIOR_CLIPS))

    def draw(self, clip: int, random: np.random.Generator) -> Domain:
        """The world's, the corpus' or the speaker's domain, each as often."""
        kind = random.integers(3)
        return self.world if kind == 0 else self._of[self._corpora[clip] if kind == 1 else self._speakers[clip]]
