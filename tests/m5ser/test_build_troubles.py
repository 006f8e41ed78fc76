"""What can go wrong in a long build, in processes of their own: bad sources, a flaky translator, kills, a full disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hf_mser.corpora.metadata import verify_checksums
from hf_mser.m5ser import Settings, build
from hf_mser.m5ser.shards import read_shard

LANGUAGES = ("fr", "de", "it", "zh", "es")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def command(source, output, translator):
    words = ["-m", "hf_mser.cli", "m5ser", "build", "--source", str(source), "--output", str(output)]
    words += ["--translator", f"odd_translators:{translator}", "--clips-per-unit", "2", "--workers", "1"]
    return [sys.executable, *words]


def damage(folder: Path) -> None:
    """One file cut short, one of other bytes, one whose samples are no numbers."""
    (folder / "ann_sad.wav").write_bytes((folder / "ann_sad.wav").read_bytes()[:30])
    (folder / "bob_neutral.wav").write_bytes(b"RIFF, or so it says")
    soundfile.write(folder / "cy_happy.wav", np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    lines = [json.loads(line) | {"duration": 1.0} for line in (folder / "metadata.jsonl").read_text().splitlines()]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_bad_sources_a_translator_that_fails_at_every_tenth_clip_and_a_kill(english, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    shutil.copytree(english, source)
    damage(source)
    killed = subprocess.run(
        command(source, out, "FailsEveryTenth"),
        env={**ENVIRONMENT, "HF_MSER_TEST_KILLED_AT": "15"},
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (out / "SHA256SUMS").exists()
    ended = subprocess.run(command(source, out, "FailsEveryTenth"), env=ENVIRONMENT, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    verify_checksums(out)
    rows = [row for path in sorted(out.glob("data/*/*.parquet")) for row in read_shard(path)]
    dropped = [json.loads(line) for line in (out / "dropped.jsonl").read_text().splitlines()]
    # Every clip came or was dropped, once.
    fates = Counter((line["source_id"], line["language"]) for line in [*rows, *dropped])
    names = [path.stem for path in english.glob("*.wav")]
    assert fates == Counter((name, language) for name in names for language in ("en", *LANGUAGES))

    reasons = Counter(line["reason"].partition(":")[0] for line in dropped)
    unreadable = {line["source_id"] for line in dropped if line["reason"].startswith("unreadable source")}
    assert unreadable == {"ann_sad", "bob_neutral", "cy_happy"}
    failed = {line["source_id"] for line in dropped if line["reason"].startswith("failed synthesis")}
    assert failed
    assert not failed & unreadable
    assert reasons == {
        "unreadable source": 6 * 3,
        "failed synthesis": len(failed),
        "unbalanced": 5 * len(failed),
    }
    assert all("out of memory" in line["reason"] for line in dropped if line["reason"].startswith("failed synthesis"))
    assert f"dropped, failed synthesis: {len(failed)}" in ended.stdout
    assert "dropped, unreadable source: 18" in ended.stdout


FULL_DISK = """
mount -t tmpfs -o size=120k full "$1" || exit 77
shift
folder="$1"; shift
"$@" 2> "$folder/first.err"; echo $? > "$folder/first.rc"
find "$DISK" -type f > "$folder/first.files"
mount -o remount,size=16m "$DISK"
"$@" 2> "$folder/second.err"; echo $? > "$folder/second.rc"
cp -r "$DISK/out" "$folder/out"
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="the small disk is made by unshare, of Linux")
def test_a_disk_that_is_full_and_then_has_room_again(english, tmp_path, contents):
    disk, seen = tmp_path / "disk", tmp_path / "seen"
    disk.mkdir()
    seen.mkdir()
    shell = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", FULL_DISK, "sh", str(disk), str(seen)]
    ended = subprocess.run(
        [*shell, *command(english, disk / "out", "Backwards")],
        env={**ENVIRONMENT, "DISK": str(disk)},
        capture_output=True,
        text=True,
    )
    if not (seen / "first.rc").exists():
        pytest.skip(f"no mounts in a namespace of one's own here: {ended.stderr.strip()}")
    assert (seen / "first.rc").read_text() == "2\n"
    complaint = (seen / "first.err").read_text()
    assert "cannot be written (No space left on device)" in complaint
    assert "Traceback" not in complaint
    left = [Path(line).name for line in (seen / "first.files").read_text().splitlines()]
    assert "SHA256SUMS" not in left
    assert [name for name in left if name.endswith(".parquet")]
    assert not [name for name in left if name.startswith(".")]
    assert (seen / "second.rc").read_text() == "0\n", (seen / "second.err").read_text()
    settings = Settings(languages=LANGUAGES, translator="odd_translators:Backwards", clips_per_unit=2)
    build([english], tmp_path / "undisturbed", settings, workers=1)
    assert contents(seen / "out") == contents(tmp_path / "undisturbed")
