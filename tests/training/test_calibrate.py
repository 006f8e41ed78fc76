"""Temperatures that validation clips ask for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trainer import arguments

from hf_mser.training.calibrate import FEWEST_CLIPS, best_temperature, calibrate
from hf_mser.training.data import Clips
from hf_mser.training.trainer import MSERTrainer


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 50), st.floats(0.7, 6.0))
def test_scores_that_are_too_sure_are_divided_by_what_made_them_so(seed, sharpened):
    generator = torch.Generator().manual_seed(seed)
    scores = 1.5 * torch.randn(4000, 7, generator=generator)
    truth = torch.multinomial(scores.softmax(1), 1, generator=generator)[:, 0].numpy()
    found = best_temperature([sharpened * scores.numpy()], [truth])
    assert found == pytest.approx(sharpened, rel=0.12)


def test_every_corpus_counts_the_same_however_many_clips_it_has():
    sure, unsure = np.array([[3.0, 0.0]] * 900), np.array([[3.0, 0.0]] * 10)
    right, half = np.zeros(900, int), np.arange(10) % 2
    assert best_temperature([sure], [right]) == 0.5
    both = best_temperature([sure, unsure], [right, half])
    pooled = best_temperature([np.concatenate([sure, unsure])], [np.concatenate([right, half])])
    assert both > pooled


def test_a_model_is_as_sure_of_validation_clips_as_it_is_right(make_model, clips, tmp_path):
    rows = Clips([{**clip, "corpus": ("one", "two")[number % 2]} for number, clip in enumerate(clips)])
    model, processor = make_model()
    trainer = MSERTrainer(model, arguments(tmp_path), train_dataset=rows, processing_class=processor)
    trainer.train()
    domain, clouds = model.connector.frame_mean.clone(), dict(model.config.label_clouds)
    calibrate(trainer, rows)
    scores = trainer.predict(rows).predictions
    truth = [model.config.labels.index(clip["emotion"]) for clip in rows]
    assert model.config.temperature == best_temperature([scores], [np.array(truth)]) != 1.0
    after = model.config.label_clouds
    assert after["temperature"] != clouds["temperature"]
    assert {**after, "temperature": None} == {**clouds, "temperature": None}
    # The adaptation that this took has left nothing behind.
    assert torch.equal(model.connector.frame_mean, domain)
    assert model.config.label_weights is model.config.label_bias is None
    assert model.connector.config.num_speakers == 0


def test_of_a_few_clips_nothing_is_learned(make_model, clips, tmp_path):
    model, processor = make_model()
    trainer = MSERTrainer(model, arguments(tmp_path), train_dataset=clips, processing_class=processor)
    calibrate(trainer, Clips(clips[: FEWEST_CLIPS - 1]))
    assert model.config.temperature == 1.0
