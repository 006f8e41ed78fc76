"""`mser adapt`: a checkpoint that knows the user's own recordings, saved complete."""

import json
from pathlib import Path

import pytest
import torch

from hf_mser import MSERForEmotionGeneration, load_embedded
from hf_mser.cli import main

CLIPS = Path(__file__).resolve().parents[2] / "examples" / "clips"


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapted")
    assert main(["adapt", str(CLIPS), "--output", str(folder)]) == 0
    return folder


def test_only_the_statistics_change_and_a_reader_of_their_own_is_added(adapted):
    before = load_embedded()[0].state_dict()
    after = MSERForEmotionGeneration.from_pretrained(adapted).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name].to(before[name].dtype))}
    assert changed
    assert all(name.startswith("connector.") and name.endswith(("_mean", "_std")) for name in changed)
    assert set(after) - set(before) == {"connector.own_weight", "connector.own_bias"}


def test_the_saved_checkpoint_predicts(adapted, capsys):
    capsys.readouterr()
    assert main(["predict", str(CLIPS / "de_angry.flac"), "--model", str(adapted), "--format", "jsonl"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert sum(record["scores"].values()) == pytest.approx(1)


def test_labels_that_do_not_occur_are_not_answered(tmp_path, capsys):
    assert main(["adapt", str(CLIPS), "--labels", "angry, sad,happy", "--output", str(tmp_path)]) == 0
    assert "disgust 0%" in capsys.readouterr().err
    assert main(["predict", str(CLIPS), "--model", str(tmp_path), "--format", "jsonl"]) == 0
    answers = [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()]
    assert set(answers) <= {"angry", "sad", "happy"}


def test_unreadable_clips_are_named_and_the_rest_counts(tmp_path, capsys):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    good = [str(path) for path in sorted(CLIPS.glob("*.flac"))[:3]]
    assert main(["adapt", *good, str(bad), "--output", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert "bad.wav" in message
    assert "Adapted to 3 clips" in message


def test_too_few_clips_are_an_error_and_nothing_is_saved(tmp_path, capsys):
    assert main(["adapt", str(CLIPS / "de_angry.flac"), "--output", str(tmp_path / "out")]) == 2
    assert "too few" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
