"""`mser predict` as a person runs it, on the clips and with the checkpoint that ship."""

import contextlib
import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_models import tone

from hf_mser import pipeline_mser
from hf_mser.cli import main

CLIPS = Path(__file__).resolve().parents[2] / "examples" / "clips"
CALL = CLIPS.parent / "call.ogg"
GOOD = sorted(str(path) for path in CLIPS.glob("*.flac"))


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.wav"
    path.write_bytes(b"this is no audio")
    return str(path)


def test_folder_to_jsonl_in_order_with_all_scores(capsys):
    assert main(["predict", str(CLIPS), "--format", "jsonl"]) == 0
    records = lines(capsys)
    assert [record["input"] for record in records] == GOOD
    for record in records:
        assert sum(record["scores"].values()) == pytest.approx(1)
        assert record["score"] == max(record["scores"].values()) == record["scores"][record["label"]]
        assert len(record["scores"]) == 7


def test_a_bad_file_is_recorded_in_its_place_and_the_status_says_so(capsys, bad):
    assert main(["predict", GOOD[0], bad, GOOD[1], "--format", "jsonl"]) == 1
    records = lines(capsys)
    assert [record["input"] for record in records] == [GOOD[0], bad, GOOD[1]]
    assert "bad.wav" in records[1]["error"]
    assert "label" in records[2]


def test_on_error_raise_stops_with_the_message_and_keeps_what_was_done(capsys, bad):
    status = main(["predict", GOOD[0], bad, GOOD[1], "--format", "jsonl", "--on-error", "raise", "--batch-size", "1"])
    output = capsys.readouterr()
    assert status == 1
    assert [json.loads(line)["input"] for line in output.out.splitlines()] == [GOOD[0]]
    assert "bad.wav" in output.err


def test_labels_and_top_k(capsys):
    assert main(["predict", GOOD[0], "--labels", "joyful, furious,scared", "--top-k", "2", "--format", "jsonl"]) == 0
    (record,) = lines(capsys)
    assert len(record["scores"]) == 2
    assert set(record["scores"]) < {"joyful", "furious", "scared"}


def test_options_may_stand_between_inputs(capsys, bad):
    assert main(["predict", GOOD[0], "--top-k", "1", GOOD[1], "--format", "jsonl", bad]) == 1
    assert [record["input"] for record in lines(capsys)] == [GOOD[0], GOOD[1], bad]
    with pytest.raises(SystemExit, match="2"):
        main(["predict", GOOD[0], "--format", "jsonl", GOOD[1], "--tpo-k", "1"])
    assert "unrecognized arguments" in capsys.readouterr().err


def test_time_line_covers_the_whole_call(capsys):
    assert main(["predict", str(CALL), "--timeline", "--format", "jsonl"]) == 0
    (record,) = lines(capsys)
    starts = [part["start"] for part in record["segments"]]
    assert starts[0] == 0
    assert np.diff(starts) == pytest.approx(2.0)
    assert record["segments"][-1]["end"] == pytest.approx(soundfile.info(CALL).duration, abs=0.01)


def test_table_is_the_default(capsys):
    assert main(["predict", GOOD[0]]) == 0
    table = capsys.readouterr().out
    assert table.startswith(f"{GOOD[0]}: ")
    assert "█" in table


def test_output_appears_only_when_complete(tmp_path):
    target = tmp_path / "out.json"
    assert main(["predict", *GOOD[:2], "--format", "json", "--output", str(target)]) == 0
    assert len(json.loads(target.read_text(encoding="utf-8"))) == 2
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_file_holds_what_standard_output_shows(tmp_path, capsys, bad, form):
    assert main(["predict", *GOOD[:3], bad, "--format", form]) == 1
    shown = capsys.readouterr().out
    assert main(["predict", *GOOD[:3], bad, "--format", form, "--output", str(tmp_path / "new" / "out")]) == 1
    assert (tmp_path / "new" / "out").read_text(encoding="utf-8") == shown


