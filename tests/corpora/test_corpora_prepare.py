"""`prepare`: exact sound, honest reports, safe names, and byte-equal results after being killed."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from hf_mser.audio import load_audio
from hf_mser.corpora import Clip, CorpusError, CorpusNotFoundError, load_corpus
from hf_mser.corpora.prepare import _file_names, prepare
from hf_mser.disk import OutputError
from hf_mser.emotions import UnknownLabelError

KILLS = int(os.environ.get("HF_MSER_TEST_KILLS", "3"))
SENTENCES = "a01 a02 a04 a05 a07 b01 b02 b03 b09 b10".split()  # noqa: SIM905


def emodb(root: Path, write_clip, clips: int, **sound) -> Path:
    """The first files of a copy of EmoDB."""
    names = [f"{spk}{text}{label}" for spk in ("03", "08", "15", "16") for text in SENTENCES for label in "NFTWEAL"]
    for seed, name in enumerate(names[:clips]):
        write_clip(root / "wav" / f"{name}a.wav", seed, **sound)
    return root


def kinds(report) -> list[str]:
    return [problem.kind for problem in report.problems if problem.kind != "unexpected count"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_metadata(folder: Path, rows: list[dict]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metadata.jsonl").write_text(text, encoding="utf-8")
    return folder


# ---------------------------------------------------------------- sound


def test_sixteen_bit_sound_at_16_khz_passes_unchanged(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 1)
    prepare("emodb", source, tmp_path / "out")

    original, _ = soundfile.read(source / "wav/03a01Na.wav", dtype="int16")
    made, rate = soundfile.read(tmp_path / "out/clips/wav_03a01Na.flac", dtype="int16")
    assert rate == 16_000
    np.testing.assert_array_equal(made, original)


def test_other_rates_and_channels_are_what_load_audio_gives(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 1, rate=44_100, channels=2)
    prepare("emodb", source, tmp_path / "out")

    made = load_audio(load_corpus(tmp_path / "out")[0]["audio"])
    np.testing.assert_allclose(made, load_audio(source / "wav/03a01Na.wav"), atol=1 / 32768)


# ---------------------------------------------------------------- killed and started again

RUN = "import sys; from hf_mser.corpora.prepare import prepare; prepare('emodb', sys.argv[1], sys.argv[2], workers=2)"


@pytest.mark.slow
def test_killed_at_random_moments_it_resumes_to_equal_bytes(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 160, rate=48_000, channels=2, seconds=1.0)
    prepare("emodb", source, tmp_path / "undisturbed", workers=1)
    output = tmp_path / "killed"
    journal = output / ".prepare" / "journal.jsonl"
    chance = random.Random(KILLS)

    done = 0
    for kill in range(KILLS):
        done += chance.randint(1, max(1, (159 - done) // (KILLS - kill + 1)))
        process = subprocess.Popen([sys.executable, "-c", RUN, str(source), str(output)], start_new_session=True)
        while process.poll() is None and lines(journal) < done:
            try:
                process.wait(0.002)
            except subprocess.TimeoutExpired:
                continue
        process.kill()
        assert process.wait() == -signal.SIGKILL, "the preparation ended before it could be killed"
        wait_for_the_workers_to_follow(process.pid)
        done = lines(journal)
        assert not (output / "metadata.jsonl").exists()
        with pytest.raises(CorpusNotFoundError, match="interrupted"):
            load_corpus(output)

    before = journal.stat().st_size
    assert before > 0
    prepare("emodb", source, output, workers=1)
    assert contents(output) == contents(tmp_path / "undisturbed")


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_the_workers_to_follow(group: int) -> None:
    """The workers stand in the group of the killed parent; the group is gone when the last has ended."""
    for _ in range(2_000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        subprocess.run(["sleep", "0.01"], check=True)
    pytest.fail("workers outlived their killed parent")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("moment", range(14))
def test_killed_before_or_after_any_file_appears_it_resumes_to_equal_bytes(moment, tmp_path, write_clip):
    """Four clips and three lists come into being by seven renames; a kill on either side of each is mended."""
    source = emodb(tmp_path / "source", write_clip, 4)
    prepare("emodb", source, tmp_path / "undisturbed", workers=1)

    child = os.fork()
    if child == 0:
        die_at_rename(moment // 2, after=bool(moment % 2))
        prepare("emodb", source, tmp_path / "killed", workers=1)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL

    finished = (tmp_path / "killed/metadata.jsonl").exists()
    assert finished == (moment == 13), "the list of clips comes last"
    prepare("emodb", source, tmp_path / "killed", workers=1)
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def die_at_rename(number: int, *, after: bool) -> None:
    rename, count = os.replace, iter(range(1_000))

    def replace(source, target):
        last = next(count) == number
        if not last or after:
            rename(source, target)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace


def test_finished_clips_are_not_made_again(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 4)
    prepare("emodb", source, tmp_path / "whole")
    output = tmp_path / "half"
    shutil.copytree(tmp_path / "whole", output)
    # As a kill leaves it: no lists, a journal with a torn last line, a half-written file.
    record = interrupted(output, source, keep=3)
    (output / "clips/.x.flac.123").write_bytes(b"fLaC")
    stamps = {name: (output / name).stat().st_mtime_ns for name in record}

    prepare("emodb", source, output)

    assert contents(output) == contents(tmp_path / "whole")
    assert {name: (output / name).stat().st_mtime_ns for name in record} == stamps


def interrupted(output: Path, source: Path, keep: int) -> list[str]:
    from hf_mser.corpora.conversion import Piece, fingerprint

    rows = [json.loads(line) for line in (output / "metadata.jsonl").read_text().splitlines()]
    sums = dict(reversed(line.split("  ")) for line in (output / "SHA256SUMS").read_text().splitlines())
    (output / ".prepare").mkdir()
    with (output / ".prepare/journal.jsonl").open("w") as journal:
        for row in rows[:keep]:
            clip = row["source_file"].removesuffix(".wav")
            done = {
                "id": clip,
                "fingerprint": fingerprint(str(source / row["source_file"]), Piece(clip, "")),
                "sha256": sums[row["file_name"]],
                "audio_sha256": row["audio_sha256"],
                "duration": row["duration"],
            }
            journal.write(json.dumps(done) + "\n")
        journal.write('{"id": "wav/03a02')
    for name in ("metadata.jsonl", "report.json", "SHA256SUMS", rows[-1]["file_name"]):
        (output / name).unlink()
    return [row["file_name"] for row in rows[:keep]]


def test_a_second_run_changes_nothing(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 3)
    first = prepare("emodb", source, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    second = prepare("emodb", source, tmp_path / "out")
    assert second == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_processes_give_what_one_process_gives(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 5)
    prepare("emodb", source, tmp_path / "one", workers=1)
    prepare("emodb", source, tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_damaged_result_is_found_and_made_again(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 3)
    prepare("emodb", source, tmp_path / "out")
    whole = contents(tmp_path / "out")
    (tmp_path / "out/clips/wav_03a01Fa.flac").write_bytes(b"fLaC of something else")

    with pytest.raises(CorpusError, match="differs from its checksum"):
        load_corpus(tmp_path / "out", verify=True)
    prepare("emodb", source, tmp_path / "out")
    assert contents(tmp_path / "out") == whole


def test_a_mended_source_gives_a_new_result(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 3)
    (source / "wav/03a01Fa.wav").write_bytes(b"RIFF")
    assert kinds(prepare("emodb", source, tmp_path / "out")) == ["damaged file"]

    write_clip(source / "wav/03a01Fa.wav", 9)
    assert kinds(prepare("emodb", source, tmp_path / "out")) == []
    assert len(load_corpus(tmp_path / "out")) == 3


def test_new_sound_of_the_same_size_gives_a_new_result(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 2)
    prepare("emodb", source, tmp_path / "out")
    write_clip(source / "wav/03a01Na.wav", 50)
    prepare("emodb", source, tmp_path / "out")
    made = load_audio(tmp_path / "out/clips/wav_03a01Na.flac")
    np.testing.assert_array_equal(made, load_audio(source / "wav/03a01Na.wav"))


def test_clips_of_an_earlier_source_do_not_stay(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 3)
    prepare("emodb", source, tmp_path / "out")
    (source / "wav/03a01Fa.wav").unlink()
    prepare("emodb", source, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out/clips").iterdir()) == ["wav_03a01Na.flac", "wav_03a01Ta.flac"]


# ---------------------------------------------------------------- damaged corpora


def test_damaged_and_empty_files_are_reported_and_the_others_kept(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 4)
    (source / "wav/03a01Fa.wav").write_bytes(b"\x00" * 300)
    (source / "wav/03a01Ta.wav").write_bytes(b"")

    report = prepare("emodb", source, tmp_path / "out")

    assert kinds(report) == ["damaged file", "damaged file"]
    damaged = [problem.where for problem in report.problems if problem.kind == "damaged file"]
    assert damaged == ["wav/03a01Fa.wav", "wav/03a01Ta.wav"]
    assert not report.ok
    assert report.clips == len(load_corpus(tmp_path / "out")) == 2


def test_missing_clips_are_counted_by_label(tmp_path, write_clip):
    report = prepare("emodb", emodb(tmp_path / "source", write_clip, 7), tmp_path / "out")
    messages = [problem.message for problem in report.problems]
    assert "7 clips, documented are 535: 528 missing" in messages
    assert "1 speakers, documented are 10: 9 missing" in messages
    assert "1 clips labelled Ekel (disgust), documented are 46: 45 missing" in messages


def test_equal_sound_is_reported_with_what_it_contradicts(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 2)
    shutil.copy(source / "wav/03a01Na.wav", source / "wav/16a01Wa.wav")

    report = prepare("emodb", source, tmp_path / "out")

    [duplicate] = [problem for problem in report.problems if problem.kind == "duplicate audio"]
    assert duplicate.where == "wav/03a01Na.wav"
    assert duplicate.message == ("the same samples as wav/16a01Wa.wav, under different labels and speakers and splits")
    assert len(load_corpus(tmp_path / "out")) == 3, "reported, not dropped"


def test_silence_is_reported_and_kept(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 2)
    soundfile.write(source / "wav/03a01Na.wav", np.zeros(8_000), 16_000)
    assert kinds(prepare("emodb", source, tmp_path / "out")) == ["silent clip"]
    assert len(load_corpus(tmp_path / "out")) == 2


def test_a_file_with_another_name_is_reported(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 2)
    write_clip(source / "wav/joe_angry.wav", 7)
    report = prepare("emodb", source, tmp_path / "out")
    assert [problem.where for problem in report.problems if problem.kind == "unrecognised file"] == [
        "wav/joe_angry.wav"
    ]


def test_an_unknown_label_stops_before_anything_is_written(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 2)
    write_clip(source / "wav/03a01Qa.wav", 7)
    with pytest.raises(UnknownLabelError, match=r"emodb: unknown label 'Q'\. Known labels: neutral"):
        prepare("emodb", source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_that_lists_missing_and_escaping_files(tmp_path, write_clip):
    source = tmp_path / "resd"
    write_clip(source / "train/a_1/1_a.wav", 1)
    write_clip(tmp_path / "secret.wav", 2)
    (source / "train.csv").write_text("path,emotion\na_1/1_a.wav,anger\na_1/2_a.wav,anger\n../../secret.wav,fear\n")
    (source / "test.csv").write_text("path,emotion\na_1/9_a.wav,fear\n")

    report = prepare("resd", source, tmp_path / "out")

    missing = [problem.where for problem in report.problems if problem.kind == "missing file"]
    assert missing == ["train/a_1/2_a", "train/../../secret", "test/a_1/9_a"]
    assert report.clips == 1


def test_two_people_under_one_id_are_reported(tmp_path, write_clip):
    source = tmp_path / "source"
    rows = []
    for seed, gender in enumerate(["male", "female"]):
        write_clip(source / f"{seed}.wav", seed)
        rows.append({"file_name": f"{seed}.wav", "original_label": "Sad", "speaker": "SM1", "gender": gender})
    report = prepare("urdu", write_metadata(source, rows), tmp_path / "out")
    assert kinds(report) == ["speaker conflict"]
    assert "male in" in report.problems[0].message
    with pytest.raises(CorpusError, match="speaker SM1: listed as female and as male"):
        load_corpus(tmp_path / "out")


def test_a_folder_that_contradicts_the_label_table_is_refused(tmp_path, write_clip):
    write_clip(tmp_path / "source/a.wav")
    row = {"file_name": "a.wav", "original_label": "Sad", "emotion": "happy", "corpus": "urdu"}
    with pytest.raises(CorpusError, match=r"a\.wav has emotion 'happy', but 'Sad' is 'sad' in urdu"):
        prepare("urdu", write_metadata(tmp_path / "source", [row]), tmp_path / "out")
    row |= {"emotion": "sad", "corpus": "emodb"}
    with pytest.raises(CorpusError, match=r"a\.wav is of emodb, not of urdu"):
        prepare("urdu", write_metadata(tmp_path / "source", [row]), tmp_path / "out")


@pytest.mark.parametrize("name", ["../secret.wav", "/etc/passwd", "a/../../secret.wav", "..\\secret.wav", "C:/x.wav"])
def test_metadata_that_leaves_the_folder_is_refused(name, tmp_path, write_clip):
    write_clip(tmp_path / "secret.wav")
    (tmp_path / "source").mkdir()
    write_metadata(tmp_path / "source", [{"file_name": name, "original_label": "Sad"}])
    with pytest.raises(CorpusError, match="points outside of the folder"):
        prepare("urdu", tmp_path / "source", tmp_path / "out")


def test_empty_metadata_and_empty_folders_are_errors(tmp_path):
    (tmp_path / "source").mkdir()
    with pytest.raises(CorpusError, match="no clip of URDU"):
        prepare("urdu", tmp_path / "source", tmp_path / "out")
    (tmp_path / "source/metadata.jsonl").write_text("\n")
    with pytest.raises(CorpusError, match="is empty"):
        prepare("urdu", tmp_path / "source", tmp_path / "out")


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path, write_clip):
    source = emodb(tmp_path / "source", write_clip, 2)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.txt").write_text("do not lose me")
    with pytest.raises(CorpusError, match="not empty"):
        prepare("emodb", source, tmp_path / "thesis")
    with pytest.raises(CorpusError, match="inside of the source"):
        prepare("emodb", source, source / "out")
    assert (tmp_path / "thesis/chapter.txt").read_text() == "do not lose me"


def test_an_archive_must_be_unpacked_first(tmp_path):
    (tmp_path / "emodb.zip").write_bytes(b"PK")
    with pytest.raises(CorpusNotFoundError, match="unpack the archive first"):
        prepare("emodb", tmp_path / "emodb.zip", tmp_path / "out")


def test_two_copies_in_one_folder_are_refused(tmp_path, write_clip):
    for copy in ("a", "b"):
        write_clip(tmp_path / "msp" / copy / "Audios/MSP-PODCAST_0001_0008.wav")
    head = "FileName,EmoClass,SpkrID,Gender,Split_Set\n"
    (tmp_path / "msp/labels_consensus.csv").write_text(head + "MSP-PODCAST_0001_0008.wav,N,1,Male,Train\n")
    with pytest.raises(CorpusError, match="keep one copy"):
        prepare("msp_podcast", tmp_path / "msp", tmp_path / "out")


def test_sound_that_a_table_does_not_list_is_reported(tmp_path, write_clip):
    for seed in range(3):
        write_clip(tmp_path / f"msp/Audios/MSP-PODCAST_{seed}.wav", seed)
    head = "FileName,EmoClass,SpkrID,Gender,Split_Set\n"
    (tmp_path / "msp/labels_consensus.csv").write_text(head + "MSP-PODCAST_0.wav,N,1,Male,Train\n")
    report = prepare("msp_podcast", tmp_path / "msp", tmp_path / "out")
    assert [str(problem) for problem in report.problems] == [
        "unlisted file: Audios/MSP-PODCAST_1.wav: 2 sound files are not in labels_consensus.csv, this first"
    ]


def test_only_one_preparation_at_a_time_writes_into_a_folder(tmp_path, write_clip):
    fcntl = pytest.importorskip("fcntl")
    source = emodb(tmp_path / "source", write_clip, 2)
    (tmp_path / "out/.prepare").mkdir(parents=True)
    with (tmp_path / "out/.prepare/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="another process is writing here"):
            prepare("emodb", source, tmp_path / "out")
    assert prepare("emodb", source, tmp_path / "out").clips == 2


def test_a_speaker_on_two_official_sides_is_reported(tmp_path, write_clip):
    head = "FileName,EmoClass,SpkrID,Gender,Split_Set\n"
    lines_ = [f"MSP-PODCAST_{seed}.wav,N,7,Male,{side}\n" for seed, side in enumerate(["Train", "Test1"])]
    for seed in range(2):
        write_clip(tmp_path / f"msp/Audios/MSP-PODCAST_{seed}.wav", seed)
    (tmp_path / "msp/labels_consensus.csv").write_text(head + "".join(lines_))
    report = prepare("msp_podcast", tmp_path / "msp", tmp_path / "out")
    assert [str(problem) for problem in report.problems] == ["speaker in two splits: 7: stands in test and in train"]


# ---------------------------------------------------------------- names and the world outside

OPEN = """
import json, sys
from datasets import Audio, load_dataset
dataset = load_dataset("audiofolder", data_dir=sys.argv[1])
rows = [row for row in dataset["train"].cast_column("audio", Audio(decode=False))]
print(json.dumps([sorted(dataset), [[row["audio"]["path"], row["emotion"], row["split"]] for row in rows]]))
"""


def test_plain_load_dataset_opens_it_whole(tmp_path, write_clip):
    """Files named after splits are the trap: `datasets` would keep those and drop the rest."""
    source = tmp_path / "source"
    for seed, path in enumerate(["data/0/Ira_1.WAV", "data/test1/Ira_1.WAV", "data/test2/Miedo_dev_1.WAV"]):
        write_clip(source / path.replace("_dev", ""), seed)
    prepare("spanish_uem", source, tmp_path / "out")

    result = subprocess.run(
        [sys.executable, "-c", OPEN, str(tmp_path / "out")],
        env={**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache"), "PYTHONPATH": decoder(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    splits, rows = json.loads(result.stdout)
    assert splits == ["train"]
    assert [row[1:] for row in rows] == [["angry", "train"], ["angry", "test"], ["fear", "test"]]
    assert all(Path(path).is_file() for path, *_ in rows)


def decoder(folder: Path) -> str:
    """`datasets` asks for torchcodec even to list files; where it cannot be installed, its name is enough."""
    try:
        import torchcodec.encoders  # noqa: F401
    except (ImportError, RuntimeError, OSError):
        package = folder / "stand_in/torchcodec"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("__version__ = '0'\n")
        (package / "encoders.py").write_text("class AudioEncoder: ...\n")
        (package / "decoders.py").write_text("class AudioDecoder: ...\nclass VideoDecoder: ...\n")
        return str(folder / "stand_in")
    return os.environ.get("PYTHONPATH", "")


def test_names_stay_readable_unique_and_inside(tmp_path, write_clip):
    source = tmp_path / "source"
    names = ["data/0/Ira_1.wav", "data_0/0/Ira_1.wav", "DATA/0/Ira_1.wav"]
    for seed, path in enumerate(names):
        write_clip(source / path, seed)
    prepare("spanish_uem", source, tmp_path / "out")
    rows = load_corpus(tmp_path / "out", columns=["source_file"])
    made = [Path(row["audio"]["path"]).name for row in rows]
    assert len({name.lower() for name in made}) == 3
    assert "data_0_Ira_1.flac" in made or "DATA_0_Ira_1.flac" in made
    for row in rows:
        np.testing.assert_array_equal(load_audio(row["audio"]), load_audio(source / row["source_file"]))


NAMES = st.text(st.sampled_from("aAtest/TEST-_ .0é"), min_size=1, max_size=12) | st.sampled_from(
    ["test", "x/test/1", "dev_1", "Validation 2", "train", "TRAIN", "é" * 90, "a" * 300, "b" * 300 + "c"]
)


@given(st.lists(NAMES, min_size=1, max_size=12, unique=True))
def test_file_names_are_safe_for_any_corpus(ids):
    made = list(_file_names([Clip(id=name, path=name, label="x") for name in ids]).values())
    assert len({name.lower() for name in made}) == len(ids), "unique where case does not count"
    for name in made:
        assert re.fullmatch(r"clips/[A-Za-z0-9_-]+\.flac", name)
        assert len(name) < 200
        words = re.split(r"[-._ 0-9]", name.removeprefix("clips/").removesuffix(".flac").lower())
        assert not set(words) & {"train", "training", "validation", "valid", "dev", "val", "test", "testing", "eval"}


@pytest.mark.shared
def test_real_clips_keep_their_sound(shared, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    lines_ = (shared / "corpora/emodb/metadata.jsonl").read_text(encoding="utf-8").splitlines()[:12]
    for line in lines_:
        shutil.copy(shared / "corpora/emodb" / json.loads(line)["file_name"], source)
    (source / "metadata.jsonl").write_text("\n".join(lines_), encoding="utf-8")

    assert prepare("emodb", source, tmp_path / "out").ok

    made, original = load_corpus(tmp_path / "out"), load_corpus(source)
    for column in ("emotion", "original_label", "speaker", "gender", "language", "text", "split"):
        assert made[column][:] == original[column][:]
    for one, other in zip(made, original, strict=True):
        sound = load_audio(other["audio"])
        np.testing.assert_allclose(load_audio(one["audio"]), np.clip(sound, -1, 1 - 1 / 32768), atol=1 / 32768)
        assert one["duration"] == pytest.approx(other["duration"], abs=0.01)
