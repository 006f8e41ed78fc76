"""A time line for people: overlapping windows become stretches, one after the other, each with one emotion."""

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple


class Stretch(NamedTuple):
    """From `start` to `end`, in seconds, this `label` was heard; `None` where the model abstained."""

    start: float
    end: float
    label: str | None
    score: float


def stretches(record: Mapping[str, Any], seconds: float) -> list[Stretch]:
    """The segments of a record, each cut where it meets its neighbours, and joined where neighbours agree.

    Two windows that overlap meet in the middle of their overlap. The score of a stretch is the mean of its windows',
    weighted by what is left of them.

    Example:
        >>> windows = [(0, 4, "sad", 0.5), (2, 6, "sad", 0.7), (4, 8, "happy", 0.9)]
        >>> segments = [dict(zip(("start", "end", "label", "score"), window)) for window in windows]
        >>> [tuple(stretch) for stretch in stretches({"segments": segments}, 8.0)]
        [(0.0, 5.0, 'sad', 0.58), (5.0, 8.0, 'happy', 0.9)]
    """
    segments = record.get("segments") or [{"start": 0.0, "end": seconds, **record}]
    cells = [
        Stretch(start, end, segment["label"], segment["score"])
        for segment, (start, end) in zip(segments, _borders(segments, seconds), strict=True)
    ]
    return [_join(list(alike)) for _, alike in groupby(cells, key=lambda cell: cell.label)]


def _borders(segments: Sequence[Mapping[str, Any]], seconds: float) -> list[tuple[float, float]]:
    middles = [(following["start"] + segment["end"]) / 2 for segment, following in pairwise(segments)]
    edges = [0.0, *middles, seconds]
    return list(pairwise(edges))


def _join(cells: list[Stretch]) -> Stretch:
    start, end = cells[0].start, cells[-1].end
    if end <= start:
        return cells[0]
    score = sum(cell.score * (cell.end - cell.start) for cell in cells) / (end - start)
    return Stretch(start, end, cells[0].label, score)
