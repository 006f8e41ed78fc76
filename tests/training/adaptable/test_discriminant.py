"""The linear discriminant, against scikit-learn and against itself by the other product."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.training.adaptable.discriminant import NEVER, linear_discriminant


def test_it_is_that_of_scikit_learn():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    random = np.random.default_rng(0)
    emotions = np.arange(90) % 3
    rows = random.normal(size=(3, 5))[emotions] + random.normal(size=(90, 5)) * [1, 2, 0.5, 1, 1]
    found = linear_discriminant(torch.from_numpy(rows).float(), torch.from_numpy(emotions), 3, 0.0)
    expected = LinearDiscriminantAnalysis(solver="lsqr").fit(rows, emotions)
    logits = found(torch.from_numpy(rows).float()).log_softmax(1)
    np.testing.assert_allclose(logits.numpy(), expected.predict_log_proba(rows), atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 12), st.integers(13, 40), st.floats(0.05, 1.0), st.integers(0, 99))
def test_fewer_rows_than_columns_give_what_the_whole_covariance_gives(count, width, ridge, seed):
    generator = torch.Generator().manual_seed(seed)
    rows, emotions = torch.randn(count, width, generator=generator), torch.arange(count) % 2
    found = linear_discriminant(rows, emotions, 2, ridge)
    middles = torch.stack([rows[emotions == kind].mean(0) for kind in (0, 1)]).double()
    around = rows.double() - middles[emotions]
    covariance = around.T @ around / count
    ball = covariance.diagonal().mean() * torch.eye(width, dtype=torch.float64)
    expected = torch.linalg.solve((1 - ridge) * covariance + ridge * ball, middles.T).T
    torch.testing.assert_close(found.weight.double(), expected, atol=1e-2, rtol=1e-2)


def test_a_clip_of_weight_two_counts_as_two_and_one_of_weight_nothing_not_at_all():
    generator = torch.Generator().manual_seed(0)
    rows, emotions = torch.randn(30, 4, generator=generator), torch.arange(30) % 3
    weights = torch.ones(30)
    weights[4], weights[7] = 2, 0
    found = linear_discriminant(rows, emotions, 3, 0.3, weights)
    places = [place for place in range(30) if place != 7] + [4]
    expected = linear_discriminant(rows[places], emotions[places], 3, 0.3)
    torch.testing.assert_close(found.weight, expected.weight, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.bias, expected.bias, atol=1e-4, rtol=1e-4)


def test_an_emotion_that_nobody_showed_is_never_answered():
    reader = linear_discriminant(torch.randn(20, 4), torch.arange(20) % 2, 3, 0.5)
    assert float(reader.bias[2]) == pytest.approx(NEVER)
    assert reader(torch.randn(50, 4)).argmax(1).max() <= 1
