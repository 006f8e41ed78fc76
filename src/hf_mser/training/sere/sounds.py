"""What a SERE task sounds like: its labelled, unlabelled and test clips, each heard by the right encoders.

Every language is heard by its own encoder. The labelled clips are heard by all encoders of the task, which ties the
heads to one space [ours]. Frames are standardised by the unlabelled clips of their corpus as that encoder heard them:
no label is needed for it, and no test clip either, unless the task is transductive.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...evaluation.clips import Clip
from ...evaluation.tasks import Task
from .frames import FrozenEncoder, HeardClips
from .model import Sounding
from .recipe import SereRecipe

COLLECTIONS = 24  # of some 30 MB each


@dataclass(frozen=True)
class TaskSounds:
    """A task, heard. Unlabelled clips come in two languages: the source's and the target's."""

    classes: tuple[str, ...]
    widths: Mapping[str, int]
    source: Mapping[str, HeardClips]
    """All clips of the source, as each encoder of the task heard them."""
    shots: Tensor
    """The places of the labelled clips among these."""
    emotions: Tensor
    """Of the labelled clips, as numbers in `classes`."""
    unlabelled: tuple[Sounding, Sounding]
    references: tuple[Tensor, Tensor]
    """The emotions of the unlabelled clips: to watch the training with, never to train or to choose by."""
    test: Sounding

    @property
    def labelled(self) -> tuple[Sounding, ...]:
        """The labelled clips, once for each encoder."""
        return tuple(Sounding(name, heard.take(self.shots)) for name, heard in self.source.items())


class Listeners:
    """The encoders of a recipe, loaded when they are first needed, and what they have heard so far.

    Example:
        >>> listeners = Listeners(recipe)  # doctest: +SKIP
        >>> listeners.hear_task(task).test.clips.values.shape  # doctest: +SKIP
        torch.Size([19099, 512])
    """

    def __init__(self, recipe: SereRecipe) -> None:
        self.recipe = recipe
        self._encoders: dict[str, FrozenEncoder] = {}
        self._heard: dict[str, dict[str, Tensor]] = {}  # by encoder and clip, frames as they are trained on
        self._whole: dict[tuple[str, tuple[str, ...]], HeardClips] = {}

    def encoder(self, name: str) -> FrozenEncoder:
        """One of the recipe's encoders."""
        if name not in self._encoders:
            folder = self.recipe.cache.folder or os.path.join(self.recipe.output_dir, "frames")
            size = int(self.recipe.cache.max_gigabytes * 1024**3)
            self._encoders[name] = FrozenEncoder(self.recipe.encoders[name], folder, size)
        return self._encoders[name]

    def hear(self, name: str, clips: Sequence[Clip]) -> HeardClips:
        """What the encoder of that name hears in the clips."""
        heard = self._heard.setdefault(name, {})
        new = [clip for clip in clips if clip.key not in heard]
        if new:
            frames = self.encoder(name).hear([clip.audio for clip in new])
            frames = frames.averaged(self.recipe.training.frames_together)
            heard.update(zip((clip.key for clip in new), frames.values.split(frames.lengths.tolist()), strict=True))
        return HeardClips.of([heard[clip.key] for clip in clips])

    def hear_task(self, task: Task) -> TaskSounds:
        """All sides of a task."""
        corpus = task.train[0].corpus
        everyone = sorted({*task.train, *task.unlabelled}, key=lambda clip: clip.key)
        source = [clip for clip in everyone if clip.corpus == corpus]
        target = [clip for clip in everyone if clip.corpus != corpus]
        own, foreign = (self.recipe.encoder_of(clips[0].language) for clips in (source, target))
        sources = {name: self._hear_whole(name, source) for name in dict.fromkeys((own, foreign))}
        targets = self._hear_whole(foreign, target)
        shots = _places(task.train, source)
        others = torch.tensor(sorted({*range(len(source))} - {*shots.tolist()}))
        if task.transductive:
            test = targets.take(_places(task.test, target))
        else:
            test = self.hear(foreign, task.test).standardised_by(self.hear(foreign, target))
        return TaskSounds(
            classes=task.classes,
            widths={name: self.encoder(name).width for name in sources},
            source=sources,
            shots=shots,
            emotions=_numbers(task.train, task.classes),
            unlabelled=(Sounding(own, sources[own].take(others)), Sounding(foreign, targets)),
            references=(_numbers(source, task.classes)[others], _numbers(target, task.classes)),
            test=Sounding(foreign, test),
        )

    def _hear_whole(self, name: str, clips: Sequence[Clip]) -> HeardClips:
        """Clips of one corpus, standardised by themselves; the last few such collections are remembered."""
        key = name, tuple(clip.key for clip in clips)
        if key not in self._whole:
            heard = self.hear(name, clips)
            if len(self._whole) == COLLECTIONS:
                self._whole.pop(next(iter(self._whole)))
            self._whole[key] = heard.standardised_by(heard)
        return self._whole[key]


def _places(clips: Sequence[Clip], among: Sequence[Clip]) -> Tensor:
    place = {clip.key: number for number, clip in enumerate(among)}
    return torch.tensor([place[clip.key] for clip in clips])


def _numbers(clips: Sequence[Clip], classes: Sequence[str]) -> Tensor:
    return torch.tensor([classes.index(str(clip.emotion)) for clip in clips])
