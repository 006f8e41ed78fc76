"""`mser corpora`: results on standard output, the rest on standard error, exit status as documented."""

import argparse
import json

import pytest

from hf_mser.corpora import CorpusNotFoundError, cli, load_corpus, names


def run(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="mser")
    cli.add_subcommand(parser.add_subparsers(required=True))
    return cli.run(parser.parse_args(["corpora", *map(str, words)]))


def test_list_names_every_corpus(capsys):
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["name", *names()]
    assert "arousal" in next(line for line in lines if line.startswith("baved"))


def test_info_tells_terms_splits_and_caveats(capsys):
    assert run("info", "urdu") == 0
    text = capsys.readouterr().out
    assert "split: test alone" in text
    assert "No valid split exists inside it" in text
    assert run("info", "iemocap", "--format", "json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["views"]["4-class"] == ["neutral", "happy", "sad", "angry"]
    assert facts["labels"]["exc"] == "happy"
    assert facts["split"] == "validation: Ses04F Ses04M; test: Ses05F Ses05M; train: the others"
    with pytest.raises(CorpusNotFoundError, match="Known corpora"):
        run("info", "nothing")


def test_prepare_prints_the_report_and_tells_trouble_by_its_status(tmp_path, capsys, write_clip):
    write_clip(tmp_path / "source/Sad/SF10_F1_S01.wav")
    status = run("prepare", "urdu", "--source", tmp_path / "source", "--output", tmp_path / "out")
    out, error = capsys.readouterr()
    assert status == 1, "399 clips are missing"
    assert "1 clips, 0.00 hours, 1 speakers" in out
    assert "1 clips, documented are 400: 399 missing" in out
    assert error == "", "no progress bar where no terminal is"


def test_prepare_all_takes_every_folder_that_is_named_after_a_corpus(tmp_path, capsys, write_clip):
    for name, label in (("urdu", "Sad"), ("emovo", "gioia")):
        write_clip(tmp_path / "source" / name / "a.wav")
        row = {"file_name": "a.wav", "original_label": label, "speaker": "f1", "corpus": name}
        (tmp_path / "source" / name / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    assert run("prepare", "all", "--source", tmp_path / "source", "--output", tmp_path / "out") == 0
    assert len(load_corpus("emovo", root=tmp_path / "out")) == len(load_corpus("urdu", root=tmp_path / "out")) == 1

    (tmp_path / "source/emovo/metadata.jsonl").write_text("")
    assert run("prepare", "all", "--source", tmp_path / "source", "--output", tmp_path / "again") == 1
    assert "is empty" in capsys.readouterr().err
    with pytest.raises(CorpusNotFoundError, match="no folder is named after a corpus"):
        run("prepare", "all", "--source", tmp_path)
