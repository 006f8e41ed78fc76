"""Disks that are full or read-only, and inputs that vanish under a running command: nothing is lost, and it is said."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from forked_mser import ForkedMser
from spoken_world import write_corpus
from tiny_models import put_together, tone

from hf_mser.cli import main
from hf_mser.disk import OutputError, writing
from hf_mser.errors import MSERError


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder of 60 clips, a corpus with a model to evaluate on it, and a distribution to prepare."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "clips").mkdir()
    for number in range(60):
        soundfile.write(folder / "clips" / f"{number:02d}.wav", tone(0.1 + number % 5 / 20, seed=number), 16_000)
    write_corpus(folder / "corpus", "fr", speakers=5, takes=2)
    model, processor = put_together(folder / "backbones")
    model.save_pretrained(folder / "mser", full=True)
    processor.save_pretrained(folder / "mser")
    random = np.random.default_rng(0)
    (folder / "emodb" / "wav").mkdir(parents=True)
    for speaker in ("03", "08", "15"):
        for label in "NFTWEAL":
            for sentence in ("a01", "a02"):
                path = folder / "emodb" / "wav" / f"{speaker}{sentence}{label}a.wav"
                soundfile.write(path, random.normal(0, 0.1, 4_000), 16_000)
    return folder


@pytest.fixture(scope="module")
def mser(tmp_path_factory) -> Iterator[ForkedMser]:
    """Runs commands."""
    runner = ForkedMser(tmp_path_factory.mktemp("mser"))
    yield runner
    runner.close()


def command(home: Path, name: str, output: Path) -> list[str]:
    """The arguments of one of the three long commands, as small steps as it has."""
    return (
        {
            "predict": [
                "predict",
                str(home / "clips"),
                "--model",
                str(home / "mser"),
                "--format",
                "jsonl",
                "--batch-size",
                "1",
            ],
            "evaluate": [
                "evaluate",
                "--data",
                str(home / "corpus"),
                "--model",
                str(home / "mser"),
                "--batch-size",
                "1",
            ],
            "prepare": ["corpora", "prepare", "emodb", "--source", str(home / "emodb"), "--workers", "1"],
        }[name]
        + (["--no-report"] if name == "evaluate" else [])
        + ["--output", str(output)]
    )


def contents(path: Path) -> dict[str, bytes]:
    """All files in a folder, or the one file."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def whole(home) -> Callable[[str], dict[str, bytes]]:
    """What a command writes that nothing disturbs."""
    known: dict[str, dict[str, bytes]] = {}

    def run(name: str) -> dict[str, bytes]:
        if name not in known:
            assert main(command(home, name, home / f"whole-{name}")) in (0, 1)
            known[name] = contents(home / f"whole-{name}")
        return known[name]

    return run


@pytest.mark.parametrize(("name", "small"), [("predict", "20k"), ("evaluate", "24k"), ("prepare", "24k")])
def test_a_read_only_and_then_a_full_disk_are_named_and_nothing_is_lost(home, whole, mser, tmp_path, name, small):
    output = mser.disk / name / "out"
    arguments = command(home, name, output)
    mser.new_disk("ro,size=64m")
    read_only = mser.run(arguments)
    mser.change_disk(f"rw,size={small}")
    full = mser.run(arguments)
    mser.change_disk("rw,size=64m")
    roomy = mser.run(arguments)
    mser.keep(tmp_path / "kept")
    assert (read_only.status, full.status) == (2, 2)
    assert str(output) in read_only.error
    assert "cannot be written (Read-only file system)" in read_only.error
    assert "cannot be written (No space left on device). Free space" in full.error
    assert "Traceback" not in read_only.error + full.error
    assert roomy.status in (0, 1), roomy.error
    assert contents(tmp_path / "kept" / name / "out") == whole(name)
    if name == "predict":
        assert "32 of 60 clips were finished before" in roomy.error
        assert [path.name for path in (tmp_path / "kept" / name).iterdir()] == ["out"]


FINISHED = {"predict": "out.partial", "evaluate": "out/parts/*/*.jsonl", "prepare": "out/.prepare/journal.jsonl"}
"""Where each command keeps a line for every finished clip."""
EARLY, LATE = 3, 28


def held_in_the_middle(mser: ForkedMser, home: Path, name: str, folder: Path) -> int:
    """Start a command and stop it for a while when it has done some clips and has others before it."""

    def finished() -> int:
        return sum(path.read_bytes().count(b"\n") for path in folder.glob(FINISHED[name]))

    for _ in range(10):  # on a crowded machine a command may be done before anybody looks
        process = mser.start(command(home, name, folder / "out"))
        stat = Path(f"/proc/{process}/stat")
        while finished() < EARLY and stat.read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z":
            pass
        os.kill(process, signal.SIGSTOP)
        if EARLY <= finished() < LATE:
            return process
        os.kill(process, signal.SIGKILL)
        mser.wait()
        subprocess.run(["rm", "-rf", *map(str, folder.glob("out*"))], check=True)
    raise AssertionError(f"{name} could not be stopped in the middle")


@pytest.mark.parametrize("name", ["predict", "evaluate", "prepare"])
def test_an_input_that_vanishes_meanwhile(home, whole, mser, tmp_path, name):
    whole(name)
    last = {
        "predict": home / "clips" / "59.wav",
        "evaluate": home / "corpus" / "s4-angry-1.wav",
        "prepare": home / "emodb" / "wav" / "15a02Wa.wav",
    }[name]
    process = held_in_the_middle(mser, home, name, tmp_path)
    last.rename(tmp_path / "hidden")
    os.kill(process, signal.SIGCONT)
    done = mser.wait()
    (tmp_path / "hidden").rename(last)
    assert "Traceback" not in done.error
    if name == "predict":  # one bad clip among many is a line of the results
        assert done.status == 1
        *good, bad = (tmp_path / "out").read_bytes().splitlines(keepends=True)
        assert good == whole(name)[""].splitlines(keepends=True)[:-1]
        assert "59.wav" in json.loads(bad)["error"]
    else:  # figures of fewer clips than were asked for would be wrong: it stops, and goes on when the clip is back
        assert done.status == 2
        assert last.name in done.error
        assert main(command(home, name, tmp_path / "out")) in (0, 1)
        assert contents(tmp_path / "out") == whole(name)


@pytest.mark.parametrize(
    ("name", "sign", "status"),
    [
        ("predict", signal.SIGTERM, -signal.SIGTERM),
        ("predict", signal.SIGINT, 130),
        ("evaluate", signal.SIGTERM, -signal.SIGTERM),
        ("prepare", signal.SIGTERM, -signal.SIGTERM),
    ],
)
def test_a_command_that_is_told_to_stop_goes_on_to_the_same_bytes(home, whole, mser, tmp_path, name, sign, status):
    process = held_in_the_middle(mser, home, name, tmp_path)
    os.kill(process, sign)
    os.kill(process, signal.SIGCONT)
    done = mser.wait()
    assert done.status == status
    assert "Traceback" not in done.error
    assert main(command(home, name, tmp_path / "out")) in (0, 1)
    assert contents(tmp_path / "out") == whole(name)


def test_standard_output_on_a_full_disk_is_an_error():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hf_mser.cli", "corpora", "list"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("mser: The output cannot be written (No space left on device).")
    assert done.stderr.count("\n") == 1


def test_what_has_a_name_keeps_it():
    with pytest.raises(MSERError, match="a model is missing"), writing("out"):
        raise MSERError("a model is missing")
    with pytest.raises(OutputError, match="out cannot be written"), writing("out"):
        Path("/dev/null/out").touch()
