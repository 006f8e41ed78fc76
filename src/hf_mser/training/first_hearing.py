"""Before it learns, a connector hears some training clips: what is ordinary among them, and what adaptation will need.

Both depend on the frozen encoder alone, so that they are measured once and hold all through training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch

from ..adaptation import set_domain
from ..connector import statistics_of
from .adaptable.measuring import UNKNOWN, TrainingClips, make_adaptable
from .balance import identity

SAMPLE_BYTES = 1 << 30
"""Statistics of as many clips as this memory holds: those of a large encoder's layers take a third of a megabyte."""


def is_standardized(connector: Any) -> bool:
    """False as long as the buffers say nothing: mean 0 and deviation 1 everywhere.

    Example:
        >>> is_standardized(model.connector)  # doctest: +SKIP
        True
    """
    return any(
        bool(values.any()) if name.endswith("_mean") else bool((values != 1).any())
        for name, values in connector.domain.items()
    )


@torch.no_grad()
def hear_first(trainer: Any) -> None:
    """Measure what is ordinary, if the connector is new, and what adaptation needs, if it has none of that yet.

    Args:
        trainer: an `MSERTrainer`; its arguments say on how many clips: `standardize_clips`, `adaptation_clips`.
    """
    connector, config, args = getattr(trainer.model, "connector", None), trainer.model.config, trainer.args
    if connector is None or not connector.domain or not trainer.encodes_ahead():
        return
    is_new = args.standardize_clips > 0 and not is_standardized(connector)
    can_adapt = hasattr(config, "label_clouds") and connector.config.num_statistics_tokens > 0
    lacks_clouds = args.adaptation_clips > 0 and can_adapt and config.label_clouds is None
    wanted = max(args.standardize_clips * is_new, args.adaptation_clips * lacks_clouds)
    if not wanted:
        return
    clips = _hear(trainer, wanted)
    if is_new:
        set_domain(connector, clips.domain())
    if lacks_clouds:
        clouds = make_adaptable(connector, clips, len(config.labels))
        config.label_clouds = None if clouds is None else clouds.to_dict()


def adopt_readings(model: Any, config: Mapping[str, Any]) -> None:
    """Make room for what a run measured whose model had this config, and take over its clouds."""
    if not hasattr(model.config, "label_clouds"):
        return
    model.config.label_clouds = config.get("label_clouds")
    connector = config.get("qformer_config", {})
    readings, traits = connector.get("num_readings", 0), connector.get("num_speaker_traits", 0)
    if readings and not model.connector.config.num_readings:
        model.connector.make_room_for_readings(readings, traits)


def _hear(trainer: Any, wanted: int) -> TrainingClips:
    """Training clips drawn by the run's seed; of a data set that only streams, its first."""
    statistics, lengths, emotions, known = [], [], [], []
    for rows, frames, mask, numbers in trainer.frozen_frames(_drawn(trainer, wanted)):
        statistics.append(statistics_of(frames, mask))
        lengths.append(mask.sum(1))
        emotions.append(numbers.cpu())
        known += [(str(row.get("corpus")), identity(row, "speaker") or UNKNOWN, row.get("gender")) for row in rows]
        if len(statistics) * statistics[0].nbytes > SAMPLE_BYTES:
            break
    corpora, speakers, genders = zip(*known, strict=True)
    numbers = torch.cat(emotions)
    return TrainingClips(
        torch.cat(statistics),
        torch.cat(lengths),
        torch.where(numbers >= 0, numbers, -1),
        np.array(corpora),
        np.array(speakers),
        genders,
    )


def _drawn(trainer: Any, wanted: int) -> Iterable[Any]:
    dataset = trainer.train_dataset
    if not hasattr(dataset, "__len__"):
        return islice(dataset, wanted)
    chosen = np.random.default_rng(trainer.args.seed).permutation(len(dataset))[:wanted].tolist()
    return (dataset[row] for row in chosen)
