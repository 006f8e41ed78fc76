"""`analyse`: what a built dataset holds, its two figures, and how much of the emotion is left in it.

m5ser-analysis/
    report.md  analysis.json  distributions.png  spectrograms.png
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..disk import writing
from ..evaluation.files import write_json, write_text
from .build import BUILD
from .figures import distributions, spectrogram_map
from .loading import finished_folder
from .measures import CONTOURS, Measured, measure_dataset
from .shards import M5SERError
from .survival import classifier, contour_agreement, distances

REPORT, NUMBERS = "report.md", "analysis.json"


def analyse(folder: str | Path, output: str | Path | None = None) -> dict[str, Any]:
    """Analyse a finished dataset, write the report and return its numbers. Resumable.

    Args:
        folder: A dataset of `mser m5ser build`.
        output: The folder of the report; by default beside the dataset, `NAME-analysis`.

    Example:
        >>> analyse("m5ser-mini")["classifier"]["plain"]["fr"]["kept"]  # doctest: +SKIP
        0.72
    """
    folder = finished_folder(folder)
    output = Path(output) if output is not None else folder.with_name(f"{folder.name}-analysis")
    facts = json.loads((folder / BUILD).read_text(encoding="utf-8"))
    clips = measure_dataset(folder, sorted(facts["files"]), output / "cache" / _identity(facts))
    if clips.original.all() or not clips.original.any():
        raise M5SERError(f"{folder}: originals and translations are compared, and only one of the two is there.")
    numbers = {
        "dataset": {key: facts["plan"][key] for key in ("corpora", "translator", "translator_version", "sources")},
        "contents": _contents(facts),
        "duplicates": _twice(clips),
        "contours": contour_agreement(clips),
        "classifier": classifier(clips),
        "distances": distances(clips),
    }
    with writing(output):
        distributions(clips, output / "distributions.png")
        spectrogram_map(clips, output / "spectrograms.png")
        write_json(output / NUMBERS, numbers)
        write_text(output / REPORT, report(numbers))
    return numbers


def report(numbers: dict[str, Any]) -> str:
    """The report in Markdown."""
    source = next(name for name, entry in numbers["classifier"]["plain"].items() if entry["original"])
    lines = ["# Analysis", "", "![distributions](distributions.png)", "", *_contents_table(numbers["contents"])]
    lines += [
        "",
        f"Clips whose samples occur twice: {numbers['duplicates']}.",
        "",
        "## How much of the emotion is left",
    ]
    lines += ["", *survival_table(numbers), ""]
    lines += [
        f"UA of a support vector machine on eGeMAPS functionals (C = 1), trained on the recordings ({source}), tested "
        f"on other speakers ({len(numbers['classifier']['classes'])} classes); 95 % interval over speakers. *Kept*: "
        "the share of what the recordings reach above chance. *Adapted*: each language standardised by its own "
        "statistics, without labels. *Contours*: mean correlation with the source clip (with another clip's).",
        "",
        "![spectrograms](spectrograms.png)",
        "",
        "Mean spectrograms of each emotion and language. Mean distances (dB):",
        "",
        *(f"- {name}: {value:.2f}" for name, value in numbers["distances"].items()),
        "",
    ]
    return "\n".join(lines)


def survival_table(numbers: dict[str, Any]) -> list[str]:
    """The table of what survives, one row a language."""
    head = ["", "clips", "UA", "kept", "UA, adapted", "kept, adapted", *(f"contour: {name}" for name in CONTOURS)]
    rows = [head, ["---"] * len(head)]
    for language, plain in numbers["classifier"]["plain"].items():
        adapted = numbers["classifier"]["adapted"][language]
        agreement = numbers["contours"].get(language)
        cells = [language, str(plain["clips"]), _accuracy(plain), _share(plain), _accuracy(adapted), _share(adapted)]
        cells += [
            f"{agreement[name]['own source']:.2f} ({agreement[name]['other source']:.2f})" if agreement else ""
            for name in CONTOURS
        ]
        rows.append(cells)
    return [f"| {' | '.join(row)} |" for row in rows]


def _accuracy(entry: dict[str, Any]) -> str:
    span = entry["interval"]
    return f"{100 * entry['UA']:.1f}" + (f" ({100 * span[0]:.1f}–{100 * span[1]:.1f})" if span else "")


def _share(entry: dict[str, Any]) -> str:
    return "" if entry["original"] or np.isnan(entry["kept"]) else f"{100 * entry['kept']:.0f} %"


def _identity(facts: dict[str, Any]) -> str:
    """Changes with any clip of the dataset."""
    sums = "".join(file["sha256"] for file in facts["files"].values())
    return hashlib.sha256(sums.encode()).hexdigest()[:16]


def _twice(clips: Measured) -> int:
    """Clips that sound like another one to the last digit of 88 functionals."""
    _, counts = np.unique(clips.functionals, axis=0, return_counts=True)
    return int(counts[counts > 1].sum())


def _contents(facts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for file in facts["files"].values():
        entry = found.setdefault(file["language"], {"clips": 0, "hours": 0.0, "speakers": set(), "emotions": {}})
        entry["clips"] += file["clips"]
        entry["hours"] += file["seconds"] / 3600
        entry["speakers"] |= set(file["speakers"])
        for emotion, count in file["emotions"].items():
            entry["emotions"][emotion] = entry["emotions"].get(emotion, 0) + count
    return {
        language: {**entry, "hours": round(entry["hours"], 3), "speakers": len(entry["speakers"])}
        for language, entry in sorted(found.items())
    }


def _contents_table(contents: dict[str, dict[str, Any]]) -> list[str]:
    emotions = sorted({emotion for entry in contents.values() for emotion in entry["emotions"]})
    rows = [["", "clips", "hours", "speakers", *emotions], ["---"] * (4 + len(emotions))]
    for language, entry in contents.items():
        rows.append(
            [language, str(entry["clips"]), f"{entry['hours']:.2f}", str(entry["speakers"])]
            + [str(entry["emotions"].get(emotion, 0)) for emotion in emotions]
        )
    return [f"| {' | '.join(row)} |" for row in rows]
