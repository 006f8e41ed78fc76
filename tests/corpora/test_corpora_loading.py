"""`load_corpus`: the schema, the splits and views, and every fault of a folder named at once."""

import json
from pathlib import Path

import numpy as np
import pytest

from hf_mser.audio import load_audio
from hf_mser.corpora import COLUMNS, CorpusError, CorpusNotFoundError, get, load_corpus
from hf_mser.corpora.prepare import prepare
from hf_mser.corpora.schema import CorpusWarning, features
from hf_mser.emotions import EMOTIONS, UnknownLabelError


def folder(root: Path, rows: list[dict], write_clip=None) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for seed, row in enumerate(rows):
        if write_clip is not None and row["file_name"].endswith(".wav"):
            write_clip(root / row["file_name"], seed)
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return root


def urdu(number: int, label: str = "Sad", **extra) -> dict:
    return {"file_name": f"{number}.wav", "original_label": label, "speaker": f"SM{number}", "corpus": "urdu", **extra}


def test_the_schema(tmp_path, write_clip):
    dataset = load_corpus(folder(tmp_path / "a", [urdu(1, gender="M"), urdu(2, "Happy")], write_clip))
    assert tuple(dataset.column_names) == COLUMNS
    assert dataset.features == features()
    assert dataset.features["emotion"].names == list(EMOTIONS)
    first = dataset[0]
    assert first["emotion"] == EMOTIONS.index("sad")
    assert (first["gender"], first["language"], first["split"], first["corpus"]) == ("male", "ur", "test", "urdu")
    assert first["licence"] == get("urdu").licence
    assert first["duration"] == pytest.approx(0.2)
    assert load_audio(first["audio"]).shape == (3_200,)


def test_an_own_folder_needs_only_names_and_emotions(tmp_path, write_clip):
    rows = [
        {"file_name": "a.wav", "emotion": "angry", "speaker": 7, "split": "train"},
        {"file_name": "b.wav", "emotion": "Joyful"},
        {"file_name": "c.wav", "emotion": None},
    ]
    dataset = load_corpus(folder(tmp_path / "calls", rows, write_clip))
    assert dataset["emotion"][:] == [EMOTIONS.index("angry"), EMOTIONS.index("happy"), None]
    assert dataset["original_label"][:] == ["angry", "Joyful", None]
    assert dataset["speaker"][:] == ["7", None, None]
    assert dataset["split"][:] == ["train", None, None]
    assert set(dataset["corpus"][:]) == {"calls"}


def test_an_own_folder_may_have_its_own_classes(tmp_path, write_clip):
    rows = [{"file_name": "a.wav", "emotion": "bored"}, {"file_name": "b.wav", "emotion": "furious"}]
    made = folder(tmp_path / "calls", rows, write_clip)
    dataset = load_corpus(made, classes=["angry", "bored"])
    assert dataset.features["emotion"].names == ["angry", "bored"]
    assert dataset["emotion"][:] == [1, 0]
    with pytest.raises(UnknownLabelError, match=r"a\.wav: the label 'bored' is none of the classes: neutral"):
        load_corpus(made)


def test_splits_and_further_columns(tmp_path, write_clip):
    rows = [
        {"file_name": f"{speaker}.wav", "original_label": "neutral", "speaker": speaker, "corpus": "emodb", "age": age}
        for speaker, age in [("03", 31), ("11", 26), ("16", 31)]
    ]
    rows[0]["official_split"] = "test"
    made = folder(tmp_path / "emodb", rows, write_clip)
    assert load_corpus(made)["split"][:] == ["train", "validation", "test"]
    assert load_corpus(made, split="validation")["speaker"][:] == ["11"]
    assert load_corpus(made, splits="official", split="test")["speaker"][:] == ["03"]
    assert load_corpus(made, columns=["age"])["age"][:] == [31, 26, 31]
    with pytest.raises(CorpusError, match=r"no clip of the speaker split 'dev'.*Splits are train, validation, test"):
        load_corpus(made, split="dev")
    with pytest.raises(CorpusError, match="splits='random'"):
        load_corpus(made, splits="random")


def test_a_corpus_without_a_valid_split_says_so(tmp_path, write_clip):
    made = folder(tmp_path / "urdu", [urdu(1)], write_clip)
    with pytest.raises(CorpusError, match="No valid split exists inside it"):
        load_corpus(made, split="train")


def test_views(tmp_path, write_clip):
    labels = ["anger", "enthusiasm", "neutral"]
    rows = [{"file_name": f"{label}.wav", "original_label": label, "corpus": "resd"} for label in labels]
    made = folder(tmp_path / "resd", rows, write_clip)
    assert load_corpus(made)["emotion"][:] == [EMOTIONS.index("angry"), None, EMOTIONS.index("neutral")]
    seven = load_corpus(made, view="7-class")
    assert seven.features["emotion"].int2str(seven["emotion"][:]) == ["angry", "enthusiastic", "neutral"]
    four = load_corpus(made, view="4-class")
    assert four.features["emotion"].int2str(four["emotion"][:]) == ["angry", "neutral"]
    with pytest.raises(CorpusError, match=r"no view '5-class'.*7-class, 4-class"):
        load_corpus(made, view="5-class")


