"""What validation clips ask for: a temperature, and how much the linear readings count."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trainer import arguments
from torch.nn import functional as F

from hf_mser import adapted_answers
from hf_mser.adaptation import adapt_to_frames, unadapted_afterwards
from hf_mser.training.calibration import FEWEST_CLIPS, Calibration, calibrate
from hf_mser.training.data import Clips
from hf_mser.training.trainer import MSERTrainer


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 50), st.floats(0.7, 6.0))
def test_scores_that_are_too_sure_are_divided_by_what_made_them_so(seed, sharpened):
    generator = torch.Generator().manual_seed(seed)
    scores = 1.5 * torch.randn(4000, 7, generator=generator)
    truth = torch.multinomial(scores.softmax(1), 1, generator=generator)[:, 0]
    found = Calibration.of([sharpened * scores], None, [truth])
    assert found.weight == 0
    assert found.temperature == pytest.approx(sharpened, rel=0.12)


def test_every_corpus_counts_the_same_however_many_clips_it_has():
    sure, unsure = torch.tensor([[3.0, 0.0]] * 900), torch.tensor([[3.0, 0.0]] * 10)
    right, half = torch.zeros(900).long(), torch.arange(10) % 2
    assert Calibration.of([sure], None, [right]).temperature == 0.5
    both = Calibration.of([sure, unsure], None, [right, half])
    pooled = Calibration.of([torch.cat([sure, unsure])], None, [torch.cat([right, half])])
    assert both.temperature > pooled.temperature


@pytest.fixture
def trainer(make_model, clips, tmp_path):
    rows = Clips([{**clip, "corpus": ("one", "two")[number % 2]} for number, clip in enumerate(clips)])
    model, processor = make_model()
    trainer = MSERTrainer(model, arguments(tmp_path), train_dataset=rows, processing_class=processor)
    trainer.train()
    return trainer


def surprise(trainer, truth) -> float:
    """Of the clips of both corpora, each counting the same, as the pipeline would answer."""
    scores = torch.from_numpy(trainer.predict(trainer.train_dataset).predictions) / trainer.model.config.temperature
    return float(np.mean([F.cross_entropy(scores[corpus::2], truth[corpus::2]) for corpus in (0, 1)]))


def test_a_trained_model_says_what_its_readings_say_too_and_is_as_sure_as_it_is_right(trainer):
    model, rows = trainer.model, trainer.train_dataset
    truth = torch.tensor([model.config.labels.index(clip["emotion"]) for clip in rows])
    domain, clouds, plain = (
        model.connector.frame_mean.clone(),
        dict(model.config.label_clouds),
        surprise(trainer, truth),
    )
    calibrate(trainer, rows)
    weight = model.config.label_weights[0][0]
    assert model.config.label_weights == (weight * torch.eye(4)).tolist()
    calibrated = surprise(trainer, truth)
    assert calibrated < plain
    for changed in (0.0, max(0.0, weight - 0.2)):
        if changed != weight:
            model.config.label_weights = (changed * torch.eye(4)).tolist()
            assert surprise(trainer, truth) > calibrated
    model.config.label_weights = (weight * torch.eye(4)).tolist()
    model.config.temperature *= 1.3
    assert surprise(trainer, truth) > calibrated
    after = model.config.label_clouds
    assert {**after, "weight": 0, "temperature": 0} == {**clouds, "weight": 0, "temperature": 0}
    # The adaptation that this took has left nothing behind.
    assert torch.equal(model.connector.frame_mean, domain)
    assert model.config.label_bias is None
    assert model.connector.config.num_speakers == 0


def test_the_clouds_weight_and_temperature_are_those_of_adapted_answers(trainer, monkeypatch):
    monkeypatch.setattr(adapted_answers, "CLOUDS_PRIOR_CLIPS", 0.0)  # nothing is left of the answers as they are
    model, rows = trainer.model, trainer.train_dataset
    calibrate(trainer, rows)
    clouds = model.config.label_clouds
    truth = torch.tensor([model.config.labels.index(clip["emotion"]) for clip in rows])

    def adapted() -> float:
        losses = []
        for corpus in (0, 1):
            own = Clips([rows[place] for place in range(corpus, len(rows), 2)])
            with unadapted_afterwards(model):
                adapt_to_frames(model, (heard[1:3] for heard in trainer.frozen_frames(own)))
                scores = torch.from_numpy(trainer.predict(own).predictions) / model.config.temperature
            losses.append(float(F.cross_entropy(scores, truth[corpus::2])))
        return float(np.mean(losses))

    fitted = adapted()
    model.config.label_clouds = {**clouds, "temperature": 3 * clouds["temperature"]}
    assert adapted() > fitted


def test_calibrating_again_finds_the_same(trainer):
    calibrate(trainer, trainer.train_dataset)
    config = trainer.model.config
    found = (config.temperature, config.label_weights, config.label_clouds)
    calibrate(trainer, trainer.train_dataset)
    assert (config.temperature, config.label_weights, config.label_clouds) == found


def test_of_a_few_clips_nothing_is_learned(make_model, clips, tmp_path):
    model, processor = make_model()
    trainer = MSERTrainer(model, arguments(tmp_path), train_dataset=clips, processing_class=processor)
    calibrate(trainer, Clips(clips[: FEWEST_CLIPS - 1]))
    assert (model.config.temperature, model.config.label_weights) == (1.0, None)


def test_a_model_without_readings_is_given_a_temperature(make_model, clips, tmp_path):
    model, processor = make_model(qformer_config={"num_statistics_tokens": 0})
    trainer = MSERTrainer(model, arguments(tmp_path), train_dataset=clips, processing_class=processor)
    trainer.train()
    rows = Clips([{**clip, "corpus": "one"} for clip in clips])
    calibrate(trainer, rows)
    truth = torch.tensor([model.config.labels.index(clip["emotion"]) for clip in rows])
    scores = torch.from_numpy(trainer.predict(rows).predictions)
    assert model.config.temperature == Calibration.of([scores], None, [truth]).temperature
    assert model.config.label_weights is None
