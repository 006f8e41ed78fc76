"""95 % intervals by bootstrap over speakers.

Clips of one speaker are not independent: a model that fails on a voice fails on all its clips. So speakers,
not clips, are drawn with replacement, within each corpus. All measures come from one confusion matrix per
speaker, and a resample is a weighted sum of them, so thousands of resamples cost milliseconds.

With very few speakers (two in TESS, four in CASIA) no resampling can show the spread between voices, and
percentile intervals come out too narrow: `SpeakerCounts.n_speakers` is part of every result for that reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .metrics import MEASURES, MetricInputError, confusion_matrix

RESAMPLES = 2000
LEVEL = 0.95

Interval = tuple[float, float]


@dataclass(frozen=True)
class SpeakerCounts:
    """One confusion matrix per speaker, and the corpus from which each speaker is drawn."""

    confusions: np.ndarray
    strata: tuple[str, ...]

    @property
    def n_speakers(self) -> int:
        """How many independent voices stand behind the interval."""
        return len(self.strata)

    @property
    def confusion(self) -> np.ndarray:
        """The confusion matrix over all speakers."""
        return self.confusions.sum(0)


def count_by_speaker(
    references: Sequence[str],
    predictions: Sequence[str],
    speakers: Sequence[str],
    classes: Sequence[str],
    strata: Sequence[str] | None = None,
) -> SpeakerCounts:
    """Confusion matrices by speaker; `strata` names each clip's corpus where there are several.

    Example:
        >>> counts = count_by_speaker(["sad", "happy"], ["sad", "sad"], ["anna", "bert"], ["happy", "sad"])
        >>> counts.n_speakers, counts.confusion.tolist()
        (2, [[0, 1], [0, 1]])
    """
    strata = [""] * len(speakers) if strata is None else strata
    if not len(references) == len(speakers) == len(strata):
        raise MetricInputError(f"{len(references)} clips, {len(speakers)} speakers, {len(strata)} corpora: must agree.")
    members: dict[tuple[str, str], list[int]] = {}
    for position, identity in enumerate(zip(strata, speakers, strict=True)):
        members.setdefault(identity, []).append(position)
    identities = sorted(members)
    confusions = [
        confusion_matrix([references[i] for i in members[key]], [predictions[i] for i in members[key]], classes)
        for key in identities
    ]
    shape = (0, len(classes), len(classes))
    return SpeakerCounts(np.stack(confusions) if confusions else np.zeros(shape), tuple(key[0] for key in identities))


def speaker_weights(strata: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each speaker is drawn in each resample: shape (resamples, speakers), drawn within strata."""
    generator = np.random.default_rng(seed)
    weights = np.zeros((resamples, len(strata)), dtype=np.int64)
    for stratum in sorted(set(strata)):
        columns = [position for position, name in enumerate(strata) if name == stratum]
        size = len(columns)
        weights[:, columns] = generator.multinomial(size, np.full(size, 1 / size), size=resamples)
    return weights


def resampled(counts: SpeakerCounts, weights: np.ndarray) -> np.ndarray:
    """The confusion matrix of every resample: shape (resamples, classes, classes)."""
    speakers, size = counts.n_speakers, counts.confusions.shape[-1]
    return (weights @ counts.confusions.reshape(speakers, -1)).reshape(-1, size, size)


def percentile_interval(values: np.ndarray, level: float = LEVEL) -> Interval | None:
    """The middle `level` of the resampled values, those that are undefined left out."""
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def measure_intervals(
    counts: SpeakerCounts, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> dict[str, Interval | None]:
    """The interval of every measure; `None` where a corpus has a single speaker, who cannot be resampled.

    Example:
        >>> counts = count_by_speaker(["sad"] * 4, ["sad"] * 4, ["anna", "bert"] * 2, ["happy", "sad"])
        >>> measure_intervals(counts)["WA"]
        (1.0, 1.0)
    """
    if not can_resample(counts):
        return dict.fromkeys(MEASURES)
    confusions = resampled(counts, speaker_weights(counts.strata, resamples, seed))
    return {name: percentile_interval(function(confusions), level) for name, function in MEASURES.items()}


def mean_interval(
    parts: Sequence[Sequence[SpeakerCounts]],
    measure: Callable[[np.ndarray], np.ndarray] = MEASURES["UA"],
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval | None:
    """The interval of a mean over corpora (outer), each a mean over runs of the same clips (inner: seeds).

    The runs of one corpus share their resamples, because they were tested on the same speakers.
    """
    means = []
    for position, runs in enumerate(parts):
        if not all(can_resample(counts) for counts in runs):
            return None
        weights = speaker_weights(runs[0].strata, resamples, seed + position)
        means.append(np.mean([measure(resampled(counts, weights)) for counts in runs], axis=0))
    return percentile_interval(np.mean(means, axis=0), level) if means else None


def can_resample(counts: SpeakerCounts) -> bool:
    """Whether every corpus has at least two speakers."""
    sizes = [counts.strata.count(stratum) for stratum in set(counts.strata)]
    return bool(sizes) and min(sizes) >= 2
