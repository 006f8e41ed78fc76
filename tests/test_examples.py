"""The example clips: small, loadable, as different as their names say, and reproducible."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hf_mser.audio import SAMPLING_RATE, load_audio
from hf_mser.emotions import EMOTIONS

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (EXAMPLES / name).read_text(encoding="utf-8").splitlines()]


def level_db(samples: np.ndarray) -> float:
    return 20 * np.log10(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def test_every_clip_is_listed_short_and_small() -> None:
    listed = rows("clips/metadata.jsonl")
    assert {row["file_name"] for row in listed} == {path.name for path in (EXAMPLES / "clips").glob("*.flac")}
    assert {row["emotion"] for row in listed} == set(EMOTIONS)
    for row in listed:
        path = EXAMPLES / "clips" / row["file_name"]
        assert path.stem == f"{row['language']}_{row['emotion']}"
        assert path.stat().st_size < 100_000
        assert 1.5 <= len(load_audio(path)) / SAMPLING_RATE <= 3.1
        assert soundfile.info(path).samplerate == SAMPLING_RATE


def test_loudness_is_as_the_emotion_says() -> None:
    listed = rows("clips/metadata.jsonl")
    levels = {row["emotion"]: level_db(load_audio(EXAMPLES / "clips" / row["file_name"])) for row in listed}
    assert max(levels, key=levels.__getitem__) == "angry"
    assert min(levels, key=levels.__getitem__) == "sad"
    assert levels["angry"] - levels["sad"] > 10


def test_the_call_and_its_segments_agree() -> None:
    call = load_audio(EXAMPLES / "call.ogg")
    segments = rows("call_segments.jsonl")
    assert (EXAMPLES / "call.ogg").stat().st_size < 300_000
    assert 35 < len(call) / SAMPLING_RATE < 45
    assert {segment["speaker"] for segment in segments} == {"agent", "caller"}
    ends = 0.0
    for segment in segments:
        assert ends < segment["start"] < segment["end"] <= len(call) / SAMPLING_RATE
        pause = call[round((ends + 0.1) * SAMPLING_RATE) : round((segment["start"] - 0.1) * SAMPLING_RATE)]
        speech = call[round(segment["start"] * SAMPLING_RATE) : round(segment["end"] * SAMPLING_RATE)]
        assert level_db(speech) > level_db(pause + 1e-9) + 20
        ends = segment["end"]


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_script_makes_the_same_sound_again() -> None:
    pytest.importorskip("pyworld", exc_type=ImportError)
    spec = importlib.util.spec_from_file_location("make_clips", EXAMPLES / "make_clips.py")
    make_clips = importlib.util.module_from_spec(spec)
    sys.modules["make_clips"] = make_clips  # dataclasses look their module up
    spec.loader.exec_module(make_clips)
    for name in ("de_angry", "fr_sad"):
        again = make_clips.speak(make_clips.CLIPS[name])
        kept = load_audio(EXAMPLES / "clips" / f"{name}.flac")
        np.testing.assert_allclose(again, kept, atol=2e-3)  # other versions of the tools round differently

    ogg = (EXAMPLES / "call.ogg").read_bytes()
    assert make_clips.with_fixed_serial(ogg) == ogg  # already fixed: nothing changes
