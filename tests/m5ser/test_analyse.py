"""The analysis: numbers that are right on clips made for them, and a report from a dataset to two pictures."""

import json

import numpy as np
import pytest

from hf_mser.cli import main
from hf_mser.m5ser import M5SERError, Settings, build
from hf_mser.m5ser.figures import _two_dimensions
from hf_mser.m5ser.measures import MELS, POINTS, Measured, picture, time_normalised
from hf_mser.m5ser.survival import classifier, contour_agreement, distances

EMOTIONS = ("neutral", "happy", "sad")
BACKWARDS = Settings(languages=("fr", "zh"), translator="odd_translators:Backwards", clips_per_unit=4)


def made_up(kept: float, noise: float = 0.3, speakers: int = 10, takes: int = 4) -> Measured:
    """Recordings whose functionals say the emotion, and French ones that say it for a share `kept` of the clips."""
    rng = np.random.default_rng(0)
    rows = [
        (language, emotion, speaker, take)
        for speaker in range(speakers)
        for emotion in EMOTIONS
        for take in range(takes)
        for language in ("en", "fr")
    ]
    said = [
        EMOTIONS.index(emotion) if language == "en" or rng.random() < kept else int(rng.integers(3))
        for language, emotion, *_ in rows
    ]
    shapes = {f"{emotion}{speaker}{take}": rng.normal(size=(3, POINTS)) for _, emotion, speaker, take in rows}
    return Measured(
        languages=np.array([row[0] for row in rows]),
        emotions=np.array([row[1] for row in rows]),
        corpora=np.array(["c"] * len(rows)),
        sources=np.array([f"c/{row[1]}{row[2]}{row[3]}" for row in rows]),
        speakers=np.array([f"c/{row[2]}" for row in rows]),
        original=np.array([row[0] == "en" for row in rows]),
        functionals=np.eye(3)[said] + noise * rng.normal(size=(len(rows), 3)),
        contours=np.stack([2.0 * shapes[f"{row[1]}{row[2]}{row[3]}"] + 5 for row in rows]),
        pictures=np.stack([np.full((2, 2), 10.0 * EMOTIONS.index(row[1]) + (row[0] == "fr")) for row in rows]),
    )


@pytest.mark.parametrize("kept", [1.0, 0.5, 0.0])
def test_the_classifier_finds_the_share_that_was_kept(kept):
    found = classifier(made_up(kept))
    assert found["chance"] == pytest.approx(1 / 3)
    assert found["plain"]["en"]["UA"] > 0.9
    assert found["plain"]["en"]["kept"] == 1
    assert found["plain"]["fr"]["kept"] == pytest.approx(kept, abs=0.17)
    low, high = found["plain"]["fr"]["interval"]
    assert low <= found["plain"]["fr"]["UA"] <= high


def test_only_the_adapted_classifier_forgives_a_language_that_is_shifted_as_a_whole():
    clips = made_up(1.0)
    clips.functionals[clips.languages == "fr"] += np.array([4.0, -4.0, 0.0])
    found = classifier(clips)
    assert found["plain"]["fr"]["kept"] < 0.3
    assert found["adapted"]["fr"]["kept"] > 0.9


def test_contours_are_compared_with_the_own_source_and_with_a_stranger():
    found = contour_agreement(made_up(1.0))["fr"]["pitch"]
    assert found["own source"] == pytest.approx(1.0)
    assert abs(found["other source"]) < 0.2


def test_distances_between_languages_and_between_emotions():
    found = distances(made_up(1.0))
    assert found["between languages, one emotion"] == pytest.approx(1.0)
    assert found["between emotions, one language"] == pytest.approx(np.mean([10, 20, 10]))
    assert found["between languages, one emotion, languages centred"] == pytest.approx(0.0)


def test_the_map_shows_the_two_largest_movements_and_says_how_large():
    table = np.zeros((4, 6))
    table[:, 2], table[:, 4] = [3, -3, 0, 0], [0, 0, 1, -1]
    points, shares = _two_dimensions(table)
    assert np.abs(points) == pytest.approx(np.abs(table[:, [2, 4]]))
    assert shares == pytest.approx([0.9, 0.1])
    points, shares = _two_dimensions(table[:1])
    assert points.shape == (1, 2)
    assert shares.tolist() == [0, 0]


def test_pictures_forget_level_and_length():
    sound = np.random.default_rng(0).normal(size=32_000) * np.linspace(0.1, 1, 32_000)
    assert np.abs(picture(sound) - picture(0.5 * sound)).max() < 0.01
    assert picture(sound[:800]).shape == picture(sound).shape == (MELS, 32)
    rising = picture(sound)
    assert rising[:, -1].mean() > rising[:, 0].mean() + 10


def test_contours_are_read_over_the_speech_alone():
    frames = np.zeros((300, 3), np.float32)
    frames[100:200] = [[20 + position / 10, 1.0, -5.0] for position in range(100)]
    pitch, loudness, tilt = time_normalised(frames)
    assert (pitch[0], pitch[-1]) == (pytest.approx(20), pytest.approx(29.9))
    assert loudness.min() == 1.0
    assert (tilt == -5).all()


def test_from_a_dataset_to_a_report_and_two_pictures(english, tmp_path, capsys):
    pytest.importorskip("opensmile")
    folder = tmp_path / "dataset"
    build([english], folder, BACKWARDS, workers=1, splits=["train"])
    assert main(["m5ser", "analyse", str(folder)]) == 0
    assert "| zh | 6 |" in capsys.readouterr().out
    output = tmp_path / "dataset-analysis"
    numbers = json.loads((output / "analysis.json").read_text())
    assert numbers["contents"]["fr"] == {
        "clips": 6,
        "hours": pytest.approx(0.002, abs=0.001),
        "speakers": 2,
        "emotions": {"happy": 2, "neutral": 2, "sad": 2},
    }
    assert numbers["contours"]["fr"]["loudness"]["own source"] == pytest.approx(
        numbers["contours"]["zh"]["loudness"]["own source"]
    )
    report = (output / "report.md").read_text()
    for name in ("distributions.png", "spectrograms.png"):
        assert f"({name})" in report
        assert (output / name).read_bytes().startswith(b"\x89PNG")
    (output / "report.md").unlink()
    (output / "report.md").mkdir()
    assert main(["m5ser", "analyse", str(folder)]) == 2
    assert f"{output / 'report.md'} cannot be written (Is a directory)" in capsys.readouterr().err


def test_a_dataset_without_translations_cannot_be_compared(english, tmp_path):
    pytest.importorskip("opensmile")
    from hf_mser.m5ser.analyse import analyse

    only = Settings(languages=("en",), translator="odd_translators:Backwards")
    build([english], tmp_path / "dataset", only, workers=1)
    with pytest.raises(M5SERError, match="only one of the two"):
        analyse(tmp_path / "dataset")
