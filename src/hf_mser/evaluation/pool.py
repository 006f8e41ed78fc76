"""The clips that a protocol may draw from, and the rules that their corpora set.

A corpus' definition says what it is good for: URDU, whose speakers and emotions are confounded, is for
testing only; BAVED's labels are levels of arousal, no emotions. Protocols see corpora through a `Pool`, which
obeys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..emotions import EMOTIONS
from .clips import Clip
from .tasks import Clips, ProtocolError

if TYPE_CHECKING:
    from ..corpora import Corpus


@dataclass(frozen=True)
class Unit:
    """The clips of one corpus in one language: what protocols train on and test."""

    name: str
    corpus: str
    language: str
    clips: Clips

    @property
    def classes(self) -> tuple[str, ...]:
        """The emotions that its clips hold, in canonical order, then others by name."""
        return classes_of(self.clips)

    def of(self, classes: Sequence[str]) -> Clips:
        """Its clips of these classes."""
        return tuple(clip for clip in self.clips if clip.emotion in classes)

    def split(self, name: str) -> Clips:
        """Its clips in one split of the corpus."""
        return tuple(clip for clip in self.clips if clip.split == name)


@dataclass(frozen=True)
class Pool:
    """Corpora as protocols see them.

    Example:
        >>> clips = [Clip("mine", f"{e}.wav", None, e, language="fr") for e in ("sad", "happy")]
        >>> [(unit.name, unit.classes) for unit in Pool.of(clips).units]
        [('mine', ('happy', 'sad'))]
    """

    units: tuple[Unit, ...]
    test_only: frozenset[str] = frozenset()
    left_out: dict[str, str] = field(default_factory=dict)
    """Corpus -> why its clips take no part."""

    @classmethod
    def of(cls, clips: Iterable[Clip], classes: Sequence[str] | None = None) -> Pool:
        """Group clips by corpus and language, keep those of `classes`, apply the corpora's rules."""
        by_corpus: dict[str, list[Clip]] = {}
        for clip in clips:
            by_corpus.setdefault(clip.corpus, []).append(clip)
        units: list[Unit] = []
        left_out: dict[str, str] = {}
        for corpus, members in by_corpus.items():
            kept = [c for c in members if c.emotion is not None and (classes is None or c.emotion in classes)]
            reason = _unfit(corpus, kept)
            if reason:
                left_out[corpus] = reason
                continue
            if len(kept) < len(members):
                left_out[f"{corpus} (part)"] = f"{len(members) - len(kept)} of {len(members)} clips have no class here"
            units += _units(corpus, kept)
        return cls(tuple(units), frozenset(name for name in by_corpus if _is_test_only(name)), left_out)

    @property
    def trainable(self) -> tuple[Unit, ...]:
        """The units that may teach."""
        return tuple(unit for unit in self.units if unit.corpus not in self.test_only)

    def corpus(self, name: str) -> Unit:
        """All clips of one corpus, whatever their language."""
        parts = [unit for unit in self.units if unit.corpus == name]
        if not parts:
            known = ", ".join(dict.fromkeys(unit.corpus for unit in self.units))
            raise ProtocolError(f"The corpus {name} is needed and not here. Given: {known or 'none'}.")
        clips = tuple(clip for unit in parts for clip in unit.clips)
        return replace(parts[0], name=name, clips=clips)

    @property
    def corpora(self) -> tuple[str, ...]:
        """The names of the corpora, in the order given."""
        return tuple(dict.fromkeys(unit.corpus for unit in self.units))


def classes_of(clips: Iterable[Clip]) -> tuple[str, ...]:
    """The emotions of some clips, in canonical order, then others by name."""
    held = {clip.emotion for clip in clips if clip.emotion is not None}
    return tuple(e for e in EMOTIONS if e in held) + tuple(sorted(held - set(EMOTIONS)))


def _units(corpus: str, clips: list[Clip]) -> list[Unit]:
    languages = list(dict.fromkeys(clip.language or "?" for clip in clips))
    return [
        Unit(
            name=corpus if len(languages) == 1 else f"{corpus}-{language}",
            corpus=corpus,
            language=language,
            clips=tuple(clip for clip in clips if (clip.language or "?") == language),
        )
        for language in languages
    ]


def _unfit(corpus: str, clips: list[Clip]) -> str | None:
    if not _is_emotional(corpus):
        return "its labels are not emotions"
    classes = classes_of(clips)
    if len(classes) < 2:
        return f"only {', '.join(classes) or 'no class'} is left; a test needs two classes"
    return None


def _is_emotional(corpus: str) -> bool:
    definition = _definition(corpus)
    return True if definition is None else bool(definition.emotional)


def _is_test_only(corpus: str) -> bool:
    definition = _definition(corpus)
    return definition is not None and definition.single_split == "test"


def _definition(name: str) -> Corpus | None:
    """The corpus' definition, or `None` for somebody's own folder, which has no rules."""
    from ..corpora import CorpusNotFoundError, get

    try:
        return get(name)
    except CorpusNotFoundError:
        return None
