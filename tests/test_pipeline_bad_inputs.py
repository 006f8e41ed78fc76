"""Three hundred bad inputs among good files: `on_error="record"` loses none of the good ones."""

import warnings
from pathlib import Path

import pytest
from test_audio_bad_inputs import bad_inputs
from transformers import pipeline

CLIPS = sorted(str(path) for path in (Path(__file__).resolve().parents[1] / "examples" / "clips").glob("*.flac"))
EVERY = 40


def test_three_hundred_bad_inputs_lose_no_good_file():
    pipe = pipeline("speech-emotion")
    alone = pipe(CLIPS)
    bad = [source for _, source in bad_inputs()]
    mixed, places = [], []
    for number, source in enumerate(bad):
        if number % EVERY == 0 and len(places) < len(CLIPS):
            places.append(len(mixed))
            mixed.append(CLIPS[len(places) - 1])
        mixed.append(source)
    assert len(places) == len(CLIPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of the damage leaves digital silence, which is reported as such
        answers = pipe(mixed, on_error="record", batch_size=8)
    assert len(answers) == len(mixed)
    for answer, expected in zip([answers[place] for place in places], alone, strict=True):
        assert by_label(answer) == pytest.approx(by_label(expected), abs=1e-4)
    for answer in answers:
        if isinstance(answer, dict):
            assert sorted(answer) == ["error", "input"]
            assert answer["error"]
        else:
            assert sum(by_label(answer).values()) == pytest.approx(1)
    assert sum(isinstance(answer, dict) for answer in answers) > len(bad) // 2


def by_label(answer):
    return {entry["label"]: entry["score"] for entry in answer}
