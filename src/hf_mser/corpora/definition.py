"""What a corpus is: its terms, its people, its labels, its splits, and the function that reads it.

A definition is data. The work that all corpora share (walking, matching, counting, splitting) lives
here and in `reading.py`, so that the file of one corpus says only what is particular to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..emotions import CORPUS_LABELS, EMOTIONS, emotion_of_label
from .schema import SPLITS, CorpusError

FOUR_CLASSES: tuple[str, ...] = ("neutral", "happy", "sad", "angry")


@dataclass(frozen=True)
class Clip:
    """One utterance as its distribution describes it; `path` is relative to the folder that was read."""

    id: str
    path: str
    label: str
    speaker: str | None = None
    gender: str | None = None
    language: str | None = None
    text: str | None = None
    official_split: str | None = None
    start: float | None = None
    """Seconds into the file, where clips are parts of long recordings; `None` = the whole file."""
    end: float | None = None
    sentence: str | None = None


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a corpus, where it is, and what it means for the result."""

    kind: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.message}"


@dataclass(frozen=True)
class Expected:
    """What a complete copy holds, by its own documentation. `None` or empty = not documented."""

    clips: int | None = None
    speakers: int | None = None
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """A set of classes under which papers report a corpus; `relabel` names classes outside the seven."""

    classes: tuple[str, ...]
    relabel: Mapping[str, str] = field(default_factory=dict)

    def emotion(self, corpus: str, label: str) -> str | None:
        """The class of an original label in this view, or `None` when the view leaves it out."""
        emotion = self.relabel.get(label) or emotion_of_label(corpus, label)
        return emotion if emotion in self.classes else None


Reader = Callable[[Path], Iterable["Clip | Problem"]]


@dataclass(frozen=True)
class Corpus:
    """A speech emotion corpus.

    Example:
        >>> from hf_mser.corpora import get
        >>> emodb = get("emodb")
        >>> emodb.language, emodb.emotion("Wut (anger)"), emodb.split_of("03")
        ('de', 'angry', 'train')
    """

    name: str
    title: str
    language: str
    licence: str
    citation: str
    homepage: str
    layout: str
    """The original distribution's files, in one line: what `--source` must point to."""
    reader: Reader
    expected: Expected = Expected()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    hashed_split: bool = False
    """Speakers that are in neither list are spread 80/10/10 by the SHA-256 of their name (else: train)."""
    single_split: str | None = None
    """The one split of a corpus that cannot be divided without sharing speakers or emotions."""
    official_split: str | None = None
    """What the authors' own split is, when there is one; `load_corpus(..., splits="official")`."""
    official_keeps_speakers_apart: bool = False
    """The authors' split already does what ours must, so it is ours too."""
    extra_views: Mapping[str, View] = field(default_factory=dict)
    emotional: bool = True
    """False when the labels are not emotions (levels of arousal): no evaluation of emotions on it."""
    trains_published_weights: bool = False
    """Whether weights trained on it may be shipped or published; else research figures and tests alone."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shared = sorted(set(self.validation) & set(self.test))
        if shared:
            raise CorpusError(f"{self.name}: speakers {shared} are listed for validation and for test.")
        if self.single_split not in (None, *SPLITS):
            raise CorpusError(f"{self.name}: single_split {self.single_split!r} is none of {SPLITS}.")

    @property
    def labels(self) -> dict[str, str | None]:
        """Original label -> canonical emotion, or `None` for one outside the seven."""
        return CORPUS_LABELS[self.name]

    def emotion(self, label: str) -> str | None:
        """The canonical emotion of an original label; an unknown label is an `UnknownLabelError`."""
        return emotion_of_label(self.name, label)

    @property
    def emotions(self) -> tuple[str, ...]:
        """The canonical emotions that the corpus holds, in canonical order."""
        held = set(self.labels.values())
        return tuple(emotion for emotion in EMOTIONS if emotion in held)

    @property
    def views(self) -> dict[str, View]:
        """The sets of classes to report: `7-class` = all it has of the seven, `4-class` where all four exist."""
        views = {"7-class": View(self.emotions)}
        if set(FOUR_CLASSES) <= set(self.emotions):
            views["4-class"] = View(FOUR_CLASSES)
        return {**views, **self.extra_views}

    def split_of(self, speaker: str | None, official: str | None = None) -> str | None:
        """The split of a speaker: fixed, the same on every machine, every clip of a speaker on one side.

        A clip without a known speaker has no split, unless the corpus has but one.
        """
        if self.official_keeps_speakers_apart:
            return official if official in SPLITS else None
        if self.single_split is not None or speaker is None:
            return self.single_split
        if speaker in self.test:
            return "test"
        if speaker in self.validation:
            return "validation"
        return spread(speaker) if self.hashed_split else "train"


def spread(speaker: str) -> str:
    """One of train, validation, test (80/10/10) by the SHA-256 of a speaker's name.

    Example:
        >>> spread("speaker-17") in ("train", "validation", "test")
        True
    """
    tenth = int.from_bytes(hashlib.sha256(speaker.encode()).digest()[:8], "big") % 10
    return {0: "test", 1: "validation"}.get(tenth, "train")
