"""What names on the command line stand for."""

import io
import sys
from types import SimpleNamespace

import pytest

from hf_mser.commands.inputs import NoInputError, expand


@pytest.fixture
def folder(tmp_path):
    for name in ("b.wav", "a.FLAC", "deep/er/c.mp3", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def test_folder_gives_all_audio_below_it_in_order(folder):
    assert [clip.source.relative_to(folder).as_posix() for clip in expand([str(folder)])] == [
        "a.FLAC",
        "b.wav",
        "deep/er/c.mp3",
    ]


def test_pattern_matches_files_only_and_recursively(folder):
    assert [clip.name for clip in expand([f"{folder}/**/*.mp3", f"{folder}/*.wav"])] == [
        str(folder / "deep/er/c.mp3"),
        str(folder / "b.wav"),
    ]


def test_files_and_urls_stay_as_named_and_in_order():
    names = ["http://localhost/a.wav", "missing.wav", "https://localhost/b.mp3"]
    assert [tuple(clip) for clip in expand(names)] == [(name, name) for name in names]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    (tmp_path / "take[1].wav").write_bytes(b"")
    assert [clip.name for clip in expand([str(tmp_path / "take[1].wav")])] == [str(tmp_path / "take[1].wav")]


def test_dash_reads_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"RIFF....")))
    assert [tuple(clip) for clip in expand(["-"])] == [("-", b"RIFF....")]


@pytest.mark.parametrize("name", ["empty", "empty/*.wav"])
def test_nothing_behind_a_name_is_an_error_that_says_so(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoInputError, match="empty"):
        expand([str(tmp_path / name)])
