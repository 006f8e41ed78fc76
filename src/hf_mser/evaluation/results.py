"""From lines of predictions to the numbers of `results.json`.

Everything is computed from the lines alone, so that anybody can compute it again from `predictions.jsonl`.
Nothing here depends on time or machine: the same predictions give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import intervals, metrics
from .intervals import SpeakerCounts, count_by_speaker
from .metrics import MEASURES
from .protocols import Protocol
from .tasks import Task

FORMAT = 1
RESTRICTION = "Each clip is answered among the classes of its task: other scores are dropped, the rest renormalised."
INTERVALS = (
    f"95 % percentile intervals, {intervals.RESAMPLES} resamples of speakers within corpora; too narrow "
    "where a corpus has few speakers."
)

Line = Mapping[str, Any]


def results_of(
    lines: Sequence[Line], tasks: Sequence[Task], protocol: Protocol, identity: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of `results.json`: one entry for each (source, target, seed), and their means."""
    by_task: dict[str, list[Line]] = {}
    for line in lines:
        by_task.setdefault(line["task"], []).append(line)
    grouped: dict[tuple[str, str, int], list[Task]] = {}
    for task in tasks:
        grouped.setdefault((task.source, task.target, task.seed), []).append(task)
    entries, counts = [], []
    for parts in grouped.values():
        members = [line for task in parts for line in by_task.get(task.name, [])]
        count = _counts(members, parts[0].classes)
        entries.append(_entry(members, parts, count, protocol, identity))
        counts.append(count)
    return {
        "format": FORMAT,
        "model": dict(identity),
        "protocol": {"name": protocol.name, "description": protocol.description},
        "notes": [
            RESTRICTION,
            INTERVALS,
            *dict.fromkeys(note for task in tasks for note in task.notes),
            *(
                f"{entry['corpus']}: the model has no word for {', '.join(entry['never_scored'])}"
                for entry in entries
                if entry["never_scored"]
            ),
        ],
        "mean": _mean(list(grouped), entries, counts),
        "languages": _languages(entries),
        "results": entries,
    }


def _entry(
    lines: Sequence[Line],
    tasks: Sequence[Task],
    counts: SpeakerCounts,
    protocol: Protocol,
    identity: Mapping[str, Any],
) -> dict[str, Any]:
    task = tasks[0]
    confusion = counts.confusion.astype(int)
    recall = metrics.recalls(confusion)
    correct = [line["label"] == line["reference"] for line in lines]
    confidences = [line["score"] for line in lines]
    return {
        "model": identity.get("name"),
        "corpus": task.target,
        "source": task.source,
        "protocol": protocol.name,
        "seed": task.seed,
        "language": "+".join(sorted({line["language"] or "?" for line in lines})),
        "n": len(lines),
        "speakers": counts.n_speakers,
        "classes": list(task.classes),
        "never_scored": _never_scored(lines, task.classes),
        **metrics.measure(confusion),
        "UAR": float(metrics.unweighted_accuracy(confusion)),
        "intervals": intervals.measure_intervals(counts),
        "recall": dict(zip(task.classes, recall.tolist(), strict=True)),
        "confusion": confusion.tolist(),
        "ECE": metrics.expected_calibration_error(confidences, correct),
        "calibration": metrics.calibration_bins(confidences, correct),
        "per_language": by_column(lines, "language", task.classes),
        "per_gender": by_column(lines, "gender", task.classes),
        "tasks": [part.summary() for part in tasks],
    }


def _counts(lines: Sequence[Line], classes: Sequence[str]) -> SpeakerCounts:
    columns = ([line[key] for line in lines] for key in ("reference", "label", "speaker"))
    references, labels, speakers = columns
    return count_by_speaker(references, labels, speakers, classes, [line["corpus"] for line in lines])


def _never_scored(lines: Sequence[Line], classes: Sequence[str]) -> list[str]:
    """The classes to which no answer gives any weight: the model does not know them."""
    return [name for name in classes if all(line["scores"][name] == 0 for line in lines)]


def by_column(lines: Sequence[Line], key: str, classes: Sequence[str]) -> dict[str, Any]:
    """The measures of every value of a column apart: of each language, of women and of men."""
    values = sorted({line[key] or "unknown" for line in lines})
    parts = {value: [line for line in lines if (line[key] or "unknown") == value] for value in values}
    return {value: {"n": len(part), **_brief(part, classes)} for value, part in parts.items()}


def _brief(lines: Sequence[Line], classes: Sequence[str]) -> dict[str, float]:
    confusion = _counts(lines, classes).confusion
    return {name: float(MEASURES[name](confusion)) for name in ("WA", "UA", "WF1")}


def _mean(
    keys: Sequence[tuple[str, str, int]],
    entries: Sequence[Mapping[str, Any]],
    counts: Sequence[SpeakerCounts],
) -> dict[str, Any]:
    """Mean over (source, target) of means over seeds, with the interval of the mean."""
    runs: dict[tuple[str, str], list[int]] = {}
    for position, (source, target, _) in enumerate(keys):
        runs.setdefault((source, target), []).append(position)
    parts = [[counts[position] for position in positions] for positions in runs.values()]
    mean: dict[str, Any] = {"of": len(runs), "seeds": sorted({seed for _, _, seed in keys})}
    for name, function in MEASURES.items():
        values = [sum(entries[p][name] for p in positions) / len(positions) for positions in runs.values()]
        mean[name] = sum(values) / len(values)
        mean.setdefault("intervals", {})[name] = intervals.mean_interval(parts, function)
    return mean


def _languages(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """For each language the mean over its entries: every corpus, source and seed counts alike."""
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        for language, values in entry["per_language"].items():
            grouped.setdefault(language, []).append(values)
    return {
        language: {
            "entries": len(values),
            **{name: sum(value[name] for value in values) / len(values) for name in ("WA", "UA", "WF1")},
        }
        for language, values in sorted(grouped.items())
    }
