"""What readers share: walking, matching names, reading tables, and saying what is wrong."""

import pytest

from hf_mser.corpora import Clip, CorpusError, CorpusNotFoundError, Problem
from hf_mser.corpora.reading import by_name, by_tail, files, one_file, people, table


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


def test_walking_is_sorted_and_leaves_litter_out(tmp_path):
    touch(tmp_path, "b/2.wav", "a/1.FLAC", "a/notes.txt", ".git/3.wav", "a/._1.wav", "__MACOSX/a/1.wav", "c.mp3")
    assert files(tmp_path) == ["a/1.FLAC", "b/2.wav", "c.mp3"]


def test_links_to_folders_are_followed_once(tmp_path):
    touch(tmp_path, "disk/1.wav", "corpus/2.wav")
    (tmp_path / "corpus/audio").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/back").symlink_to(tmp_path / "corpus")
    assert files(tmp_path / "corpus") == ["2.wav", "audio/1.wav"]


def test_names_become_clips_and_other_sound_a_problem(tmp_path):
    touch(tmp_path, "deep/copy/F01_angry_3.wav", "deep/copy/XF01_angry_3.wav", "deep/video/F01_angry_3.avi")
    read = by_name(
        r"(?P<speaker>[FM]\d\d)_(?P<label>[a-z]+)_(?P<sentence>\d)\.wav",
        labels={"angry": "Anger"},
        genders=people(female="F01"),
        texts={"3": "So what?"},
        ignore=r"video/.*",
    )
    clip, problem = read(tmp_path)
    assert clip == Clip(
        id="deep/copy/F01_angry_3",
        path="deep/copy/F01_angry_3.wav",
        label="Anger",
        speaker="F01",
        gender="female",
        text="So what?",
        sentence="3",
    )
    assert problem == Problem("unrecognised file", "deep/copy/XF01_angry_3.wav", "not named as the corpus documents")


def test_tables_say_what_they_lack(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\ufefffile,label\na,b\n", encoding="utf-8")
    assert list(table(path, "file", "label")) == [{"file": "a", "label": "b"}]
    with pytest.raises(CorpusError, match=r"no column speaker; the columns are \['file', 'label'\]"):
        list(table(path, "file", "speaker"))
    path.write_text("file,label\n")
    with pytest.raises(CorpusError, match="the table is empty"):
        list(table(path, "file"))
    path.write_text("")
    with pytest.raises(CorpusError, match="no column file"):
        list(table(path, "file"))


def test_the_one_table_of_a_corpus(tmp_path):
    with pytest.raises(CorpusNotFoundError, match=r"no file labels\.csv"):
        one_file(tmp_path, "labels.csv")
    touch(tmp_path, "a/labels.csv")
    assert one_file(tmp_path, "labels.csv") == tmp_path / "a/labels.csv"
    touch(tmp_path, "b/labels.csv")
    with pytest.raises(CorpusNotFoundError, match=r"2 files labels\.csv; exactly one"):
        one_file(tmp_path, "labels.csv")


def test_tails_name_files_whatever_is_above_them(tmp_path):
    touch(tmp_path, "x/y/train/dia0.mp4", "x/y/test/dia0.mp4")
    assert by_tail(tmp_path, parts=2) == {"train/dia0": "x/y/train/dia0.mp4", "test/dia0": "x/y/test/dia0.mp4"}
    with pytest.raises(CorpusError, match="are both dia0"):
        by_tail(tmp_path)