def test_names_are_looked_up_in_the_root(tmp_path, write_clip, monkeypatch):
    folder(tmp_path / "urdu", [urdu(1)], write_clip)
    assert len(load_corpus("URDU", root=tmp_path)) == 1
    monkeypatch.setenv("HF_MSER_CORPORA", str(tmp_path))
    assert len(load_corpus("urdu")) == 1
    with pytest.raises(CorpusNotFoundError, match=r"not prepared.*Get it from http.*mser corpora prepare mead"):
        load_corpus("mead")
    with pytest.raises(CorpusNotFoundError, match="is not a folder"):
        load_corpus(tmp_path / "nowhere")
    with pytest.raises(CorpusNotFoundError, match=r"holds no metadata\.jsonl"):
        load_corpus(tmp_path)


def test_all_faults_are_named_at_once(tmp_path, write_clip):
    rows = [
        urdu(1, gender="male"),
        urdu(2, emotion="happy"),
        urdu(3) | {"file_name": "3.ogg"},
        urdu(4) | {"file_name": "4.ogg"},
        {**urdu(5), "speaker": "SM1", "gender": "female"},
        {**urdu(6), "original_label": None},
    ]
    made = folder(tmp_path / "urdu", rows, write_clip)
    (made / "4.ogg").write_bytes(b"")
    with pytest.raises(CorpusError) as caught:
        load_corpus(made)
    message = str(caught.value)
    assert "5 faults" in message
    assert "2.wav: emotion 'happy', but in urdu 'Sad' is 'sad'" in message
    assert "3.ogg: the file is missing" in message
    assert "4.ogg: the file is empty" in message
    assert "speaker SM1: listed as female and as male; two people under one id" in message
    assert "6.wav: no original_label" in message


def test_a_wrong_label_is_an_error(tmp_path, write_clip):
    with pytest.raises(UnknownLabelError, match="urdu: unknown label 'Bored'"):
        load_corpus(folder(tmp_path / "urdu", [urdu(1, "Bored")], write_clip))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("{not json}\n", "line 1: not JSON"),
        ('{"emotion": "sad"}\n', "line 1: every line is an object with a text `file_name`"),
        ('["a.wav"]\n', "line 1: every line is an object"),
        ('{"file_name": "a.wav"}\n{"file_name": "a.wav"}\n', "line 2: a.wav for the second time, first in line 1"),
        ('{"file_name": "../a.wav"}\n', "points outside of the folder"),
        ('{"file_name": "b/../../a.wav"}\n', "points outside of the folder"),
        ('{"file_name": "/a.wav"}\n', "points outside of the folder"),
    ],
)
def test_broken_metadata_names_the_line(tmp_path, text, message):
    (tmp_path / "metadata.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=message.replace("(", r"\(").replace(".", r"\.")):
        load_corpus(tmp_path)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "clips", "speakers"),
    [
        ("baved", 606, 59),
        ("casia", 1200, 4),
        ("crema_d", 2730, 91),
        ("emodb", 535, 10),
        ("emotiontts_ko", 300, 15),
        ("emovo", 588, 6),
        ("nemo", 2090, 9),
        ("spanish_uem", 1320, 16),
        ("tess", 560, 2),
        ("urdu", 400, 29),
    ],
)
def test_real_corpora_hold_what_their_readme_counts(shared, name, clips, speakers):
    dataset = load_corpus(shared / "corpora" / name)
    assert len(dataset) == clips
    assert len(set(dataset["speaker"][:])) == speakers
    assert set(dataset["language"][:]) == {get(name).language}
    assert np.mean(dataset["duration"][:]) > 0.3
    # Every speaker on exactly one side, and every side that a corpus promises is there.
    sides: dict[str, set[str]] = {}
    for speaker, split in zip(dataset["speaker"][:], dataset["split"][:], strict=True):
        sides.setdefault(speaker, set()).add(split)
    assert all(len(found) == 1 for found in sides.values())
    expected = {"urdu": {"test"}, "tess": {"train", "test"}}.get(name, {"train", "validation", "test"})
    assert set().union(*sides.values()) == expected
    assert load_audio(dataset[0]["audio"]).dtype == np.float32


def test_a_list_cut_short_does_not_pass_for_a_smaller_corpus(tmp_path, write_clip):
    source = folder(tmp_path / "source", [urdu(number) for number in range(4)], write_clip)
    prepare("urdu", source, tmp_path / "out")
    metadata = tmp_path / "out/metadata.jsonl"
    metadata.write_text("".join(metadata.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(CorpusError, match=r"metadata\.jsonl differs from its checksum"):
        load_corpus(tmp_path / "out")

    lines = (source / "metadata.jsonl").read_text().splitlines(keepends=True)
    (source / "metadata.jsonl").write_text("".join(lines[:3]))
    with pytest.warns(CorpusWarning, match=r"1 sound files are not in metadata\.jsonl and stay out, the first: 3\.wav"):
        assert len(load_corpus(source)) == 3
