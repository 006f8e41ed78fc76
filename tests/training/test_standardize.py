"""A new connector measures its frames on training clips, padding left out; a trained one is left alone."""

import pytest
import torch
from test_trainer import arguments

from hf_mser.training.standardize import fit_standardization, is_standardized
from hf_mser.training.trainer import MSERTrainer


def test_the_buffers_are_mean_and_deviation_of_the_real_frames(make_model):
    connector = make_model()[0].connector
    layers, width = connector.frame_mean.shape
    frames = torch.randn(6, layers, 9, width) * 3 + 1
    mask = torch.arange(9) < torch.tensor([9, 5, 7, 9, 3, 8])[:, None]
    padded = frames.masked_fill(~mask[:, None, :, None], 1e6)
    assert not is_standardized(connector)
    pieces = [(padded[:4], mask[:4]), (padded[4:], mask[4:])]
    assert fit_standardization(connector, pieces, lambda piece: piece) == 6
    assert is_standardized(connector)
    normalised = torch.nn.functional.layer_norm(frames, (width,))
    real = torch.cat([normalised[row][:, mask[row]].transpose(0, 1) for row in range(6)])
    torch.testing.assert_close(connector.frame_mean, real.mean(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(connector.frame_std, real.std(0, correction=0), atol=1e-5, rtol=0)
    statistics = connector.pool_statistics(normalised, mask)
    torch.testing.assert_close(connector.statistics_mean, statistics.mean(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        connector.statistics_std, statistics.std(0, correction=0).clamp(min=1e-3), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(("clips_used", "fitted"), [(512, True), (0, False)])
def test_training_starts_with_it(make_model, clips, tmp_path, clips_used, fitted):
    model, processor = make_model()
    args = arguments(tmp_path, max_steps=1, standardize_clips=clips_used)
    MSERTrainer(model, args, train_dataset=clips, processing_class=processor).train()
    assert is_standardized(model.connector) == fitted


def test_a_trained_connector_keeps_its_own(make_model, clips, tmp_path):
    model, processor = make_model()
    model.connector.frame_mean.fill_(0.5)
    args = arguments(tmp_path, max_steps=1)
    MSERTrainer(model, args, train_dataset=clips, processing_class=processor).train()
    assert bool((model.connector.frame_mean == 0.5).all())
