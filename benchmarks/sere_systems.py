"""What SERE is compared with, and what it is without each of its parts: systems that learn one task each.

Every system reads the same frames of the same encoders. `prototype` alone knows nothing of unlabelled clips; all others
know at least the mean and the deviation of their frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_mser.evaluation.tasks import Task
from hf_mser.objectives.resonance_field import own_readings, prototypes_of
from hf_mser.training.sere.frames import HeardClips
from hf_mser.training.sere.model import Sounding
from hf_mser.training.sere.prediction import TaskPredictor, learn_task, new_learner, read_test
from hf_mser.training.sere.recipe import SereRecipe
from hf_mser.training.sere.sounds import Listeners, TaskSounds

FIXMATCH_CONFIDENCE = 0.95  # that of the FixMatch paper
FIXMATCH_KEPT_FRAMES = 0.5  # in the strong view


@dataclass(frozen=True)
class Lesson:
    """What a system is given: the recipe, the task, how it sounds, and who listened."""

    recipe: SereRecipe
    task: Task
    sounds: TaskSounds
    listeners: Listeners


@dataclass(frozen=True)
class System:
    """A name for the table, how the readings of the test clips come about, and what the recipe changes for it."""

    name: str
    title: str
    read: Callable[[Lesson], tuple[Tensor, dict[str, float]]]
    objective: Mapping[str, Any] = field(default_factory=dict)
    heads: Mapping[str, Any] = field(default_factory=dict)
    one_encoder: bool = False

    def recipe(self, base: SereRecipe, seed: int) -> SereRecipe:
        """The recipe of this system."""
        return replace(
            base,
            seed=seed,
            languages={"others": base.languages["others"]} if self.one_encoder else base.languages,
            heads=replace(base.heads, **self.heads),
            objective=[{**base.objective[0], **self.objective}],
        )


class TaughtOnTask:
    """Makes a system's predictor for each task; `watched` keeps what was logged at the end of each training."""

    def __init__(self, system: System, base: SereRecipe, listeners: Listeners) -> None:
        self.system, self.base, self.listeners = system, base, listeners
        self.watched: dict[str, dict[str, float]] = {}

    def __call__(self, task: Task) -> TaskPredictor:
        self.listeners.recipe = recipe = self.system.recipe(self.base, task.seed)
        lesson = Lesson(recipe, task, self.listeners.hear_task(task), self.listeners)
        readings, self.watched[task.name] = self.system.read(lesson)
        return TaskPredictor({"name": self.system.name}, task, readings)


def by_sere(lesson: Lesson) -> tuple[Tensor, dict[str, float]]:
    """SERE as the recipe says."""
    learner = learn_task(lesson.recipe, lesson.sounds)
    return read_test(learner, lesson.task.transductive)[0], learner.history[-1]


def by_labelled_head(lesson: Lesson) -> tuple[Tensor, dict[str, float]]:
    """SERE's heads and objective, but no unlabelled clip ever joins: the warm-up alone, as long as SERE's."""
    training = replace(lesson.recipe.training, steps=lesson.recipe.training.warm_up_steps)
    learner = learn_task(replace(lesson.recipe, training=training), lesson.sounds)
    return read_test(learner, transductive=False)[0], learner.history[-1]


def by_prototype(lesson: Lesson) -> tuple[Tensor, dict[str, float]]:
    """The nearest mean of labelled clips' mean frames, all clips standardised by the labelled ones."""
    encoder = lesson.sounds.test.encoder
    labelled, test = (lesson.listeners.hear(encoder, clips) for clips in (lesson.task.train, lesson.task.test))
    return _nearest(labelled.standardised_by(labelled), test.standardised_by(labelled), lesson), {}


def by_adapted_prototype(lesson: Lesson) -> tuple[Tensor, dict[str, float]]:
    """The same, each corpus standardised by its own unlabelled clips."""
    [labelled] = [own.clips for own in lesson.sounds.labelled if own.encoder == lesson.sounds.test.encoder]
    return _nearest(labelled, lesson.sounds.test.clips, lesson), {}


