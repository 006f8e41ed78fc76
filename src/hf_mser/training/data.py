"""The clips of a recipe: loaded, filtered in the open, checked for shared speakers, and fingerprinted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .recipe import DataSection, RecipeError, Source


class Clips(Sequence[dict[str, Any]]):
    """Rows in the corpus schema, in memory: where each clip is and what is known of it; sounds stay on disk.

    Example:
        >>> clips = Clips([{"audio": "a.wav", "emotion": "sad"}])
        >>> clips[0]["emotion"], clips["emotion"], clips.column_names
        ('sad', ['sad'], ['audio', 'emotion'])
    """

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = list(rows)

    @property
    def column_names(self) -> list[str]:
        """The names that rows have."""
        return list(self.rows[0]) if self.rows else []

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Any:
        return [row.get(key) for row in self.rows] if isinstance(key, str) else self.rows[key]

    def seconds(self) -> float:
        """The length of all clips together."""
        return float(sum(row["duration"] or 0.0 for row in self.rows))


@dataclass
class RecipeData:
    """The three parts of a recipe's data, and what was left out of them."""

    train: Clips
    validation: Clips
    test: dict[str, Clips] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def fingerprint(self) -> dict[str, Any]:
        """Counts and a hash of what the run learned from and was judged by."""
        parts = {"train": self.train, "validation": self.validation} | {
            f"test/{name}": clips for name, clips in self.test.items()
        }
        return {
            **{name: _describe(clips) for name, clips in parts.items()},
            "left_out": dict(self.left_out),
        }


def load_data(section: DataSection, labels: Sequence[str], seed: int) -> RecipeData:
    """All clips of a recipe, as words in the model's vocabulary.

    Clips that cannot be learned from (no emotion, too short, too long) are left out and counted; a corpus with an
    emotion that the model does not have is an error, as are speakers in both training and validation or test.

    Example:
        >>> load_data(recipe.data, model.config.labels, seed=0).train[0]["emotion"]  # doctest: +SKIP
        'happy'
    """
    left_out: Counter[str] = Counter()

    def load(sources: Sequence[Source], seed: int = 0) -> list[dict[str, Any]]:
        """Only training clips are chosen by the run's seed: all seeds are judged by the same clips."""
        rows: list[dict[str, Any]] = []
        for source in sources:
            rows += _load(source, section, labels, seed, left_out)
        return rows

    test: dict[str, Clips] = {}
    for source in section.test:
        name = Path(source.corpus).name
        test[name] = Clips([*test.get(name, Clips([])).rows, *load([source])])
    data = RecipeData(Clips(load(section.train, seed)), Clips(load(section.validation)), test, left_out)
    if not len(data.train):
        raise RecipeError(f"data.train: no clip is left to train on. Left out: {dict(left_out)}.")
    if not section.allow_shared_speakers:
        _refuse_shared_speakers(data)
    return data


def _load(
    source: Source, section: DataSection, labels: Sequence[str], seed: int, left_out: Counter[str]
) -> list[dict[str, Any]]:
    from ..corpora import load_corpus

    place = Path(section.root) / source.corpus if section.root is not None else None
    dataset = load_corpus(
        place if place is not None and place.is_dir() else source.corpus,
        split=source.split,
        splits=source.splits,
        view=source.view,
    )
    words = dataset.features["emotion"].names
    kept = []
    for row in dataset:
        emotion = None if row["emotion"] is None else words[row["emotion"]]
        reason = _why_left_out(row, emotion, source, section)
        if reason is not None:
            left_out[f"{source.corpus}: {reason}"] += 1
        elif emotion not in labels:
            raise RecipeError(
                f"{source.corpus} has the emotion {emotion!r}, but the model's labels are {', '.join(labels)}. Choose "
                "with `emotions: [...]` in this source, or give model.labels."
            )
        else:
            kept.append({**row, "emotion": emotion})
    return kept if source.clips_per_emotion is None else _choose(kept, source.clips_per_emotion, seed)


def _why_left_out(row: dict[str, Any], emotion: str | None, source: Source, section: DataSection) -> str | None:
    if emotion is None:
        return "no emotion of the vocabulary"
    if source.emotions is not None and emotion not in source.emotions:
        return "another emotion"
    if source.speakers is not None and row["speaker"] not in source.speakers:
        return "another speaker"
    if row["duration"] is not None and row["duration"] > section.max_seconds:
        return f"longer than {section.max_seconds:g} s"
    if row["duration"] is not None and row["duration"] < section.min_seconds:
        return f"shorter than {section.min_seconds:g} s"
    return None


def _choose(rows: list[dict[str, Any]], count: int, seed: int) -> list[dict[str, Any]]:
    """The same number of each emotion, by a seed, in the corpus' order."""
    order = np.random.default_rng(seed).permutation(len(rows))
    taken: Counter[str] = Counter()
    chosen = []
    for index in order:
        emotion = rows[index]["emotion"]
        if taken[emotion] < count:
            taken[emotion] += 1
            chosen.append(int(index))
    return [rows[index] for index in sorted(chosen)]


def _refuse_shared_speakers(data: RecipeData) -> None:
    def speakers(clips: Clips) -> set[tuple[Any, Any]]:
        return {(row["corpus"], row["speaker"]) for row in clips if row["speaker"] is not None}

    trained = speakers(data.train)
    for name, clips in {"validation": data.validation, **data.test}.items():
        shared = trained & speakers(clips)
        if shared:
            raise RecipeError(
                f"data: {len(shared)} speakers are in train and in {name}, such as {min(map(str, shared))}. Choose "
                "splits by speaker, or say allow_shared_speakers: true if the protocol wants it."
            )


def _describe(clips: Clips) -> dict[str, Any]:
    digest = hashlib.sha256()
    for row in clips:
        audio = row["audio"]["path"] if isinstance(row["audio"], dict) else row["audio"]
        digest.update(f"{row['corpus']}/{Path(str(audio)).name} {row['emotion']} {row['duration']}\n".encode())
    return {
        "clips": len(clips),
        "hours": round(clips.seconds() / 3600, 3),
        "speakers": len({(row["corpus"], row["speaker"]) for row in clips}),
        "corpora": dict(Counter(row["corpus"] for row in clips)),
        "languages": dict(Counter(row["language"] for row in clips)),
        "emotions": dict(Counter(row["emotion"] for row in clips)),
        "licences": sorted({str(row["licence"]) for row in clips}),
        "sha256": digest.hexdigest(),
    }
