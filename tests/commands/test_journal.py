"""Unfinished work is kept, goes on where it stopped, and ends in the same bytes, wherever it was cut."""

import json
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.commands.inputs import NamedClip
from hf_mser.commands.journal import write_resumably
from hf_mser.disk import OutputError

RUN = {"model": "m", "batch_size": 2}


class Stop(Exception):
    """The moment of the kill."""


def record(clip, start):
    """Like a model whose answer depends on where its batch began."""
    return {"input": clip.name, "score": 0.1 + start, "of": str(clip.source)}


class Predictor:
    """Answers, counts, and stops before the given answer."""

    def __init__(self, stop_before=None):
        self.stop_before = stop_before
        self.heard = []

    def __call__(self, part):
        start = part[0].name
        for clip in part:
            if self.stop_before is not None and len(self.heard) == self.stop_before:
                raise Stop
            self.heard.append(clip.name)
            yield record(clip, len(start))


def render(file, records):
    for entry in records:
        file.write(json.dumps(entry) + "\n")


def clips_in(folder, count=7):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.wav" for number in range(count)]
    for path in paths:
        path.write_text(path.name, encoding="utf-8")
    return [NamedClip(path.name, path) for path in paths]


def write(folder, clips, predictor, run=RUN):
    write_resumably(folder / "out", clips, predictor, run, 3, render)
    return (folder / "out").read_bytes()


@settings(deadline=None, max_examples=40)
@given(stop=st.integers(0, 6), lost=st.integers(0, 400), garbage=st.binary(max_size=20))
def test_wherever_it_is_cut_the_same_bytes_come_out(tmp_path_factory, stop, lost, garbage):
    folder = tmp_path_factory.mktemp("run")
    clips = clips_in(folder / "clips")
    expected = write(folder / "whole", clips, Predictor())
    with pytest.raises(Stop):
        write(folder, clips, Predictor(stop))
    journal = folder / "out.partial"
    content = journal.read_bytes()
    journal.write_bytes(content[: max(0, len(content) - lost)] + garbage)
    again = Predictor()
    assert write(folder, clips, again) == expected
    assert not journal.exists()
    assert (7 - len(again.heard)) % 3 == 0
    if not lost:
        assert len(again.heard) == 7 - stop // 3 * 3


def test_a_changed_clip_is_heard_again_and_a_vanished_one_is_not(tmp_path):
    clips = clips_in(tmp_path / "clips")
    for change, heard in ((lambda path: path.write_text("longer than before", encoding="utf-8"), 4), (os.unlink, 1)):
        with pytest.raises(Stop):
            write(tmp_path, clips, Predictor(6))
        change(Path(clips[4].source))
        again = Predictor()
        write(tmp_path, clips, again)
        assert again.heard == [clip.name for clip in clips[-heard:]]


@pytest.mark.parametrize("what", ["options", "inputs"])
def test_work_of_another_run_is_thrown_away(tmp_path, what):
    clips = clips_in(tmp_path / "clips")
    with pytest.raises(Stop):
        write(tmp_path, clips, Predictor(6))
    run = {**RUN, "model": "another"} if what == "options" else RUN
    again = Predictor()
    write(tmp_path, clips if what == "options" else clips[:-1], again, run)
    assert len(again.heard) == (7 if what == "options" else 6)


def test_a_full_disk_is_named_and_loses_nothing(tmp_path):
    clips = clips_in(tmp_path / "clips")
    expected = write(tmp_path / "whole", clips, Predictor())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, hard))  # as a disk that is full after 700 bytes
    try:
        with pytest.raises(OutputError, match=r"out\.partial cannot be written \(File too large\)"):
            write(tmp_path, clips, Predictor())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "out").exists()
    again = Predictor()
    assert write(tmp_path, clips, again) == expected
    assert again.heard == [clip.name for clip in clips[3:]]


def test_a_full_disk_at_the_very_end_keeps_the_finished_work(tmp_path):
    clips = clips_in(tmp_path / "clips")

    def full(file, records):
        list(records)
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_resumably(tmp_path / "out", clips, Predictor(), RUN, 3, full)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "out.partial"]
    again = Predictor()
    write(tmp_path, clips, again)
    assert again.heard == []


def test_a_place_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "file", clips_in(tmp_path / "clips"), Predictor())


def test_one_output_has_one_writer_and_what_a_kill_left_aside_goes(tmp_path):
    clips = clips_in(tmp_path / "clips")

    def interrupting(part):
        for number, entry in enumerate(Predictor()(part)):
            if number == 1:
                with pytest.raises(OutputError, match=r"out\.partial: another process is writing here"):
                    write(tmp_path, clips, Predictor())
            yield entry

    (tmp_path / ".out.part").write_text("half of it", encoding="utf-8")
    expected = write(tmp_path / "whole", clips, Predictor())
    assert write(tmp_path, clips, interrupting) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "out", "whole"]


def test_a_pipe_or_a_device_takes_the_results_and_stays_what_it_is(tmp_path):
    clips, pipe = clips_in(tmp_path / "clips"), tmp_path / "pipe"
    os.mkfifo(pipe)
    before = sorted(tmp_path.iterdir())
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(pipe.read_text, encoding="utf-8")
        write_resumably(pipe, clips, Predictor(), RUN, 2, render)
        lines = read.result(timeout=30).splitlines()
    assert [json.loads(line)["input"] for line in lines] == [clip.name for clip in clips]
    assert pipe.is_fifo()
    assert sorted(tmp_path.iterdir()) == before
