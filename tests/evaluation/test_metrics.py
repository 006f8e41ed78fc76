"""Measures against scikit-learn's, on random input and at the edges."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from hf_mser.evaluation import metrics
from hf_mser.evaluation.metrics import MetricInputError

CLASSES = ["neutral", "happy", "sad", "angry"]
answers = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1, max_size=60)


@settings(deadline=None)
@given(answers)
def test_every_measure_equals_scikit_learn(pairs):
    true, answered = zip(*pairs, strict=True)
    confusion = metrics.confusion_matrix(true, answered, CLASSES)
    result = metrics.measure(confusion)

    assert confusion.tolist() == reference.confusion_matrix(true, answered, labels=CLASSES).tolist()
    assert result["WA"] == pytest.approx(reference.accuracy_score(true, answered))
    assert result["UA"] == pytest.approx(
        reference.recall_score(true, answered, labels=sorted(set(true)), average="macro")
    )
    assert result["WF1"] == pytest.approx(reference.f1_score(true, answered, average="weighted", zero_division=0))
    assert result["precision"] == pytest.approx(
        reference.precision_score(true, answered, average="weighted", zero_division=0)
    )
    assert result["macro_F1"] == pytest.approx(reference.f1_score(true, answered, average="macro", zero_division=0))
    np.testing.assert_allclose(
        metrics.recalls(confusion),
        reference.recall_score(true, answered, labels=CLASSES, average=None, zero_division=np.nan),
    )


@settings(deadline=None)
@given(hnp.arrays(np.int64, (5, 3, 3), elements=st.integers(0, 9)))
def test_a_stack_of_matrices_gives_what_each_gives_alone(stack):
    for name, function in metrics.MEASURES.items():
        alone = [function(matrix) for matrix in stack]
        np.testing.assert_allclose(function(stack), alone, err_msg=name)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=80))
def test_calibration_error_equals_the_definition(pairs):
    total = 0.0
    for index in range(metrics.ECE_BINS):
        low, high = index / metrics.ECE_BINS, (index + 1) / metrics.ECE_BINS
        inside = [p for p in pairs if low < p[0] <= high or (index == 0 and p[0] == 0)]
        if inside:
            confidence = sum(c for c, _ in inside) / len(inside)
            accuracy = sum(right for _, right in inside) / len(inside)
            total += len(inside) / len(pairs) * abs(confidence - accuracy)
    confidences, correct = zip(*pairs, strict=True)
    if any(abs(c * metrics.ECE_BINS - round(c * metrics.ECE_BINS)) < 1e-9 for c in confidences if c > 0):
        return  # on a bin's edge two roundings may differ
    assert metrics.expected_calibration_error(confidences, correct) == pytest.approx(total, abs=1e-9)


def test_reliability_points_equal_scikit_learn():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(size=500)
    right = generator.uniform(size=500) < confidence
    bins = metrics.calibration_bins(confidence, right, bins=10)
    accuracy, mean_confidence = calibration_curve(right, confidence, n_bins=10)
    np.testing.assert_allclose(bins["accuracy"], accuracy)
    np.testing.assert_allclose(bins["confidence"], mean_confidence)
    assert sum(bins["count"]) == 500


def test_a_class_without_references_has_no_recall_and_does_not_lower_ua():
    confusion = metrics.confusion_matrix(["sad", "sad"], ["sad", "happy"], ["happy", "sad"])
    assert math.isnan(metrics.recalls(confusion)[0])
    assert metrics.measure(confusion)["UA"] == 0.5


def test_no_clips_give_nan_and_no_warning(recwarn):
    result = metrics.measure(metrics.confusion_matrix([], [], CLASSES))
    assert all(math.isnan(value) for value in result.values())
    assert math.isnan(metrics.expected_calibration_error([], []))
    assert not recwarn


def test_labels_outside_the_classes_are_named():
    with pytest.raises(MetricInputError, match="bored: not among the classes happy, sad"):
        metrics.confusion_matrix(["bored"], ["sad"], ["happy", "sad"])


def test_unequal_lengths_are_refused():
    with pytest.raises(MetricInputError, match="2 references but 1 predictions"):
        metrics.confusion_matrix(["sad", "sad"], ["sad"], CLASSES)
    with pytest.raises(MetricInputError, match="1 confidences but 2 answers"):
        metrics.expected_calibration_error([0.5], [True, False])


@pytest.mark.parametrize("bad", [-0.1, 1.5, float("nan")])
def test_confidences_must_be_probabilities(bad):
    with pytest.raises(MetricInputError, match="between 0 and 1"):
        metrics.expected_calibration_error([bad], [True])
