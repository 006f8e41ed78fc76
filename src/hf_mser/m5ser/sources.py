"""What is to be translated: clips of prepared corpora, with their human labels."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..corpora import load_corpus
from ..corpora.definition import spread
from ..corpora.schema import SPLITS, CorpusError


@dataclass(frozen=True)
class Source:
    """A clip of a corpus, on its way into M5SER."""

    corpus: str
    id: str
    path: str
    bytes: int
    emotion: str
    original_label: str
    split: str
    language: str
    licence: str
    speaker: str | None = None
    gender: str | None = None
    text: str | None = None
    duration: float | None = None

    @property
    def key(self) -> str:
        """Its identity over all corpora."""
        return f"{self.corpus}/{self.id}"

    @property
    def voice(self) -> str | None:
        """The speaker's identity over all corpora."""
        return f"{self.corpus}/{self.speaker}" if self.speaker is not None else None

    @property
    def draw(self) -> str:
        """A fixed random place in any order: shards are mixed, and a part is a fair sample."""
        return hashlib.sha256(self.key.encode()).hexdigest()


def read_sources(
    corpora: Sequence[str | Path],
    *,
    splits: Sequence[str] = SPLITS,
    clips_per_emotion: int | None = None,
) -> list[Source]:
    """The clips of the corpora that have one of the seven emotions, in mixed order.

    Args:
        corpora: Folders of prepared corpora, or names.
        splits: Keep the clips of these splits. A speaker without a split gets one by its name.
        clips_per_emotion: Keep this many clips of each emotion of each corpus, spread over the speakers.

    Example:
        >>> sources = read_sources(["crema_d"], splits=["train"], clips_per_emotion=90)  # doctest: +SKIP
    """
    found: list[Source] = []
    for corpus in corpora:
        here = [source for source in _of_corpus(corpus) if source.split in splits]
        if not here:
            raise CorpusError(f"{corpus}: no clip with an emotion in the splits {', '.join(splits)}.")
        found += _spread_over_speakers(here, clips_per_emotion) if clips_per_emotion else here
    _refuse_twice(found)
    return sorted(found, key=lambda source: source.draw)


def _of_corpus(name_or_dir: str | Path) -> list[Source]:
    dataset = load_corpus(name_or_dir, columns=("file_name",))
    emotions = dataset.features["emotion"].names
    found = []
    for row in dataset:
        if row["emotion"] is None:
            continue
        if row["language"] is None:
            raise CorpusError(f"{name_or_dir}: {row['file_name']} has no language; add it to metadata.jsonl.")
        name = PurePosixPath(row["file_name"]).with_suffix("").as_posix()
        found.append(
            Source(
                corpus=row["corpus"],
                id=name,
                path=row["audio"]["path"],
                bytes=os.path.getsize(row["audio"]["path"]),
                emotion=emotions[row["emotion"]],
                original_label=row["original_label"],
                split=row["split"] or spread(row["speaker"] or name),
                language=row["language"],
                licence=row["licence"] or "not stated",
                speaker=row["speaker"],
                gender=row["gender"],
                text=row["text"],
                duration=row["duration"],
            )
        )
    return found


def _spread_over_speakers(sources: Sequence[Source], count: int) -> list[Source]:
    """`count` clips of each emotion: everybody's first, then everybody's second, ..."""
    cells: dict[tuple[str, str | None], list[Source]] = defaultdict(list)
    for source in sorted(sources, key=lambda source: source.draw):
        cells[source.emotion, source.speaker].append(source)
    rounds: dict[str, list[tuple[int, str, Source]]] = defaultdict(list)
    for (emotion, _), held in cells.items():
        rounds[emotion] += [(turn, source.draw, source) for turn, source in enumerate(held)]
    return [source for held in rounds.values() for *_, source in sorted(held, key=lambda item: item[:2])[:count]]


def _refuse_twice(sources: Sequence[Source]) -> None:
    seen: set[str] = set()
    for source in sources:
        if source.key in seen:
            raise CorpusError(f"{source.key} comes twice: two folders hold the same corpus, or two files one name.")
        seen.add(source.key)
