"""A trained SERE model as evaluation sees it: what it reads in the test clips of its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...evaluation.clips import Clip
from ...evaluation.predictors import Prediction
from ...evaluation.tasks import Task
from ...objectives import build
from ...objectives.resonance import TripleResonance
from ...objectives.resonance_field import field_readings
from .learning import Log, ResonanceLearner
from .model import ResonanceModel
from .recipe import SereRecipe
from .sounds import TaskSounds
from .start import start_heads


class TaskPredictor:
    """The answers for the test clips of one task, given once for all of them.

    Example:
        >>> predictor = TaskPredictor({"name": "sere"}, task, readings)  # doctest: +SKIP
        >>> predictor(task.test[:1])[0].scores  # doctest: +SKIP
        {'happy': 0.7, 'sad': 0.3}
    """

    def __init__(self, identity: Mapping[str, Any], task: Task, readings: Tensor, embeds: Tensor | None = None) -> None:
        self.identity = identity
        self._scores = {
            clip.key: dict(zip(task.classes, row, strict=True))
            for clip, row in zip(task.test, readings.tolist(), strict=True)
        }
        rows = [None] * len(task.test) if embeds is None else embeds.float().numpy()
        self._embeds = {clip.key: row for clip, row in zip(task.test, rows, strict=True)}

    def __call__(self, clips: Sequence[Clip]) -> list[Prediction]:
        return [Prediction(self._scores[clip.key], self._embeds[clip.key]) for clip in clips]


def new_learner(recipe: SereRecipe, sounds: TaskSounds, checkpoint: Path | None = None) -> ResonanceLearner:
    """The untrained model of a recipe for a task, with its objective; batches and dropout are the seed's."""
    [(_, objective)] = build(recipe.objective).terms()
    if not isinstance(objective, TripleResonance):
        raise TypeError("The recipe's objective was checked to be triple_resonance.")
    torch.manual_seed(recipe.seed)
    heads = recipe.heads
    model = ResonanceModel(
        sounds.widths,
        len(sounds.classes),
        objective.temperature,
        heads.highlights,
        size=heads.size,
        hidden=heads.hidden,
        dropout=heads.dropout,
        bf16=heads.bf16,
    )
    start_heads(model, sounds)
    return ResonanceLearner(model, objective, sounds, recipe.training, recipe.seed, checkpoint)


def learn_task(
    recipe: SereRecipe, sounds: TaskSounds, checkpoint: Path | None = None, log: Log | None = None
) -> ResonanceLearner:
    """Train a new model on a task; the learner that holds it and its history."""
    learner = new_learner(recipe, sounds, checkpoint)
    learner.learn(log)
    return learner


@torch.no_grad()
def read_test(learner: ResonanceLearner, transductive: bool) -> tuple[Tensor, Tensor]:
    """Readings and embeddings of the test clips; each clip alone, or all of them in one field if transductive."""
    model, objective = learner.model.eval(), learner.objective
    embeds = model.embed([learner.sounds.test])
    own = model.readings(embeds)
    if not transductive:
        return own, embeds
    return field_readings(embeds, own, objective.temperature, objective.field_share), embeds
