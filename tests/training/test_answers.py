"""The answers of a run: one line for each clip, among the emotions of its set, and measures from the lines alone."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score
from test_trainer import arguments

from hf_mser.training.answers import answer_clips, measures_of
from hf_mser.training.data import Clips
from hf_mser.training.trainer import MSERTrainer


@pytest.fixture
def lines(make_model, clips, tmp_path):
    model, processor = make_model()
    trainer = MSERTrainer(model, arguments(tmp_path), train_dataset=clips, processing_class=processor)
    chosen = [{**row, "corpus": "tones"} for row in clips if row["emotion"] in ("happy", "sad")]
    return trainer, Clips(chosen), answer_clips(trainer, Clips(chosen), "test/tones")


def test_a_clip_is_answered_among_the_emotions_of_its_set(lines):
    trainer, clips, answers = lines
    scores = trainer.predict(clips).predictions
    labels = trainer.model.config.labels
    happy, sad = scores[:, labels.index("happy")], scores[:, labels.index("sad")]
    assert [line["label"] for line in answers] == ["happy" if h > s else "sad" for h, s in zip(happy, sad, strict=True)]
    for line, h, s in zip(answers, happy, sad, strict=True):
        assert set(line["scores"]) == {"happy", "sad"}
        assert line["scores"]["happy"] == pytest.approx(1 / (1 + np.exp(s - h)), abs=1e-6)


def test_measures_follow_from_the_lines(lines):
    _, clips, answers = lines
    found = measures_of(answers)
    references, labels = clips["emotion"], [line["label"] for line in answers]
    assert found["n"] == len(clips)
    assert found["UA"] == pytest.approx(balanced_accuracy_score(references, labels))
    assert found["speakers"] == len(set(clips["speaker"]))
    assert np.sum(found["confusion"]) == len(clips)
