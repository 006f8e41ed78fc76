"""Where the readings of each label's clips lie, each corpus read in its own domain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...adaptation import PRIOR_CLIPS, set_domain
from ...domains import DomainMeter
from ...label_clouds import LabelClouds


@contextmanager
def at_home_in(connector: Any, statistics: Tensor, lengths: Tensor) -> Iterator[None]:
    """Within, what is ordinary for the clips with these statistics and numbers of frames is the connector's own."""
    before = {name: values.clone() for name, values in connector.domain.items()}
    move_domain(connector, statistics, lengths)
    try:
        yield
    finally:
        set_domain(connector, before)


def move_domain(connector: Any, statistics: Tensor, lengths: Tensor) -> None:
    """Make what is ordinary for these clips the connector's own, as adaptation does."""
    meter = DomainMeter()
    meter.add(statistics, lengths.to(statistics), connector.voices_of(statistics))
    set_domain(connector, meter.moved_from(connector.domain, PRIOR_CLIPS))


def clouds_of_corpora(
    connector: Any, statistics: Tensor, lengths: Tensor, emotions: Tensor, corpora: np.ndarray, labels: Tensor
) -> LabelClouds:
    """The clouds of labelled clips.

    Args:
        connector: an `EmotionQFormer` with a reader.
        statistics, lengths: of the clips (clips, layers, 2, width), and their numbers of frames.
        emotions: their labels' numbers; -1 where there is none: such a clip tells only what is ordinary.
        corpora: where each is from.
        labels: the numbers of the labels that are asked for, ascending; each needs clips.
    """
    readings, truth = [], []
    for name in np.unique(corpora):
        own = torch.from_numpy(np.flatnonzero(corpora == name))
        labelled = own[torch.isin(emotions[own], labels)]
        with at_home_in(connector, statistics[own], lengths[own]):
            readings.append(connector.readings_of(statistics[labelled]).cpu()[:, labels])
        truth.append(torch.searchsorted(labels, emotions[labelled]))
    return LabelClouds.of(torch.cat(readings), torch.cat(truth))
