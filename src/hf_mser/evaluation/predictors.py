"""What evaluation asks of a model, and how its scores become answers.

Anything that turns clips into scores over words can be evaluated: a checkpoint through the pipeline, a
baseline, a table read from a file. A corpus that has fewer classes than the model is answered among its own
classes: the scores of the others are dropped and the rest renormalised, as the papers' protocols do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..emotions import emotion_of
from ..errors import MSERError
from .clips import Clip
from .tasks import Task


class PredictionError(MSERError, ValueError):
    """Scores that cannot be turned into an answer."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one clip: a score for each of its words and, where it has one, an embedding."""

    scores: Mapping[str, float]
    embedding: np.ndarray | None = None


class Predictor(Protocol):
    """A model as evaluation sees it.

    `identity` goes into the results and decides whether an interrupted run may be continued, so it must
    change when the weights do.
    """

    @property
    def identity(self) -> Mapping[str, Any]:
        """Name, revision and digest of what predicts; must be JSON."""
        ...

    def __call__(self, clips: Sequence[Clip]) -> list[Prediction]:
        """One prediction for each clip, in order."""
        ...


PredictorFactory = Callable[[Task], Predictor]
"""Gives the model for a task: the same for all, or one trained on the task's training side."""


def restricted(scores: Mapping[str, float], classes: Sequence[str]) -> dict[str, float]:
    """The scores of `classes` alone, summing to 1; a class that the model lacks gets 0.

    Words that mean one of the classes (`joy`) count for it. Without any weight on the classes all are equal.

    Example:
        >>> restricted({"happy": 0.2, "sad": 0.2, "angry": 0.6}, ["happy", "sad"])
        {'happy': 0.5, 'sad': 0.5}
    """
    kept = dict.fromkeys(classes, 0.0)
    for word, score in scores.items():
        name = word if word in kept else emotion_of(word)
        if name in kept:
            kept[name] += _checked(word, score)
    total = sum(kept.values())
    if total <= 0:
        return dict.fromkeys(classes, 1 / len(classes))
    return {name: score / total for name, score in kept.items()}


def _checked(word: str, score: float) -> float:
    value = float(score)
    if not np.isfinite(value) or value < 0:
        raise PredictionError(f"The score of {word!r} is {value}; scores must be finite and not negative.")
    return value