def by_fixmatch(lesson: Lesson) -> tuple[Tensor, dict[str, float]]:
    """Self-training: what is read surely in a weak view of an unlabelled clip is its label in a strong view.

    The heads, their start, the batches and the number of steps are SERE's; the classifier (one direction for each
    emotion) learns with them. The weak view is the clip as it is, the strong one half of its frames, through dropout.
    """
    learner = new_learner(lesson.recipe, lesson.sounds)
    model, training, temperature = learner.model, lesson.recipe.training, learner.objective.temperature
    model.eval()
    with torch.no_grad():
        directions = prototypes_of(*learner.embed_labelled(), len(lesson.sounds.classes))
    directions.requires_grad_()
    optimizer = torch.optim.AdamW(
        [*model.parameters(), directions], lr=training.learning_rate, weight_decay=training.weight_decay
    )
    shares = []
    for step in range(training.steps):
        random = learner.seed_step(step)
        soundings = learner.draw(random)
        with torch.no_grad():
            weak = own_readings(model.eval().embed(soundings), F.normalize(directions, dim=1), temperature)
        sureness, guessed = weak.max(1)
        strong = [Sounding(own.encoder, _part_of_frames(own.clips, random)) for own in soundings]
        model.train()
        embeds, emotions = learner.embed_labelled(strong)
        logits = embeds @ F.normalize(directions, dim=1).T / temperature
        known = F.cross_entropy(logits[: len(emotions)], emotions)
        sure = sureness >= FIXMATCH_CONFIDENCE
        unknown = F.cross_entropy(logits[len(emotions) :], guessed, reduction="none")
        loss = known + (unknown * sure).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        shares.append(float(sure.float().mean()))
    model.prototypes.copy_(F.normalize(directions.detach(), dim=1))
    return read_test(learner, transductive=False)[0], {"confident/share": shares[-1]}


def _part_of_frames(clips: HeardClips, random: torch.Generator) -> HeardClips:
    """About half of each clip's frames, one at least."""
    score = torch.rand(len(clips.values), generator=random)
    owner = clips.owner()
    best = torch.full((len(clips),), -1.0).scatter_reduce(0, owner, score, "amax")
    kept = (score >= 1 - FIXMATCH_KEPT_FRAMES) | (score == best[owner])
    return HeardClips(clips.values[kept], torch.bincount(owner[kept], minlength=len(clips)))


def _nearest(labelled: HeardClips, test: HeardClips, lesson: Lesson) -> Tensor:
    emotions = lesson.sounds.emotions
    prototypes = prototypes_of(F.normalize(labelled.means(), dim=1), emotions, len(lesson.sounds.classes))
    return own_readings(F.normalize(test.means(), dim=1), prototypes, temperature=0.1)


SYSTEMS = (
    System("prototype", "labelled only: 5-shot prototypes", by_prototype),
    System("prototype-adapted", "the same, corpora standardised without labels", by_adapted_prototype),
    System("labelled-head", "SERE's heads after the warm-up", by_labelled_head),
    System("fixmatch", "self-training (FixMatch-like)", by_fixmatch, heads={"highlights": float("inf")}),
    System("sere", "**SERE**", by_sere),
    System("no-prototype", "without prototype resonance", by_sere, objective={"prototype": 0.0}),
    System("no-instance", "without dual-instance resonance", by_sere, objective={"instance": 0.0}),
    System("no-walk", "without the closing walk", by_sere, objective={"walk": 0.0}),
    System("no-entropy", "without the entropy term", by_sere, objective={"entropy": 0.0}),
    System("no-field", "without the field (r = 0)", by_sere, objective={"field_share": 0.0}),
    System("no-highlights", "without highlights (plain mean)", by_sere, heads={"highlights": float("inf")}),
    System("one-encoder", "one shared encoder (whisper-base)", by_sere, one_encoder=True),
)
"""In the order of the table."""
