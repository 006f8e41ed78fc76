"""`build`: what is in the dataset, what is dropped and why, and what it does when something is wrong."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from zlib import crc32

import numpy as np
import pytest

from hf_mser.audio import load_audio
from hf_mser.corpora.metadata import verify_checksums
from hf_mser.corpora.schema import COLUMNS
from hf_mser.m5ser import FilterRules, M5SERError, Settings, build, refilter
from hf_mser.m5ser.shards import SOURCE_COLUMNS, read_shard

BACKWARDS = Settings(languages=("fr", "zh"), translator="odd_translators:Backwards", clips_per_unit=2)


def rows_of(folder):
    return [row for path in sorted(folder.glob("data/*/*.parquet")) for row in read_shard(path)]


def dropped(folder):
    return [json.loads(line) for line in (folder / "dropped.jsonl").read_text().splitlines()]


def settings(name, **changes):
    return Settings(
        **{"languages": ("fr", "zh"), "translator": f"odd_translators:{name}", "clips_per_unit": 2, **changes}
    )


def test_every_clip_is_there_in_every_language_with_its_label_and_source(english, tmp_path):
    result = build([english], tmp_path / "out", BACKWARDS, workers=1)
    rows = rows_of(tmp_path / "out")
    assert result.clips == len(rows) == 27
    assert result.seconds == pytest.approx(sum(row["duration"] for row in rows), abs=0.01)
    assert list(rows[0]) == [*COLUMNS, *SOURCE_COLUMNS]
    assert Counter(row["language"] for row in rows) == {"en": 9, "fr": 9, "zh": 9}
    for row in rows:
        speaker, _, emotion = row["source_id"].partition("_")
        assert (row["emotion"], row["speaker"]) == (emotion, f"made_up/{speaker}")
        assert row["split"] == ("test" if speaker == "cy" else "train")
        source = load_audio(english / f"{row['source_id']}.wav")
        sound = load_audio(row["audio"])
        original = row["language"] == "en"
        assert np.abs(sound - (source if original else source[::-1])).max() < 1e-4
        assert row["duration"] == len(sound) / 16_000
        assert row["translator"] == (None if original else "backwards")
        assert row["licence"] == ("CC0" if original else "CC0; outputs of Backwards: CC BY 4.0")
        assert row["text"] == ("The keys are on the table." + ("" if original else f" ({row['language']})"))
    verify_checksums(tmp_path / "out")


def test_the_same_again_changes_nothing_and_more_processes_give_the_same_bytes(english, tmp_path, contents):
    first = build([english], tmp_path / "one", BACKWARDS, workers=1)
    assert build([english], tmp_path / "one", BACKWARDS, workers=1) == first
    build([english], tmp_path / "two", BACKWARDS, workers=2)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_finished_unit_is_not_done_again(english, tmp_path, contents, monkeypatch):
    log = tmp_path / "log"
    monkeypatch.setenv("HF_MSER_TEST_LOG", str(log))
    counting = settings("Counts")
    build([english], tmp_path / "whole", counting, workers=1)
    whole = log.read_text().splitlines()
    log.unlink()
    half = tmp_path / "half"
    shutil.copytree(tmp_path / "whole", half)
    plan = json.loads((half / "build.json").read_text())["plan"]
    (half / "SHA256SUMS").unlink()
    units = half / ".build" / "units"
    units.mkdir(parents=True)
    (half / ".build" / "plan.json").write_text(json.dumps(plan))
    facts = json.loads((half / "build.json").read_text())["files"]
    done = {name: file for name, file in facts.items() if name.endswith("train-00000.parquet")}
    (units / "train-00000.json").write_text(json.dumps({"files": done, "dropped": []}))
    build([english], half, counting, workers=1)
    assert contents(half) == contents(tmp_path / "whole")
    assert len(whole) == 18
    assert len(log.read_text().splitlines()) == 14  # two sources in two languages were there


def test_failures_and_short_clips_are_listed_and_balance_is_kept(english, tmp_path):
    result = build([english], tmp_path / "often", settings("FailsOften"), workers=1)
    lines = dropped(tmp_path / "often")
    failed = {(line["source_id"], line["language"]) for line in lines if line["reason"].startswith("failed synthesis")}
    expected = {
        (f"{speaker}_{emotion}", language)
        for speaker in ("ann", "bob", "cy")
        for emotion in ("neutral", "happy", "sad")
        for language in ("fr", "zh")
        if crc32(f"made_up/{speaker}_{emotion} {language}".encode()) % 5 == 0
    }
    assert failed == expected
    assert failed
    assert all("out of luck" in line["reason"] for line in lines if line["reason"].startswith("failed"))
    assert set(Counter(row["language"] for row in rows_of(tmp_path / "often")).values()) == {
        9 - len({source for source, _ in failed})
    }
    assert result.clips + len(lines) == 27

    build([english], tmp_path / "unbalanced", settings("TooShort", balanced=False), workers=1)
    assert Counter(row["language"] for row in rows_of(tmp_path / "unbalanced")) == {"en": 9, "zh": 9}
    assert {line["reason"] for line in dropped(tmp_path / "unbalanced")} == {"too short: 0.300 s, at least 0.5 s"}
    with pytest.raises(M5SERError, match="every clip was dropped"):
        build([english], tmp_path / "nothing", settings("TooShort"), workers=1)


def test_an_unreadable_source_is_listed_and_the_rest_goes_on(english, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(english, broken)
    (broken / "ann_sad.wav").write_bytes(b"RIFF, or so it says")
    rows = [json.loads(line) | {"duration": 1.0} for line in (broken / "metadata.jsonl").read_text().splitlines()]
    (broken / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = build([broken], tmp_path / "out", BACKWARDS, workers=1)
    assert result.clips == 24
    assert {(line["source_id"], line["language"]) for line in dropped(tmp_path / "out")} == {
        ("ann_sad", language) for language in ("en", "fr", "zh")
    }
    assert all(line["reason"].startswith("unreadable source: ") for line in dropped(tmp_path / "out"))


def test_a_translator_that_never_works_stops_the_build(english, tmp_path):
    with pytest.raises(M5SERError, match=r"translated none of 4 clips.*no weights"):
        build([english], tmp_path / "out", settings("FailsAlways"), workers=1)
    assert not list(tmp_path.glob("out/data/*/*"))


def test_another_plan_and_another_folder_are_left_alone(english, tmp_path):
    out = tmp_path / "out"
    build([english], out, BACKWARDS, workers=1)
    with pytest.raises(M5SERError, match="begun with other languages"):
        build([english], out, settings("Backwards", languages=("fr",)), workers=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not delete")
    with pytest.raises(M5SERError, match="holds no unfinished build"):
        build([english], tmp_path / "mine", BACKWARDS, workers=1)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "do not delete"


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from hf_mser.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_write_that_the_system_refuses_leaves_nothing_half_written(english, tmp_path, contents):
    """The limit on a file's size stands for the full disk: write() fails in the same way."""
    out = tmp_path / "out"
    command = ["m5ser", "build", "--source", str(english), "--output", str(out), "--languages", "fr,zh"]
    command += ["--translator", "odd_translators:Backwards", "--clips-per-unit", "2", "--workers", "1"]
    # Bytecode that the limit cuts short would break later imports.
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run([sys.executable, "-c", FULL_DISK, *command], capture_output=True, text=True, env=environment)
    assert ended.returncode == 2
    assert "cannot be written (File too large)" in ended.stderr
    assert "the same command then goes on" in ended.stderr
    assert not list(out.glob("data/*/.*"))
    assert not (out / "SHA256SUMS").exists()
    build([english], out, BACKWARDS, workers=1)
    build([english], tmp_path / "undisturbed", BACKWARDS, workers=1)
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_another_filter_makes_another_dataset_with_the_same_sound(english, tmp_path):
    build([english], tmp_path / "all", BACKWARDS, workers=1)
    refilter(tmp_path / "all", tmp_path / "long", FilterRules(min_seconds=1.25))
    before = {(row["source_id"], row["language"]): row for row in rows_of(tmp_path / "all")}
    after = {(row["source_id"], row["language"]): row for row in rows_of(tmp_path / "long")}
    assert set(after) == {key for key, row in before.items() if row["duration"] >= 1.25}
    assert len(after) == 18
    assert all(row == before[key] for key, row in after.items())
    assert {line["reason"] for line in dropped(tmp_path / "long")} == {"too short: 1.200 s, at least 1.25 s"}


def test_a_fair_sample_takes_everybody_before_anybody_twice(english, tmp_path):
    build([english], tmp_path / "out", BACKWARDS, workers=1, splits=["train"], clips_per_emotion=2)
    originals = [row for row in rows_of(tmp_path / "out") if row["language"] == "en"]
    assert Counter((row["speaker"], row["emotion"]) for row in originals) == {
        (f"made_up/{speaker}", emotion): 1 for speaker in ("ann", "bob") for emotion in ("neutral", "happy", "sad")
    }
