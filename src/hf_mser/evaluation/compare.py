"""Two results folders, the same clips: which differences are real?

Both systems answered the same clips of the same speakers, so the difference is resampled as such: each
resample draws speakers once and measures both systems on them. That is far sharper than two separate
intervals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MSERError
from .evaluate import RESULTS
from .intervals import (
    RESAMPLES,
    Interval,
    SpeakerCounts,
    can_resample,
    count_by_speaker,
    percentile_interval,
    resampled,
    speaker_weights,
)
from .metrics import MEASURES
from .run import PREDICTIONS

COMPARED = ("WA", "UA", "WF1")


class ComparisonError(MSERError, ValueError):
    """Two results that did not answer the same clips."""


@dataclass(frozen=True)
class Difference:
    """Second minus first, of one measure on one corpus (or on the mean of all)."""

    corpus: str
    measure: str
    first: float
    second: float
    interval: Interval | None
    speakers: int

    @property
    def value(self) -> float:
        """How much better the second is."""
        return self.second - self.first

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True)
class _Cell:
    """The answers of both systems on one corpus under one (source, target, seed)."""

    first: SpeakerCounts
    second: SpeakerCounts


def compare(first: str | Path, second: str | Path, measures: Sequence[str] = COMPARED) -> list[Difference]:
    """Differences (second minus first) per corpus and of the mean, with paired 95 % intervals.

    Seeds of a corpus are averaged. A model without seeds is compared with each seed of the other.

    Example:
        >>> for difference in compare("runs/old", "runs/new"):  # doctest: +SKIP
        ...     print(difference.corpus, difference.measure, difference.value, difference.beyond_noise)
    """
    cells = _paired(_read(first), _read(second))
    weights = {
        corpus: speaker_weights(members[0].first.strata, RESAMPLES, seed=position)
        for position, (corpus, members) in enumerate(cells.items())
    }
    differences = [
        _difference(corpus, measure, {corpus: members}, weights)
        for corpus, members in cells.items()
        for measure in measures
    ]
    if len(cells) > 1:
        differences += [_difference("mean", measure, cells, weights) for measure in measures]
    return differences


def table(differences: Sequence[Difference]) -> str:
    """The differences as people read them, in points.

    Example:
        >>> print(table([Difference("emodb", "UA", 0.5, 0.6, (0.02, 0.18), speakers=10)]))
        corpus  measure   first  second   diff.  95 % interval    speakers
        emodb   UA         50.0    60.0   +10.0  +2.0 to +18.0    10        beyond noise
    """
    width = max([6, *(len(difference.corpus) for difference in differences)])
    lines = [f"{'corpus':{width}}  measure   first  second   diff.  95 % interval    speakers"]
    for d in differences:
        span = f"{100 * d.interval[0]:+.1f} to {100 * d.interval[1]:+.1f}" if d.interval else "one speaker"
        verdict = "beyond noise" if d.beyond_noise else ""
        lines.append(
            f"{d.corpus:{width}}  {d.measure:8} {100 * d.first:6.1f}  {100 * d.second:6.1f}  "
            f"{100 * d.value:+6.1f}  {span:15}  {d.speakers:<8}  {verdict}".rstrip()
        )
    return "\n".join(lines)


def _read(folder: str | Path) -> dict[tuple[str, str, int], dict[str, Mapping[str, Any]]]:
    """(source, target, seed) -> clip -> line, with the entry's classes in each line."""
    folder = Path(folder)
    if not (folder / RESULTS).is_file() or not (folder / PREDICTIONS).is_file():
        raise ComparisonError(f"{folder} holds no finished evaluation ({RESULTS}, {PREDICTIONS}).")
    results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    home: dict[str, tuple[tuple[str, str, int], list[str]]] = {}
    for entry in results["results"]:
        key = (entry["source"], entry["corpus"], entry["seed"])
        home.update({task["name"]: (key, entry["classes"]) for task in entry["tasks"]})
    read: dict[tuple[str, str, int], dict[str, Mapping[str, Any]]] = {}
    for text in (folder / PREDICTIONS).read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        key, classes = home[line["task"]]
        read.setdefault(key, {})[line["clip"]] = {**line, "classes": classes}
    return read


def _paired(
    first: dict[tuple[str, str, int], dict[str, Mapping[str, Any]]],
    second: dict[tuple[str, str, int], dict[str, Mapping[str, Any]]],
) -> dict[str, list[_Cell]]:
    """Corpus (with its source where both name the same several) -> cells of both systems on the same clips."""
    cells: dict[str, list[_Cell]] = {}
    sources = {target: {s for s, t, _ in first if t == target} for _, target, _ in first}
    for source, target, seed in first:
        partners = [key for key in second if key[1] == target]
        same_source = [key for key in partners if key[0] == source]
        if len(sources[target]) > 1 or same_source:
            partners = same_source
        same_seed = [key for key in partners if key[2] == seed]
        name = f"{source} > {target}" if len(sources[target]) > 1 else target
        for partner in same_seed or partners:
            cells.setdefault(name, []).append(_cell(name, first[source, target, seed], second[partner]))
    if not cells:
        raise ComparisonError("The two folders have no corpus in common.")
    return cells


def _cell(name: str, first: Mapping[str, Mapping[str, Any]], second: Mapping[str, Mapping[str, Any]]) -> _Cell:
    if set(first) != set(second):
        only = len(set(first) ^ set(second))
        raise ComparisonError(f"{name}: {only} clips were answered by one system alone. Evaluate both on the same.")
    order = sorted(first)
    lines = ([first[clip] for clip in order], [second[clip] for clip in order])
    if lines[0][0]["classes"] != lines[1][0]["classes"]:
        raise ComparisonError(f"{name}: the systems chose among different classes. Evaluate both with --classes.")
    counts = [
        count_by_speaker(
            [line["reference"] for line in side],
            [line["label"] for line in side],
            [line["speaker"] for line in side],
            side[0]["classes"],
            [line["corpus"] for line in side],
        )
        for side in lines
    ]
    return _Cell(*counts)


def _difference(
    name: str, measure: str, cells: Mapping[str, list[_Cell]], weights: Mapping[str, np.ndarray]
) -> Difference:
    function = MEASURES[measure]
    firsts, seconds, spreads, speakers = [], [], [], 0
    resamplable = True
    for corpus, members in cells.items():
        firsts.append(np.mean([function(cell.first.confusion) for cell in members]))
        seconds.append(np.mean([function(cell.second.confusion) for cell in members]))
        speakers += members[0].first.n_speakers
        resamplable &= can_resample(members[0].first)
        drawn = weights[corpus]
        spreads.append(
            np.mean(
                [function(resampled(c.second, drawn)) - function(resampled(c.first, drawn)) for c in members], axis=0
            )
        )
    interval = percentile_interval(np.mean(spreads, axis=0)) if resamplable else None
    return Difference(name, measure, float(np.mean(firsts)), float(np.mean(seconds)), interval, speakers)
