"""How sure may a trained model be? Asked of validation clips, as it is and adapted to each of their corpora."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..adaptation import adapt_to_frames, unadapted_afterwards
from .data import Clips

FEWEST_CLIPS = 20
TEMPERATURES = np.exp(np.linspace(np.log(0.5), np.log(10), 60)).round(3)


def calibrate(trainer: Any, clips: Clips) -> None:
    """Set the temperatures under which validation clips' labels are most likely: the config's, and its clouds'.

    Of fewer than `FEWEST_CLIPS` nothing is learned.

    Example:
        >>> calibrate(trainer, validation)  # doctest: +SKIP
        >>> trainer.model.config.temperature  # doctest: +SKIP
        1.8
    """
    if len(clips) < FEWEST_CLIPS:
        return
    config = trainer.model.config
    numbers = np.array([config.labels.index(emotion) for emotion in clips["emotion"]])
    config.temperature = best_temperature([trainer.predict(clips).predictions], [numbers])
    if not getattr(config, "label_clouds", None):
        return
    scores, truths, corpora = [], [], np.array(clips["corpus"])
    for name in np.unique(corpora):
        own = np.flatnonzero(corpora == name)
        rows = Clips([clips[int(row)] for row in own])
        with unadapted_afterwards(trainer.model):
            adapt_to_frames(trainer.model, (heard[1:3] for heard in trainer.frozen_frames(iter(rows))))
            scores.append(trainer.predict(rows).predictions)
        truths.append(numbers[own])
    config.label_clouds = {**config.label_clouds, "temperature": best_temperature(scores, truths)}


def best_temperature(scores: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> float:
    """What scores (clips, labels) must be divided by for the truth to be most likely, every corpus counting the same.

    Example:
        >>> best_temperature([np.array([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0]])], [np.array([0, 0, 1])])
        10.0
    """

    def surprise(temperature: float) -> float:
        losses = []
        for own, truth in zip(scores, truths, strict=True):
            logits = own.astype(np.float64) / temperature
            logits -= logits.max(1, keepdims=True)
            losses.append(np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(truth)), truth]))
        return float(np.mean(losses))

    return float(min(TEMPERATURES, key=surprise))
