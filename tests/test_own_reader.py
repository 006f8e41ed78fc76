"""The reader that unlabelled clips teach: against loops that leave each clip out, and what it is good for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.own_reader import BELIEVED, PRIOR_CLIPS, RIDGE, ROUNDS, SMALLEST_DEVIATION, STRENGTH, learn_from


def softmax(rows: np.ndarray) -> np.ndarray:
    powers = np.exp(rows - rows.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_each_clip_is_told_what_all_others_make_of_it():
    """Against ridge regressions that are solved anew without each clip."""
    random = np.random.default_rng(0)
    values, said = random.normal(size=(25, 60)), random.normal(0, 2, size=(25, 3))
    centred = values - values.mean(0)
    by_others, scale = np.zeros_like(said), 0.0
    for _ in range(ROUNDS):
        wanted = softmax(BELIEVED * said + scale * by_others)
        wanted -= wanted.mean(0)
        for clip in range(len(values)):
            rest = np.delete(np.arange(len(values)), clip)
            own = centred[rest]
            weights = np.linalg.solve(own.T @ own / 60 + RIDGE * np.eye(60), own.T @ wanted[rest] / 60)
            by_others[clip] = centred[clip] @ weights
        scale = STRENGTH * 25 / (25 + PRIOR_CLIPS) / by_others.std(ddof=1)
    weights = np.linalg.solve(centred.T @ centred / 60 + RIDGE * np.eye(60), centred.T @ wanted / 60)
    reader, told = learn_from(torch.tensor(values), torch.tensor(said))
    np.testing.assert_allclose(told.numpy(), STRENGTH * 25 / (25 + PRIOR_CLIPS) / by_others.std(ddof=1) * by_others)
    np.testing.assert_allclose(reader(torch.tensor(values)).numpy(), scale * centred @ weights, atol=1e-6)


def test_it_finds_what_the_clouds_cannot_see():
    """They tell two labels apart along one direction, and often wrongly; the labels lie apart along others, too."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(800) % 2
    values = torch.randn(800, 100, generator=random)
    values[:, :20] += (labels * 2.0 - 1)[:, None]
    said = torch.stack([-values[:, 0], values[:, 0]], 1)
    reader = learn_from(values[:600], said[:600]).reader
    before = (said[600:].argmax(1) == labels[600:]).float().mean()
    after = ((said + reader(values))[600:].argmax(1) == labels[600:]).float().mean()
    assert before < 0.9
    assert after > 0.95


@settings(max_examples=25, deadline=None)
@given(count=st.integers(2, 12), seed=st.integers(0, 1000), scale=st.sampled_from([0.0, 1.0, 100.0]))
def test_few_clips_say_little_and_whatever_they_are_nothing_breaks(count, seed, scale):
    random = torch.Generator().manual_seed(seed)
    values = scale * torch.randn(count, 30, generator=random)
    reader = learn_from(values, 10 * torch.randn(count, 4, generator=random)).reader
    added = reader(values)
    assert bool(added.isfinite().all())
    largest = STRENGTH * count / (count + PRIOR_CLIPS) / SMALLEST_DEVIATION
    assert float(added.abs().max()) <= largest + 1e-3
    assert float(added.mean(0).abs().max()) == pytest.approx(0, abs=1e-2)
