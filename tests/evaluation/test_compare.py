"""Paired differences: real ones are seen, noise is called noise, what cannot be compared is refused."""

import json
import shutil

import pytest
from spoken_world import PitchListener, write_corpus

from hf_mser.evaluation.clips import read_clips
from hf_mser.evaluation.compare import ComparisonError, Difference, compare, table
from hf_mser.evaluation.evaluate import evaluate
from hf_mser.evaluation.protocols import protocol


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("compared")
    clips = [
        *read_clips(write_corpus(base / "one", "fr", speakers=8, takes=4)),
        *read_clips(write_corpus(base / "two", "it", speakers=8, takes=4)),
    ]
    tasks = protocol("whole-corpus").tasks(clips)
    for name, sharpness in [("dull", 0.4), ("sharp", 40.0)]:
        model = PitchListener(sharpness)
        evaluate(
            protocol("whole-corpus"),
            tasks,
            lambda task, model=model: model,
            model.identity,
            base / name,
            report=False,
            quiet=True,
        )
    return base


def test_a_real_difference_is_beyond_noise(folders):
    differences = compare(folders / "dull", folders / "sharp")
    assert [(d.corpus, d.measure) for d in differences[:3]] == [("one", "WA"), ("one", "UA"), ("one", "WF1")]
    for difference in differences:
        assert difference.value > 0.1
        assert difference.interval[0] <= difference.value <= difference.interval[1]
        assert difference.beyond_noise
    mean = next(d for d in differences if d.corpus == "mean" and d.measure == "UA")
    parts = [d for d in differences if d.corpus != "mean" and d.measure == "UA"]
    assert mean.value == pytest.approx(sum(d.value for d in parts) / 2)
    assert mean.speakers == 16


def test_turned_round_the_difference_turns_its_sign(folders):
    there = compare(folders / "dull", folders / "sharp")
    back = compare(folders / "sharp", folders / "dull")
    for one, other in zip(there, back, strict=True):
        assert one.value == pytest.approx(-other.value)
        assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))


def test_a_system_equals_itself(folders):
    for difference in compare(folders / "sharp", folders / "sharp"):
        assert difference.value == 0
        assert difference.interval == (0, 0)
        assert not difference.beyond_noise


def test_the_table_says_which_differences_count(folders):
    text = table(compare(folders / "dull", folders / "sharp"))
    assert text.count("beyond noise") == 9
    assert "beyond noise" not in table([Difference("one", "UA", 0.5, 0.51, (-0.02, 0.04), 8)])
    assert "one speaker" in table([Difference("one", "UA", 0.5, 0.51, None, 1)])


def test_other_clips_are_refused(folders, tmp_path):
    shutil.copytree(folders / "sharp", tmp_path / "cut")
    lines = (tmp_path / "cut" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    (tmp_path / "cut" / "predictions.jsonl").write_text("\n".join(lines[1:]) + "\n", encoding="utf-8")
    with pytest.raises(ComparisonError, match="one: 1 clips were answered by one system alone"):
        compare(folders / "sharp", tmp_path / "cut")


def test_other_classes_are_refused(folders, tmp_path):
    shutil.copytree(folders / "sharp", tmp_path / "other")
    results = json.loads((tmp_path / "other" / "results.json").read_text(encoding="utf-8"))
    results["results"][0]["classes"].append("fear")
    (tmp_path / "other" / "results.json").write_text(json.dumps(results), encoding="utf-8")
    with pytest.raises(ComparisonError, match="among different classes"):
        compare(folders / "sharp", tmp_path / "other")


def test_an_unfinished_folder_is_refused(folders, tmp_path):
    with pytest.raises(ComparisonError, match="no finished evaluation"):
        compare(folders / "sharp", tmp_path)
