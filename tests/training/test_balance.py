"""Weights that make emotions equal."""

import numpy as np
import pytest

from hf_mser.training.balance import balanced_weights


def test_balance_makes_emotions_equal_within_a_corpus():
    corpus = np.array(["a"] * 4 + ["b"])
    weights = balanced_weights(corpus, np.array([0, 0, 0, 1, -1]))
    assert weights[:3].sum() == pytest.approx(weights[3])
    assert weights[4] == 0


def test_a_corpus_counts_as_a_power_of_its_size():
    corpus, emotion = np.array(["a"] * 8 + ["b"] * 2), np.array([0, 1] * 5)
    weights = balanced_weights(corpus, emotion, power=0.5)
    assert weights[:8].sum() == pytest.approx(2 * weights[8:].sum())
