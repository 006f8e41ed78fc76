"""What a trained model answers on held-out clips: one line for each clip, and the measures computed from the lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.intervals import SpeakerCounts, count_by_speaker, measure_intervals
from ..evaluation.metrics import expected_calibration_error, measure, recalls
from ..evaluation.predictors import restricted
from ..evaluation.results import by_column
from .data import Clips

Line = dict[str, Any]


def answer_clips(trainer: Any, clips: Clips, name: str) -> list[Line]:
    """The model's scores for each clip, among the emotions that the set `name` holds, as `mser evaluate` counts.

    Example:
        >>> answer_clips(trainer, clips, "test/emodb")[0]["label"]  # doctest: +SKIP
        'sad'
    """
    labels = trainer.model.config.labels
    present = [label for label in labels if label in set(clips["emotion"])]
    logarithms = trainer.predict(clips).predictions.astype(np.float64) / trainer.model.config.temperature
    chances = np.exp(logarithms - logarithms.max(1, keepdims=True))
    return [
        _line(name, clip, restricted(dict(zip(labels, row.tolist(), strict=True)), present))
        for clip, row in zip(clips, chances, strict=True)
    ]


def _line(name: str, clip: Mapping[str, Any], scores: dict[str, float]) -> Line:
    audio = clip["audio"]["path"] if isinstance(clip["audio"], Mapping) else clip["audio"]
    label = max(scores, key=scores.__getitem__)
    return {
        "set": name,
        "clip": f"{clip['corpus']}/{Path(str(audio)).name}",
        "corpus": clip["corpus"],
        "speaker": f"{clip['corpus']}/{clip['speaker']}",
        "language": clip["language"],
        "gender": clip.get("gender"),
        "reference": clip["emotion"],
        "label": label,
        "score": scores[label],
        "scores": scores,
    }


def counts_of(lines: Sequence[Line]) -> SpeakerCounts:
    """The confusions of each speaker in one set.

    Example:
        >>> line = {"reference": "sad", "label": "sad", "speaker": "anna", "corpus": "x", "scores": {"sad": 1.0}}
        >>> counts_of([line]).confusion.tolist()
        [[1]]
    """
    classes = list(lines[0]["scores"])
    columns = {key: [line[key] for line in lines] for key in ("reference", "label", "speaker", "corpus")}
    return count_by_speaker(columns["reference"], columns["label"], columns["speaker"], classes, columns["corpus"])


def measures_of(lines: Sequence[Line]) -> dict[str, Any]:
    """WA, UA, ... of one set, with intervals over speakers.

    Example:
        >>> line = {"reference": "sad", "label": "sad", "speaker": "anna", "corpus": "x", "scores": {"sad": 1.0}}
        >>> measures_of([line])["UA"]
        1.0
    """
    counts = counts_of(lines)
    return {
        "n": len(lines),
        "speakers": counts.n_speakers,
        **measure(counts.confusion),
        "intervals": measure_intervals(counts),
        "classes": list(lines[0]["scores"]),
        "confusion": counts.confusion.tolist(),
    }


def parts_of(lines: Sequence[Line]) -> dict[str, Any]:
    """What a card says beside the measures of a set: by emotion, language and gender, and the calibration.

    Example:
        >>> line = {"reference": "sad", "label": "sad", "speaker": "anna", "corpus": "x", "scores": {"sad": 1.0}}
        >>> parts_of([{**line, "score": 1.0, "language": "de", "gender": None}])["per_language"]["de"]["UA"]
        1.0
    """
    classes = list(lines[0]["scores"])
    return {
        "recall": dict(zip(classes, recalls(counts_of(lines).confusion).tolist(), strict=True)),
        "ECE": expected_calibration_error(
            [line["score"] for line in lines], [line["label"] == line["reference"] for line in lines]
        ),
        "per_language": by_column(lines, "language", classes),
        "per_gender": by_column(lines, "gender", classes),
    }
