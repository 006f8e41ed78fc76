"""The module for the `evaluate` library: opens offline, agrees with the package, combines with others."""

import ast
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

FOLDER = Path(__file__).resolve().parents[1] / "metrics" / "mser_metrics"

OTHER_METRIC = '''
import datasets
import evaluate

class Agreement(evaluate.Metric):
    """The share of equal answers."""

    def _info(self):
        features = datasets.Features(
            {"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}
        )
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, predictions, references):
        return {"agreement": sum(p == r for p, r in zip(predictions, references)) / len(references)}
'''


@pytest.fixture(scope="module")
def metric():
    import evaluate

    return evaluate.load(str(FOLDER))


def test_equals_the_package_on_random_answers(metric):
    from hf_mser.evaluation import metrics

    generator = np.random.default_rng(0)
    classes = ["angry", "happy", "neutral", "sad"]
    true, answered = (generator.choice(classes, 300).tolist() for _ in range(2))
    confidences = generator.uniform(size=300).tolist()
    result = metric.compute(predictions=answered, references=true, confidences=confidences)

    confusion = metrics.confusion_matrix(true, answered, classes)
    for name, value in metrics.measure(confusion).items():
        assert result[name] == pytest.approx(value), name
    assert result["UAR"] == result["UA"]
    assert result["labels"] == classes
    assert result["confusion"] == confusion.tolist()
    assert result["recall"] == pytest.approx(metrics.recalls(confusion).tolist())
    right = [a == b for a, b in zip(true, answered, strict=True)]
    assert result["ECE"] == pytest.approx(metrics.expected_calibration_error(confidences, right))


def test_takes_integers_batch_by_batch(metric):
    for prediction, reference in [(0, 0), (1, 0), (1, 1), (1, 1)]:
        metric.add(prediction=prediction, reference=reference)
    assert metric.compute()["UA"] == 0.75


def test_labels_fix_the_order_and_add_unseen_classes(metric):
    result = metric.compute(predictions=["sad"], references=["sad"], labels=["sad", "happy"])
    assert result["confusion"] == [[1, 0], [0, 0]]
    assert result["recall"][0] == 1.0
    assert math.isnan(result["recall"][1])


def test_a_label_outside_labels_is_named(metric):
    with pytest.raises(ValueError, match="bored: not among"):
        metric.compute(predictions=["bored"], references=["sad"], labels=["sad", "happy"])


def test_combines_with_another_metric(metric, tmp_path):
    import evaluate

    (tmp_path / "agreement").mkdir()
    (tmp_path / "agreement" / "agreement.py").write_text(OTHER_METRIC, encoding="utf-8")
    both = evaluate.combine([metric, evaluate.load(str(tmp_path / "agreement"))])
    result = both.compute(predictions=[0, 1, 1, 1], references=[0, 0, 1, 1])
    assert result["agreement"] == result["WA"] == 0.75


def test_the_file_stands_alone_with_one_import_a_line():
    source = (FOLDER / "mser_metrics.py").read_text(encoding="utf-8")
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert sorted(alias.name for node in imports for alias in node.names) == ["datasets", "evaluate", "numpy"]
    assert not re.search(r"^(import .*,|from )", source, flags=re.MULTILINE)
