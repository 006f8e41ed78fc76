"""All that a connector keeps for adaptation, from the statistics of labelled training clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...domains import Domain, DomainMeter
from ...label_clouds import LabelClouds
from ..balance import balanced_weights
from .discriminant import linear_discriminant
from .label_clouds import at_home_in, clouds_of_corpora
from .speaker_traits import TraitsError, TraitsRecipe, speaker_traits
from .voice_gate import voice_gate

RIDGE = 0.8
UNKNOWN = ""
"""The speaker of clips of whom nobody says who speaks."""
FEWEST_CLIPS_OF_LABEL = 5
"""A label with fewer clips has no cloud, and without all of its labels' clouds a checkpoint keeps none."""


@dataclass(frozen=True)
class TrainingClips:
    """What was heard and is known of training clips.

    Args:
        statistics: mean and deviation of each clip's normalised frames (clips, layers, 2, width).
        lengths: how many frames each has.
        emotions: their labels' numbers; -1 where there is none.
        corpora: where each is from.
        speakers: who speaks in each; people of different corpora have different names.
        genders: `female`, `male`, or what else is known.
    """

    statistics: Tensor
    lengths: Tensor
    emotions: Tensor
    corpora: np.ndarray
    speakers: np.ndarray
    genders: Sequence[str | None]

    def domain(self) -> Domain:
        """What is ordinary for them."""
        meter = DomainMeter()
        meter.add(self.statistics, self.lengths)
        return meter.domain()


@torch.no_grad()
def make_adaptable(connector: Any, clips: TrainingClips, labels: int) -> LabelClouds | None:
    """Give a connector its reader, its traits and, for two voices, what tells them apart; returns the labels' clouds.

    The reader is shown every clip twice: against what is ordinary for all of them, and for its own corpus.

    Args:
        connector: an `EmotionQFormer` that reads statistics and has taken the clips' domain for its own.
        clips: the training clips.
        labels: how many labels the model has.

    Returns:
        The clouds, for the config's `label_clouds`; nothing, and the connector unchanged, where a label lacks clips.
    """
    if bool((torch.bincount(clips.emotions[clips.emotions >= 0], minlength=labels) < FEWEST_CLIPS_OF_LABEL).any()):
        return None
    traits = _traits(clips)
    if not connector.config.num_readings:
        connector.make_room_for_readings(labels, 0 if traits is None else len(traits))
    if traits is not None and connector.config.num_speaker_traits == len(traits):
        connector.trait_weight.copy_(traits)
    if connector.config.num_voices == 2 and not connector.voice_direction.any():
        direction, offset = voice_gate(clips.statistics.cpu(), clips.genders)
        connector.voice_direction.copy_(direction)
        connector.voice_offset.copy_(offset)
    rows, emotions, weights = _lessons(connector, clips)
    reader = linear_discriminant(rows, emotions, labels, RIDGE, weights)
    connector.reader_weight.copy_(reader.weight)
    connector.reader_bias.copy_(reader.bias)
    return clouds_of_corpora(
        connector, clips.statistics, clips.lengths, clips.emotions, clips.corpora, torch.arange(labels)
    )


def _traits(clips: TrainingClips) -> Tensor | None:
    known = np.flatnonzero(clips.speakers != UNKNOWN)
    if not len(known):
        return None
    columns = (clips.corpora[known], clips.speakers[known], clips.emotions.numpy()[known])
    try:
        return speaker_traits(TraitsRecipe(), clips.statistics[torch.from_numpy(known)].cpu(), *columns)
    except TraitsError:  # too few: adaptation takes all speakers for the same
        return None


def _lessons(connector: Any, clips: TrainingClips) -> tuple[Tensor, Tensor, Tensor]:
    """Standardised statistics of labelled clips (rows, layers * 2 * width), their labels, and what each counts."""
    rows, order = [], []
    for name in np.unique(clips.corpora):
        own = torch.from_numpy(np.flatnonzero(clips.corpora == name))
        labelled = own[clips.emotions[own] >= 0]
        with at_home_in(connector, clips.statistics[own], clips.lengths[own]):
            rows.append(connector.standardized(clips.statistics[labelled]).flatten(1).cpu())
        order.append(labelled)
    labelled = torch.cat(order)
    rows.append(connector.standardized(clips.statistics[labelled]).flatten(1).cpu())
    emotions = clips.emotions[labelled]
    weights = torch.from_numpy(balanced_weights(clips.corpora[labelled.numpy()], emotions.numpy())).float()
    return torch.cat(rows), torch.cat([emotions, emotions]), torch.cat([weights, weights])
