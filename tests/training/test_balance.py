"""Weights that make emotions equal, and clips of which they are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_mser.training.balance import FEWEST_DRAWN, balanced_weights, drawn_clips, unequal_clips


def test_balance_makes_emotions_equal_within_a_corpus():
    corpus = np.array(["a"] * 4 + ["b"])
    weights = balanced_weights(corpus, np.array([0, 0, 0, 1, -1]))
    assert weights[:3].sum() == pytest.approx(weights[3])
    assert weights[4] == 0


def test_a_corpus_counts_as_a_power_of_its_size():
    corpus, emotion = np.array(["a"] * 8 + ["b"] * 2), np.array([0, 1] * 5)
    weights = balanced_weights(corpus, emotion, power=0.5)
    assert weights[:8].sum() == pytest.approx(2 * weights[8:].sum())


@given(st.lists(st.integers(5, 60), min_size=2, max_size=7), st.floats(1, 20), st.integers(0, 9))
def test_unequal_clips_are_some_of_the_labelled_ones_and_as_unequal_as_asked(there, ratio, seed):
    emotion = np.random.default_rng(0).permutation(np.repeat(np.arange(-1, len(there)), [7, *there]))
    chosen = unequal_clips(emotion, ratio, np.random.default_rng(seed))
    assert np.array_equal(chosen, np.unique(chosen))
    counts = np.bincount(emotion[chosen], minlength=len(there))
    assert (counts >= FEWEST_DRAWN).all()
    assert (counts <= there).all()
    if counts.min() > FEWEST_DRAWN:
        assert counts.max() / counts.min() == pytest.approx(ratio, rel=0.2)


def test_which_emotions_are_rare_differs_from_draw_to_draw():
    emotion = np.repeat(np.arange(4), 100)
    rarest = {
        int(np.bincount(emotion[unequal_clips(emotion, 10, np.random.default_rng(seed))]).argmin()) for seed in range(9)
    }
    assert len(rarest) > 1


def test_of_an_emotion_with_fewer_clips_than_wanted_all_are_drawn():
    chosen = drawn_clips(np.array([0] * 50 + [1] * 3), np.array([0.9, 0.1]), np.random.default_rng(0))
    assert (chosen >= 50).sum() == 3
    assert (chosen < 50).sum() == 27
