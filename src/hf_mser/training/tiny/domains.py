"""What is normal: for a corpus, for a speaker, for all clips together.

A connector that is always told what is normal for this corpus fails without adaptation; one that never is
gains nothing from it. In training each clip draws one of them, so that one checkpoint serves both. Sometimes it is told
what is normal elsewhere: that is how an unheard corpus arrives.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...domains import Domain, DomainMeter, between


def measure(means: Tensor, stds: Tensor, frames: Tensor) -> Domain:
    """The domain of some clips from each clip's mean and deviation (clips, layers, width) and length.

    Example:
        >>> sorted(measure(torch.zeros(3, 1, 4), torch.ones(3, 1, 4), torch.ones(3)))
        ['frame_mean', 'frame_std', 'statistics_mean', 'statistics_std']
    """
    meter = DomainMeter()
    meter.add(torch.stack([means, stds], 2), frames)
    return meter.domain()


class Views:
    """The domains of every clip of one version of the clips."""

    PRIOR_CLIPS = 10.0

    def __init__(
        self, means: Tensor, stds: Tensor, frames: Tensor, corpora: np.ndarray, speakers: np.ndarray, world: Domain
    ) -> None:
        self.world = world
        self._corpora, self._speakers = corpora, speakers
        self._names = [str(name) for name in np.unique(corpora)]
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
        """The world's, the corpus', the speaker's or another corpus' domain, each as often."""
        kind = random.integers(4)
        if kind == 0:
            return self.world
        if kind == 3:
            elsewhere = [name for name in self._names if name != self._corpora[clip]] or self._names
            return self._of[elsewhere[random.integers(len(elsewhere))]]
        return self._of[self._corpora[clip] if kind == 1 else self._speakers[clip]]
