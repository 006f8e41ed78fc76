"""What the page hears is what the pipeline hears; what it refuses, it refuses in a sentence."""

import numpy as np
import pytest
import soundfile

from hf_mser.audio import load_audio
from hf_mser.demo.hearing import DemoError, hear
from hf_mser.demo.limits import Limits
from hf_mser.errors import MSERError


def test_a_short_clip_is_answered_as_the_pipeline_answers(pipe, clip):
    hearing = hear(pipe, clip)
    expected = pipe(clip)
    assert hearing.record["input"] == "de_angry.flac"
    assert hearing.record["label"] == expected[0]["label"]
    assert hearing.record["scores"] == pytest.approx({entry["label"]: entry["score"] for entry in expected}, abs=1e-6)
    assert "segments" not in hearing.record
    assert hearing.labels == pipe.model.config.labels
    np.testing.assert_array_equal(hearing.samples, load_audio(clip))


def test_long_audio_gets_the_pipelines_time_line(pipe, call):
    hearing = hear(pipe, call)
    expected = pipe(call, return_timestamps=True)
    assert hearing.record["label"] == expected["label"]
    for part, wanted in zip(hearing.record["segments"], expected["segments"], strict=True):
        assert (part["start"], part["end"], part["label"]) == (wanted["start"], wanted["end"], wanted["label"])
        assert part["score"] == pytest.approx(wanted["score"], abs=1e-5)


def test_own_words_are_weighed_instead(pipe, clip):
    hearing = hear(pipe, clip, words=" joyful, furious ,joyful,")
    expected = {entry["label"]: entry["score"] for entry in pipe(clip, candidate_labels=["joyful", "furious"])}
    assert hearing.labels == ["joyful", "furious"]
    assert hearing.record["scores"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("joyful", "at least two"),
        (",".join(f"word{number}" for number in range(9)), "9 words: give at most 8"),
        ("calm, " + "a" * 41, "at most 40 letters"),
    ],
)
def test_words_that_make_no_sense(pipe, clip, words, message):
    with pytest.raises(DemoError, match=message):
        hear(pipe, clip, words=words, limits=Limits(words=8))


def test_samples_longer_than_a_block_with_a_tiny_rest_come_whole(pipe, tmp_path):
    samples = np.sin(np.arange(30 * 16_000 + 100) / 9).astype(np.float32) / 2  # the rest is less than 25 ms
    soundfile.write(tmp_path / "long.wav", samples, 16_000, subtype="FLOAT")
    hearing = hear(pipe, tmp_path / "long.wav")
    np.testing.assert_array_equal(hearing.samples, samples)
    assert hearing.seconds == pytest.approx(30.00625)


def test_too_long_is_said_without_listening(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.full(8_000 * 61, 0.1), 8_000)
    with pytest.raises(DemoError, match=r"^long.wav lasts longer than 1 minute\. "):
        hear(None, tmp_path / "long.wav", limits=Limits(minutes=1))


def test_too_large_is_said_without_reading(tmp_path):
    (tmp_path / "large.wav").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(DemoError, match=r"large.wav is larger than 1 MB"):
        hear(None, tmp_path / "large.wav", limits=Limits(megabytes=1))


@pytest.mark.parametrize("content", [b"", b"this is no audio", b"RIFF\x24\x00\x00\x00WAVEfmt "])
def test_a_damaged_file_is_named_without_its_folder(pipe, tmp_path, content):
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(MSERError) as raised:
        hear(pipe, tmp_path / "bad.wav")
    assert str(raised.value).startswith("bad.wav: ")
    assert str(tmp_path) not in str(raised.value)


def test_silence_is_noticed(pipe, tmp_path):
    soundfile.write(tmp_path / "nothing.wav", np.zeros(16_000), 16_000)
    with pytest.warns(UserWarning, match="digital silence"):
        assert hear(pipe, tmp_path / "nothing.wav").is_silent