def test_a_killed_run_goes_on_and_writes_the_same_bytes(tmp_path, capsys):
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(40):
        soundfile.write(folder / f"{number:02d}.wav", tone(0.1 + number % 5 / 20, 100 + 9 * number, number), 16_000)
    (folder / "33.wav").write_bytes(b"damaged")
    command = ["predict", str(folder), "--format", "jsonl", "--batch-size", "1", "--workers", "2", "--output"]
    assert main([*command, str(tmp_path / "whole.jsonl")]) == 1
    target = tmp_path / "killed.jsonl"
    journal = tmp_path / "killed.jsonl.partial"
    with subprocess.Popen([sys.executable, "-m", "hf_mser.cli", *command, str(target)]) as process:
        while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 34):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)  # until the journal says that the second part has begun
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not target.exists()
    (folder / "03.wav").unlink()  # heard already
    capsys.readouterr()
    listed = sorted(str(path) for path in [*folder.iterdir(), folder / "03.wav"])
    again = ["predict", *listed, *command[2:]]
    assert main([*again, str(target)]) == 1
    assert "32 of 40 clips were finished before" in capsys.readouterr().err
    assert target.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "killed.jsonl", "whole.jsonl"]


def test_half_precision_agrees_on_the_word(capsys):
    assert main(["predict", *GOOD, "--format", "jsonl"]) == 0
    exact = lines(capsys)
    assert main(["predict", *GOOD, "--format", "jsonl", "--dtype", "bfloat16"]) == 0
    rough = lines(capsys)
    assert [record["label"] for record in rough] == [record["label"] for record in exact]
    differences = [abs(one["score"] - other["score"]) for one, other in zip(rough, exact, strict=True)]
    assert 0 < max(differences) < 0.1


def test_standard_input(capsys, monkeypatch):
    with open(GOOD[0], "rb") as file:
        monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": io.BytesIO(file.read())}))
    assert main(["predict", "-", GOOD[0], "--format", "jsonl"]) == 0
    piped, named = lines(capsys)
    assert piped["input"] == "-"
    assert piped["scores"] == pytest.approx(named["scores"], abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict"], "required"),
        (["predict", "a.wav", "--format", "xml"], "invalid choice"),
        (["predict", str(CLIPS.parent / "no*such.wav")], "matches no file"),
        (["predict", GOOD[0], "--top-k", "0"], "top_k"),
        (["predict", GOOD[0], "--labels", ","], "label"),
        (["predict", *GOOD[:2], "--batch-size", "0"], "batch_size=0"),
        (["predict", *GOOD[:2], "--workers", "-1"], "num_workers=-1"),
        (["predict", GOOD[0], "--output", "/dev/null/out.json"], "cannot be written"),
        (["predict", GOOD[0], "--model", "/no/such/model"], "no/such/model"),
        ([], "required"),
    ],
)
def test_wrong_use_is_status_2_and_says_why(capsys, arguments, message):
    try:
        status = main(arguments)
    except SystemExit as exit_:
        status = exit_.code
    output = capsys.readouterr()
    assert status == 2
    assert message in output.err
    assert output.out == ""


def test_results_go_to_standard_output_and_nothing_else_does(bad):
    command = [sys.executable, "-m", "hf_mser.cli", "predict", GOOD[0], bad, "--format", "jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [json.loads(line)["input"] for line in done.stdout.splitlines()] == [GOOD[0], bad]
    assert "it/s" not in done.stderr, "a progress bar has no place outside a terminal"


def test_the_command_agrees_with_the_pipeline(capsys):
    from transformers import pipeline

    assert main(["predict", GOOD[0], "--format", "jsonl"]) == 0
    (record,) = lines(capsys)
    pipe = pipeline("speech-emotion")
    assert isinstance(pipe, pipeline_mser.SpeechEmotionPipeline)
    assert {entry["label"]: entry["score"] for entry in pipe(GOOD[0])} == pytest.approx(record["scores"], abs=1e-6)


@pytest.mark.parametrize("form", ["jsonl", "table", "csv"])
def test_an_answer_that_is_not_sure_enough_names_no_emotion(capsys, form):
    assert main(["predict", GOOD[0], "--min-confidence", "1", "--format", form]) == 0
    output = capsys.readouterr().out
    if form == "jsonl":
        record = json.loads(output)
        assert record["label"] is None
        assert record["score"] == max(record["scores"].values())
    elif form == "table":
        assert f"{GOOD[0]}: not sure (" in output
    else:
        (row,) = csv.DictReader(io.StringIO(output))
        assert row["label"] == ""
        assert float(row["score"]) > 0
