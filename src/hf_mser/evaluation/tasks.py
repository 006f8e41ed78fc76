"""One experiment: which clips teach, which choose, which judge, and the proof that they do not touch.

Half of the field's standard benchmark has speakers on both sides of its folds, and no program said so. Here a
`Task` cannot leave a protocol before `check` has compared its sides by clip, by speaker and by recording.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import MSERError
from .clips import Clip

Clips = tuple[Clip, ...]


class ProtocolError(MSERError, ValueError):
    """A protocol that cannot be carried out on these clips, or sides of a task that touch."""


class LeakageError(ProtocolError):
    """Something of the test side stands on the training side."""


@dataclass(frozen=True)
class Task:
    """One train / validation / test experiment of a protocol.

    Tasks that agree in `source`, `target` and `seed` (the folds of one corpus) are parts of one result; tasks
    that agree in `training_set` and `seed` learn from the same clips, so that one trained model serves them
    all.

    Example:
        >>> clips = tuple(Clip("emodb", f"{i}.wav", None, e, str(i)) for i, e in enumerate(["sad", "happy"]))
        >>> Task("whole-corpus", "-", "emodb", classes=("happy", "sad"), test=clips).check().name
        'emodb'
    """

    protocol: str
    source: str
    target: str
    classes: tuple[str, ...]
    test: Clips
    train: Clips = ()
    auxiliary: Clips = ()
    """Labelled clips of further corpora, which only some systems may use (EDRL's non-target data)."""
    unlabelled: Clips = ()
    """Clips without their labels; `transductive` says whether the test clips are among them."""
    validation: Clips = ()
    seed: int = 0
    fold: str = ""
    training_set: str = ""
    speaker_independent: bool = True
    transductive: bool = False
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """A short name, usable as a file name: source, target, fold, seed, as far as they tell anything."""
        parts = ["" if self.source == "-" else self.source, self.target, self.fold]
        parts += [f"seed{self.seed}"] if self.seed else []
        return "--".join(part for part in parts if part)

    @property
    def labelled(self) -> Clips:
        """Every clip whose label may teach."""
        return self.train + self.auxiliary

    @property
    def shared_speakers(self) -> tuple[str, ...]:
        """Speakers of the test side who also stand on the labelled side."""
        return tuple(sorted(_speakers(self.labelled + self.validation) & _speakers(self.test)))

    def check(self, duplicates: Mapping[str, str] | None = None) -> Task:
        """The task itself, once nothing crosses; else a `LeakageError` that names what does.

        `duplicates` gives the recording of every clip that has a twin (`duplicates.find_duplicates`).
        """
        self._check_test()
        self._check_clips()
        self._check_speakers()
        self._check_recordings(duplicates or {})
        return self

    def without_twins(self, duplicates: Mapping[str, str]) -> Task:
        """The task without training clips that are recordings of test clips; the test side never shrinks."""
        if not duplicates:
            return self
        judged = {duplicates[clip.key] for clip in self.test if clip.key in duplicates}
        sides = (self.train, self.auxiliary, self.validation)
        kept = [tuple(clip for clip in side if duplicates.get(clip.key) not in judged) for side in sides]
        dropped = sum(map(len, sides)) - sum(map(len, kept))
        if not dropped:
            return self
        train, auxiliary, validation = kept
        notes = (*self.notes, f"{dropped} training clips left out: the same recordings as test clips")
        return replace(self, train=train, auxiliary=auxiliary, validation=validation, notes=notes)

    def summary(self) -> dict[str, Any]:
        """What a result says of its task: sizes, speakers, corpora, and a digest of each side's clip list."""
        sides = ("train", "auxiliary", "unlabelled", "validation", "test")
        return {
            "name": self.name,
            "training_set": self.training_set or None,
            "classes": list(self.classes),
            "speaker_independent": self.speaker_independent,
            "shared_speakers": len(self.shared_speakers),
            "transductive": self.transductive,
            "notes": list(self.notes),
            "sides": {side: _side(getattr(self, side)) for side in sides if getattr(self, side)},
        }

    def _check_test(self) -> None:
        if not self.test:
            raise ProtocolError(f"{self.name}: no clip to test. Give the corpus {self.target}.")
        if len(self.classes) < 2:
            raise ProtocolError(
                f"{self.name}: {len(self.classes)} class; a test needs at least two. Add clips of other emotions, "
                "or test languages together: --protocol whole-corpus."
            )
        for clip in (*self.test, *self.labelled, *self.validation):
            if clip.emotion is None:
                raise ProtocolError(f"{self.name}: {clip.key} has no emotion; unlabelled clips cannot teach or judge.")
        strangers = sorted({str(clip.emotion) for clip in self.test} - set(self.classes))
        if strangers:
            raise ProtocolError(f"{self.name}: test clips with {', '.join(strangers)}, outside of {self.classes}.")

    def _check_clips(self) -> None:
        sides = {
            "train": self.train,
            "auxiliary": self.auxiliary,
            "validation": self.validation,
            "test": self.test,
        }
        home: dict[str, str] = {}
        for side, clips in sides.items():
            for clip in clips:
                if clip.key in home:
                    raise LeakageError(f"{self.name}: {clip.key} stands in {home[clip.key]} and in {side}.")
                home[clip.key] = side
        if not self.transductive:
            self._refuse("clips", _keys(self.unlabelled) & _keys(self.test), "the unlabelled clips")

    def _check_speakers(self) -> None:
        if not self.speaker_independent:
            return
        self._refuse("speakers", self.shared_speakers, "the training side")
        crossing = _speakers(self.labelled) & _speakers(self.validation)
        self._refuse("validation speakers", crossing, "the training side")
        if not self.transductive:
            self._refuse("speakers", _speakers(self.unlabelled) & _speakers(self.test), "the unlabelled clips")

    def _check_recordings(self, duplicates: Mapping[str, str]) -> None:
        sides = [self.labelled + self.validation, self.test]
        taught, judged = ({duplicates[c.key]: c.key for c in side if c.key in duplicates} for side in sides)
        crossing = [f"{judged[recording]} = {taught[recording]}" for recording in sorted(set(taught) & set(judged))]
        self._refuse("recordings", crossing, "the training side")

    def _refuse(self, what: str, crossing: Iterable[str], where: str) -> None:
        listed = sorted(crossing)
        if listed:
            shown = ", ".join(listed[:5]) + (" ..." if len(listed) > 5 else "")
            raise LeakageError(
                f"{self.name}: {len(listed)} {what} of the test side also stand in {where}: {shown}. "
                "Take them out of one side."
            )


def _keys(clips: Sequence[Clip]) -> set[str]:
    return {clip.key for clip in clips}


def _speakers(clips: Sequence[Clip]) -> set[str]:
    return {clip.speaker_key for clip in clips}


def _side(clips: Clips) -> dict[str, Any]:
    listing = "\n".join(clip.key for clip in clips)
    return {
        "clips": len(clips),
        "speakers": len(_speakers(clips)),
        "corpora": sorted({clip.corpus for clip in clips}),
        "languages": sorted({clip.language or "?" for clip in clips}),
        "sha256": hashlib.sha256(listing.encode()).hexdigest(),
    }
