"""Speech emotion metrics as a module of the `evaluate` library.

The file stands alone, because the Hub ships it alone; `hf_mser.evaluation.metrics` gives the same values.
"""

import datasets
import evaluate
import numpy as np

_DESCRIPTION = """
The measures under which speech emotion recognition is published: WA (plain accuracy), UA (= UAR, the mean
recall over the classes that the references hold), WF1 (F1 weighted by support), weighted precision and
macro-F1, with the confusion matrix and the recall of each class; and, where confidences are given, the
expected calibration error (ECE).
"""

_INPUTS = """
Args:
    predictions: the answers, integers or strings.
    references: the true labels, integers or strings.
    labels: optional, the classes in the order in which `confusion` and `recall` list them.
        Default: the sorted union of references and predictions.
    confidences: optional, the probability of each answer; adds `ECE` (15 bins of equal width).

Returns:
    WA, UA, UAR, WF1, precision, macro_F1: floats between 0 and 1.
    recall: a list, one value a class, NaN where the references do not hold the class.
    confusion: a list of rows, the reference by row and the answer by column.
    labels: the classes in their order.
    ECE: with `confidences` only.

Examples:
    >>> metric = evaluate.load("mser_metrics")
    >>> metric.compute(predictions=[0, 1, 1, 1], references=[0, 0, 1, 1])["UA"]
    0.75
"""

_CITATION = """
@misc{mser,
  title={MSER: zero-shot multilingual speech emotion recognition},
  note={The measures as used in arXiv:2503.21806},
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _INPUTS)
class MSERMetrics(evaluate.Metric):
    """WA, UA, WF1, precision, macro-F1, per-class recall, confusion and ECE."""

    def _info(self):
        kinds = ("int32", "string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=[
                datasets.Features({"predictions": datasets.Value(kind), "references": datasets.Value(kind)})
                for kind in kinds
            ],
        )

    def _compute(self, predictions, references, labels=None, confidences=None):
        labels = sorted({*references, *predictions}) if labels is None else list(labels)
        confusion = _confusion(references, predictions, labels)
        hits, support, answers = np.diag(confusion), confusion.sum(1), confusion.sum(0)
        recall = _ratio(hits, support, np.nan)
        f1 = _ratio(2 * hits, support + answers, 0.0)
        ua = float(recall[support > 0].mean())
        result = {
            "WA": float(hits.sum() / support.sum()),
            "UA": ua,
            "UAR": ua,
            "WF1": float(np.average(f1, weights=support)),
            "precision": float(np.average(_ratio(hits, answers, 0.0), weights=support)),
            "macro_F1": float(f1[support + answers > 0].mean()),
            "recall": recall.tolist(),
            "confusion": confusion.tolist(),
            "labels": labels,
        }
        if confidences is not None:
            right = [reference == answer for reference, answer in zip(references, predictions, strict=True)]
            result["ECE"] = _calibration_error(np.asarray(confidences, dtype=float), np.asarray(right, dtype=float))
        return result


def _confusion(references, predictions, labels):
    index = {label: position for position, label in enumerate(labels)}
    strangers = sorted({str(value) for value in (*references, *predictions) if value not in index})
    if strangers:
        raise ValueError(f"{', '.join(strangers)}: not among labels={labels}. Name every class that occurs.")
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, ([index[value] for value in references], [index[value] for value in predictions]), 1)
    return counts


def _calibration_error(confidence, right, bins=15):
    if confidence.shape != right.shape:
        raise ValueError(f"{confidence.size} confidences but {right.size} predictions: give one for each.")
    position = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(position, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / confidence.size)


def _ratio(numerator, denominator, empty):
    result = np.full(numerator.shape, empty, dtype=float)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)
