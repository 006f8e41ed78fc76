"""EmoBox manifests: read, written back equal, and honest about who stands on both sides of a fold."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_mser.corpora import CorpusError, CorpusNotFoundError
from hf_mser.corpora.emobox import (
    ManifestEntry,
    check_fold,
    emotion_of_entry,
    read_fold,
    read_label_map,
    read_manifest,
    write_fold,
    write_manifest,
)
from hf_mser.emotions import EMOTIONS, UnknownLabelError

SAMPLES = ("casia", "cremad", "emodb", "emovo", "iemocap", "meld", "resd", "shemo", "urdu")


def entry(name: str, dataset: str = "emodb", emo: str = "anger") -> ManifestEntry:
    return ManifestEntry(f"{dataset}-{name}", dataset, f"downloads/{dataset}/wav/{name}.wav", emo, 1.5)


@pytest.mark.shared
@pytest.mark.parametrize("name", SAMPLES)
def test_published_manifests_are_written_back_byte_for_byte(shared, tmp_path, name):
    source = shared / "emobox" / name
    sides = read_fold(source)
    write_fold(tmp_path / name, 1, sides)
    for path in (source / "fold_1").iterdir():
        assert (tmp_path / name / "fold_1" / path.name).read_bytes() == path.read_bytes()
    assert sum(map(len, sides.values())) == len(read_manifest(source / f"{name}.jsonl"))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "shared_speakers", "test_speakers"),
    [
        ("emodb", 10, 10),
        ("cremad", 91, 91),
        ("shemo", 83, 83),
        ("urdu", 18, 19),
        ("casia", 0, 1),
        ("emovo", 0, 1),
        ("iemocap", 0, 2),
    ],
)
def test_the_true_overlap_of_published_folds(shared, name, shared_speakers, test_speakers):
    report = check_fold(read_fold(shared / "emobox" / name))
    assert (len(report.shared_speakers), report.speakers["test"]) == (shared_speakers, test_speakers)
    assert report.speakers_known
    assert report.ok == (shared_speakers == 0)
    assert not report.shared_keys


@pytest.mark.shared
@pytest.mark.parametrize("name", ["meld", "resd"])
def test_folds_that_name_no_speakers_are_not_called_clean(shared, name):
    report = check_fold(read_fold(shared / "emobox" / name))
    assert not report.speakers_known
    assert not report.ok
    assert "do not tell the speakers" in str(report)


@pytest.mark.shared
def test_every_published_label_has_a_meaning(shared):
    found = {}
    for name in SAMPLES:
        folder = shared / "emobox" / name
        label_map = read_label_map(folder)
        entries = read_manifest(folder / f"{name}.jsonl")
        found[name] = {one.emo: emotion_of_entry(one, label_map) for one in entries}
    assert found["emodb"]["neutral"] == "neutral", "the published map spells it Neutral"
    assert found["emodb"]["boredom" if "boredom" in found["emodb"] else "boredem"] is None
    assert found["emovo"]["gio"] == "happy"
    assert set(found["emovo"].values()) == set(EMOTIONS)
    assert found["iemocap"]["exc"] == "happy"
    assert found["resd"]["enthusiasm"] is None


def test_a_fold_with_shared_speakers_and_clips():
    train = [entry("03a01Wa"), entry("08a01Wa")]
    test = [entry("03a02Wa"), entry("08a01Wa"), entry("09a01Wa")]
    report = check_fold({"train": train, "test": test})
    assert report.shared_speakers == ("03", "08")
    assert report.shared_keys == ("emodb-08a01Wa",)
    assert str(report) == (
        "emodb (train 2, test 3): 2 of 3 test speakers stand in train or validation; 1 clips on two sides"
    )


def test_a_speaker_of_the_validation_side_counts():
    report = check_fold({"train": [entry("03a01Wa")], "validation": [entry("09a01Wa")], "test": [entry("09a02Wa")]})
    assert report.shared_speakers == ("09",)


@pytest.mark.parametrize(
    ("dataset", "wav", "speaker"),
    [
        ("aesdd", "downloads/aesdd/anger/a03 (3).wav", "3"),
        ("iemocap", "downloads/iemocap/Session1/sentences/wav/Ses01F_impro04/Ses01F_impro04_M007.wav", "Ses01M"),
        ("cremad", "downloads/cremad/AudioWAV/1087_IWL_ANG_XX.wav", "1087"),
        ("emovdb", "downloads/emovdb/bea_Amused/amused_1-15_0001.wav", "bea"),
        ("mead", "downloads/mead/M003/audio/angry/level_1/001.m4a", "M003"),
        ("subesco", "downloads/subesco/SUBESCO/F_01_OISHI_S_1_ANGRY_1.wav", "F_01"),
        ("turevdb", "downloads/turevdb/Sound Source/Sad/1234_hl_goz.wav", "1234"),
        ("meld", "downloads/meld/train/train_splits/dia0_utt0.mp4", None),
    ],
)
def test_speakers_stand_in_the_paths(dataset, wav, speaker):
    assert ManifestEntry("key", dataset, wav, "anger").speaker == speaker


def test_broken_manifests_name_the_line(tmp_path):
    path = tmp_path / "x.jsonl"
    with pytest.raises(CorpusNotFoundError, match="no manifest"):
        read_manifest(path)
    for text, message in [("", "empty"), ("{", "line 1: not JSON"), ('{"key": "a"}', "no field dataset, wav, emo")]:
        path.write_text(text)
        with pytest.raises(CorpusError, match=message):
            read_manifest(path)
    with pytest.raises(CorpusError, match="'dev' is no side"):
        write_fold(tmp_path, 1, {"dev": []})


def test_an_unknown_label_names_the_clip():
    with pytest.raises(UnknownLabelError, match="emodb, emodb-03a01Wa: the label 'angst' is unknown"):
        emotion_of_entry(entry("03a01Wa", emo="angst"), {})


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029"), min_size=1, max_size=12)


@given(st.lists(st.tuples(TEXT, TEXT, st.floats(0, 60)), min_size=1, max_size=5))
def test_what_is_written_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("manifest") / "fold_1" / "x.jsonl"
    entries = [
        ManifestEntry(key, "my corpus", f"a/{key}.wav", emo, length, {"channel": 1, "note": emo})
        for key, emo, length in rows
    ]
    write_manifest(path, entries)
    assert read_manifest(path) == entries
    assert [json.loads(line)["note"] for line in path.read_text(encoding="utf-8").splitlines()] == [
        row[1] for row in rows
    ]
