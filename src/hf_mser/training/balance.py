"""Emotions as often as one another: the balanced sampler for a data set, and weights of clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .arguments import MSERTrainingArguments
from .sampler import EmotionBatchSampler

FEWEST_DRAWN = 5


def balanced_sampler(dataset: Any, args: MSERTrainingArguments, local_batch_size: int) -> EmotionBatchSampler:
    """Batches of emotions x clips for a `datasets.Dataset` or any sequence of rows.

    Example:
        >>> balanced_sampler(dataset, args, args.train_batch_size)  # doctest: +SKIP
    """
    emotions = column(dataset, "emotion")
    kinds = len({emotion for emotion in emotions if emotion is not None and emotion != -100})
    emotions_per_batch, clips_per_emotion = args.batch_shape(kinds)
    durations = column(dataset, "duration")
    return EmotionBatchSampler(
        emotions,
        emotions_per_batch,
        clips_per_emotion,
        local_batch_size=local_batch_size,
        languages=column(dataset, "language") if args.languages_per_batch else None,
        languages_per_batch=args.languages_per_batch,
        speakers=column(dataset, "speaker") if args.spread_speakers else None,
        durations=durations if all(seconds is not None for seconds in durations) else None,
        length_window=args.length_window,
        seed=args.data_seed if args.data_seed is not None else args.seed,
    )


def balanced_weights(corpus: np.ndarray, emotion: np.ndarray, power: float = 0.5) -> np.ndarray:
    """Each clip's weight: emotions equal within a corpus, a corpus as a power of its size; unlabelled clips 0.

    Example:
        >>> balanced_weights(np.array(["a", "a", "a"]), np.array([0, 0, 1])).round(2).tolist()
        [0.25, 0.25, 0.5]
    """
    weights = np.zeros(len(corpus))
    for name in np.unique(corpus[emotion >= 0]):
        own = (corpus == name) & (emotion >= 0)
        kinds, number = np.unique(emotion[own], return_counts=True)
        weights[own] = own.sum() ** power / len(kinds) / number[np.searchsorted(kinds, emotion[own])]
    return weights / weights.sum()


def unequal_clips(emotion: np.ndarray, ratio: float, random: np.random.Generator) -> np.ndarray:
    """Places of clips of every emotion, the most frequent `ratio` times as often as the rarest, in a random order.

    Example:
        >>> emotion = np.repeat([0, 1, 2], 100)
        >>> np.unique(emotion[unequal_clips(emotion, 4, np.random.default_rng(0))], return_counts=True)[1].tolist()
        [25, 100, 50]
    """
    kinds = np.unique(emotion[emotion >= 0])
    return drawn_clips(emotion, ratio ** (-random.permutation(len(kinds)) / max(1, len(kinds) - 1)), random)


def drawn_clips(emotion: np.ndarray, shares: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Places of as many clips as have these shares of the emotions that occur, in ascending order; 5 of each at least.

    Example:
        >>> drawn_clips(np.array([0, 0, 0, 0, 0, 0, 1, 1, 1]), np.array([0.7, 0.3]), np.random.default_rng(0))
        array([0, 1, 2, 3, 4, 5, 6, 7, 8])
    """
    kinds, there = np.unique(emotion[emotion >= 0], return_counts=True)
    counts = np.maximum(np.minimum(FEWEST_DRAWN, there), (shares * (there / shares).min() + 1e-9).astype(int))
    drawn = [random.choice(np.flatnonzero(emotion == kind), n, False) for kind, n in zip(kinds, counts, strict=True)]
    return np.sort(np.concatenate(drawn))


def column(dataset: Any, name: str) -> Sequence[Any]:
    """A column of a `datasets.Dataset`, or of any sequence of rows."""
    if name in getattr(dataset, "column_names", ()):
        return list(dataset[name])
    if hasattr(dataset, "column_names"):
        return [None] * len(dataset)
    return [dataset[index].get(name) for index in range(len(dataset))]


def identity(row: Mapping[str, Any], name: str) -> str | None:
    """What a row says in a column, as one name; speakers of different corpora are different people.

    Example:
        >>> identity({"speaker": "01", "corpus": "emovo"}, "speaker")
        'emovo/01'
    """
    value = row.get(name)
    if value is None:
        return None
    return f"{row['corpus']}/{value}" if name == "speaker" and row.get("corpus") else str(value)


def identities(dataset: Any, name: str) -> dict[str, int]:
    """The values of a column, numbered.

    Example:
        >>> identities([{"language": "it"}, {"language": "de"}, {"language": None}], "language")
        {'de': 0, 'it': 1}
    """
    columns = {key: column(dataset, key) for key in (name, "corpus")}
    rows = ({name: value, "corpus": corpus} for value, corpus in zip(columns[name], columns["corpus"], strict=True))
    values = {identity(row, name) for row in rows} - {None}
    return {value: number for number, value in enumerate(sorted(map(str, values)))}


def class_names(dataset: Any) -> Sequence[str] | None:
    """The words behind the integers of a data set's `emotion` column, where it says them."""
    return getattr(getattr(dataset, "features", {}).get("emotion"), "names", None)
