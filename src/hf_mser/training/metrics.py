"""The measures of the papers, as a `compute_metrics` for any `Trainer`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..evaluation.metrics import measure


def emotion_metrics(evaluation: Any) -> dict[str, float]:
    """WA, UA, WF1, precision, macro-F1 from scores (clips, classes) and class ids; only labelled clips count.

    Example:
        >>> from types import SimpleNamespace
        >>> answers = SimpleNamespace(predictions=np.eye(2)[[0, 1, 1]], label_ids=np.array([0, 1, 0]))
        >>> emotion_metrics(answers)["UA"]
        0.75
    """
    scores, emotions = np.asarray(evaluation.predictions), np.asarray(evaluation.label_ids)
    labelled = emotions >= 0
    confusion = np.zeros((scores.shape[1], scores.shape[1]), dtype=np.int64)
    np.add.at(confusion, (emotions[labelled], scores[labelled].argmax(1)), 1)
    return measure(confusion)
