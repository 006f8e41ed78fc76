"""The scripts of `examples/`, run as they stand: on the clips and the checkpoint that ship."""

import csv
import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from hf_mser.commands.predict import load_pipeline

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CLIPS = EXAMPLES / "clips"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def pipe():
    """The embedded checkpoint, which the scripts use."""
    return load_pipeline(None)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a script in an empty folder; gives its variables."""
    monkeypatch.chdir(tmp_path)

    def run_script(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        return runpy.run_path(str(EXAMPLES / name))

    return run_script


def scores_of(answer):
    return {entry["label"]: entry["score"] for entry in answer}


def test_every_script_is_run_here_or_with_its_room():
    scripts = {path.name for path in EXAMPLES.glob("*.py")} - {"make_clips.py"}
    tests = "".join(path.read_text(encoding="utf-8") for path in EXAMPLES.parent.glob("tests/**/test_*example*.py"))
    assert {name for name in scripts if f'"{name}"' not in tests} == set()
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert {name for name in scripts if f"`{name}`" not in readme} == set()
    assert all(len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= 60 for name in scripts)


def test_predict_folder_writes_a_row_for_each_clip_and_notes_a_damaged_one(run, pipe, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("de_angry.flac", "fr_sad.flac"):
        shutil.copy(CLIPS / name, folder)
    (folder / "bad.wav").write_bytes(b"this is no audio")
    run("predict_folder.py", folder, "table.csv")
    with open("table.csv", encoding="utf-8", newline="") as file:
        rows = {row["clip"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["bad.wav", "de_angry.flac", "fr_sad.flac"]
    assert "no decoder understands it" in rows["bad.wav"]["error"]
    for name in ("de_angry.flac", "fr_sad.flac"):
        expected = pipe(str(CLIPS / name))
        assert rows[name]["emotion"] == expected[0]["label"]
        assert {label: float(rows[name][label]) for label in scores_of(expected)} == pytest.approx(
            scores_of(expected), abs=1e-4
        )


def test_call_timeline_shows_the_windows_of_the_pipeline(run, pipe, capsys):
    shown = run("call_timeline.py")
    expected = pipe(str(EXAMPLES / "call.ogg"), return_timestamps=True, window_s=4.0, hop_s=1.0)
    segments = expected["segments"]
    assert [part["label"] for part in shown["answer"]["segments"]] == [part["label"] for part in segments]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(segments[::4]) + 2
    assert lines[-2].startswith(f"the whole call: {expected['label']}")
    assert Path("call.png").read_bytes().startswith(PNG)
    stacked = shown["shares"].collections
    assert len(stacked) == len(pipe.model.config.labels)


def test_own_labels_prints_three_answers(run, pipe, capsys):
    run("own_labels.py", CLIPS / "it_happy.flac", "calm,joyful")
    blocks = capsys.readouterr().out.strip().split("\n\n")
    assert [len(block.splitlines()) - 1 for block in blocks] == [7, 3, 2]
    best = pipe(str(CLIPS / "it_happy.flac"), candidate_labels=["calm", "joyful"])[0]["label"]
    assert blocks[2].splitlines()[1].split()[0] == best


def test_embed_and_plot_finds_the_nearest_clips(run, capsys):
    shown = run("embed_and_plot.py")
    embeddings = shown["embeddings"]
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)
    distances = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2) + 9 * np.eye(len(embeddings))
    lines = capsys.readouterr().out.splitlines()
    for clip, line, row in zip(shown["clips"], lines, distances, strict=False):
        assert line.split()[0] == clip.name
        assert shown["clips"][row.argmin()].name in line.split()[1:]
    assert Path("embeddings.png").read_bytes().startswith(PNG)


def test_evaluate_own_corpus_measures_what_the_pipeline_gets_right(run, pipe, capsys):
    run("evaluate_own_corpus.py")
    rows = [json.loads(line) for line in (CLIPS / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    right = [pipe(str(CLIPS / row["file_name"]))[0]["label"] == row["emotion"] for row in rows]
    (result,) = json.loads(Path("my-results/results.json").read_text(encoding="utf-8"))["results"]
    assert result["n"] == len(rows)
    assert result["WA"] == pytest.approx(np.mean(right))
    assert f"UA {result['UA']:.1%}" in capsys.readouterr().out
    assert Path("my-results/report.html").is_file()


def test_fine_tune_learns_the_clips_and_leaves_a_model_that_loads(run, pipe, capsys):
    shown = run("fine_tune.py")
    losses = [entry["train_loss"] for entry in shown["trainer"].state.log_history if "train_loss" in entry]
    assert np.isfinite(losses).all()
    clips, words = shown["clips"], shown["words"]

    def told(pipe):
        return [scores_of(pipe(clip["audio"]))[words[clip["emotion"]]] for clip in clips]

    before, after = np.array(told(pipe)), np.array(told(load_pipeline("my-mser")))
    assert np.log(after).mean() > np.log(before).mean() + 0.1, "the right words became more probable"
    lines = [line for line in capsys.readouterr().out.splitlines() if "probability of" in line]
    assert [line.split()[0] for line in lines] == [Path(clip["audio"]["path"]).name for clip in clips]
