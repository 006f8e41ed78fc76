"""The measures of the papers, from one confusion matrix.

WA is plain accuracy, UA (also UAR) the mean recall over the classes that the references hold, WF1 the F1
weighted by support. Every function takes matrices of shape `(..., classes, classes)`, rows the reference and
columns the answer, so that a bootstrap over thousands of resamples is one call. Where a value is 0 / 0 the
conventions are scikit-learn's with `zero_division=0`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import MSERError

ECE_BINS = 15


class MetricInputError(MSERError, ValueError):
    """References and answers that cannot be compared."""


def confusion_matrix(references: Sequence[str], predictions: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Counts of (reference, answer), both in the order of `classes`.

    Example:
        >>> confusion_matrix(["sad", "sad", "happy"], ["sad", "happy", "happy"], ["happy", "sad"]).tolist()
        [[1, 0], [1, 1]]
    """
    if len(references) != len(predictions):
        raise MetricInputError(
            f"{len(references)} references but {len(predictions)} predictions: give one for each clip."
        )
    index = {name: position for position, name in enumerate(classes)}
    strangers = sorted({str(name) for name in (*references, *predictions) if name not in index})
    if strangers:
        raise MetricInputError(
            f"{', '.join(strangers)}: not among the classes {', '.join(map(str, classes))}. "
            "Leave such clips out, or name the class."
        )
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    rows = [index[name] for name in references]
    columns = [index[name] for name in predictions]
    np.add.at(counts, (rows, columns), 1)
    return counts


def recalls(confusion: np.ndarray) -> np.ndarray:
    """Recall of each class; NaN for a class that no reference holds."""
    return _ratio(_hits(confusion), _support(confusion), empty=np.nan)


def weighted_accuracy(confusion: np.ndarray) -> np.ndarray:
    """WA: the share of clips answered rightly (`accuracy_score`)."""
    return _ratio(_hits(confusion).sum(-1), _support(confusion).sum(-1), empty=np.nan)


def unweighted_accuracy(confusion: np.ndarray) -> np.ndarray:
    """UA or UAR: the mean recall over the classes that the references hold (`balanced_accuracy_score`)."""
    return _mean_over(recalls(confusion), _support(confusion) > 0)


def f1_scores(confusion: np.ndarray) -> np.ndarray:
    """F1 of each class."""
    return _ratio(2 * _hits(confusion), _support(confusion) + _answers(confusion), empty=0.0)


def weighted_f1(confusion: np.ndarray) -> np.ndarray:
    """WF1: F1 averaged by support (`f1_score(average="weighted")`)."""
    return _weighted_by_support(f1_scores(confusion), confusion)


def weighted_precision(confusion: np.ndarray) -> np.ndarray:
    """Precision averaged by support (`precision_score(average="weighted")`)."""
    return _weighted_by_support(_ratio(_hits(confusion), _answers(confusion), empty=0.0), confusion)


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """F1 averaged over the classes that occur in references or answers (`f1_score(average="macro")`)."""
    return _mean_over(f1_scores(confusion), (_support(confusion) + _answers(confusion)) > 0)


MEASURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "WA": weighted_accuracy,
    "UA": unweighted_accuracy,
    "WF1": weighted_f1,
    "precision": weighted_precision,
    "macro_F1": macro_f1,
}
"""What results hold, by the name under which they hold it."""


def measure(confusion: np.ndarray) -> dict[str, float]:
    """All measures of one matrix.

    Example:
        >>> measure(np.array([[1, 0], [1, 1]]))["UA"]
        0.75
    """
    return {name: float(function(confusion)) for name, function in MEASURES.items()}


def calibration_bins(
    confidences: Sequence[float], correct: Sequence[bool], bins: int = ECE_BINS
) -> dict[str, list[float]]:
    """Per bin of equal width: clips, mean confidence and share of right answers (0 where empty)."""
    confidence, right = np.asarray(confidences, dtype=float), np.asarray(correct, dtype=float)
    if confidence.shape != right.shape:
        raise MetricInputError(f"{confidence.size} confidences but {right.size} answers: give one for each clip.")
    if confidence.size and not (
        np.isfinite(confidence).all() and 0 <= confidence.min() <= confidence.max() <= 1 + 1e-6
    ):
        raise MetricInputError("Confidences must be probabilities between 0 and 1.")
    # Bins are closed on the right, as in Guo et al. 2017; a confidence of exactly 0 belongs to the first.
    position = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(position, minlength=bins)
    mean_confidence = _ratio(np.bincount(position, weights=confidence, minlength=bins), count, empty=0.0)
    accuracy = _ratio(np.bincount(position, weights=right, minlength=bins), count, empty=0.0)
    return {"count": count.tolist(), "confidence": mean_confidence.tolist(), "accuracy": accuracy.tolist()}


def expected_calibration_error(confidences: Sequence[float], correct: Sequence[bool], bins: int = ECE_BINS) -> float:
    """ECE: how far the confidence of the top answer lies from its accuracy, averaged over clips.

    Example:
        >>> round(expected_calibration_error([0.9, 0.9], [True, False]), 3)
        0.4
    """
    parts = calibration_bins(confidences, correct, bins)
    gap = np.abs(np.asarray(parts["confidence"]) - np.asarray(parts["accuracy"]))
    return float(np.average(gap, weights=parts["count"])) if sum(parts["count"]) else float("nan")


def _hits(confusion: np.ndarray) -> np.ndarray:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _support(confusion: np.ndarray) -> np.ndarray:
    return confusion.sum(-1)


def _answers(confusion: np.ndarray) -> np.ndarray:
    return confusion.sum(-2)


def _weighted_by_support(values: np.ndarray, confusion: np.ndarray) -> np.ndarray:
    support = _support(confusion)
    return _ratio((values * support).sum(-1), support.sum(-1), empty=np.nan)


def _mean_over(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return _ratio(np.where(chosen, values, 0.0).sum(-1), chosen.sum(-1), empty=np.nan)


def _ratio(numerator: Any, denominator: Any, empty: float) -> np.ndarray:
    numerator, denominator = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    result = np.full(numerator.shape, empty)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)
