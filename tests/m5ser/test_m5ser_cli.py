"""`mser m5ser`: the offline default from a folder to a dataset, and its exit statuses."""

import shutil

import pytest

from hf_mser.cli import main
from hf_mser.m5ser import load_m5ser

pytest.importorskip("espeakng_loader")
pytest.importorskip("pyworld")


@pytest.fixture(scope="module")
def mini(english, tmp_path_factory):
    out = tmp_path_factory.mktemp("m5ser") / "mini"
    arguments = ["m5ser", "build", "--source", str(english), "--output", str(out), "--languages", "fr,es"]
    assert main([*arguments, "--splits", "train", "--workers", "1"]) == 0
    return out


def test_the_default_translator_builds_and_info_tells(mini, capsys):
    rows = list(load_m5ser(mini, split="train", streaming=True))
    assert len(rows) == 18
    assert {row["translator"] for row in rows} == {None, "prosody"}
    assert len({row["text"] for row in rows if row["language"] == "fr"}) > 1
    assert main(["m5ser", "info", str(mini), "--verify"]) == 0
    shown = capsys.readouterr().out
    assert "| es | 6 |" in shown
    assert "All files match their checksums." in shown


def test_filter_copies_and_reports(mini, tmp_path, capsys):
    assert main(["m5ser", "filter", str(mini), "--output", str(tmp_path / "few"), "--max-ratio", "0.01"]) == 2
    assert "every clip was dropped" in capsys.readouterr().err
    arguments = ["m5ser", "filter", str(mini), "--output", str(tmp_path / "some"), "--min-speech", "0.2"]
    assert main(arguments) == 0
    assert "18 clips" in capsys.readouterr().out


def test_failed_inputs_are_status_one_and_wrong_use_is_two(english, tmp_path, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(english, broken)
    (broken / "ann_sad.wav").write_bytes(b"no sound")
    arguments = ["m5ser", "build", "--source", str(broken), "--languages", "fr", "--workers", "1"]
    arguments += ["--translator", "odd_translators:Backwards", "--output", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert "dropped, unreadable source: 2" in capsys.readouterr().out
    assert main(["m5ser", "info", str(tmp_path)]) == 2
    assert main(["m5ser", "build", "--source", str(tmp_path / "no"), "--output", str(tmp_path / "x")]) == 2
