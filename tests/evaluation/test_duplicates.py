"""The same recording under another name, codec or loudness is found; two takes of one sentence are not."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.evaluation import duplicates
from hf_mser.evaluation.clips import Clip, read_clips
from hf_mser.evaluation.duplicates import Duplicate, find_duplicates, fingerprint, recordings

CODECS = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "ULAW")]


def voice(seed, seconds=1.5):
    """Bursts of a gliding, buzzing tone: as changeable as speech."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16_000)) / 16_000
    pitch = 150 + 60 * np.sin(2 * np.pi * generator.uniform(0.5, 2) * time + generator.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch) / 16_000
    buzz = sum(np.sin(k * phase + generator.uniform(0, 6)) / k for k in range(1, 12))
    swells = np.interp(time, np.linspace(0, seconds, 12), generator.uniform(0, 1, 12) ** 2)
    return (0.3 * swells * buzz + 0.003 * generator.normal(size=time.size)).astype(np.float32)


def through(samples, container, codec):
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format=container, subtype=codec)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def search(sounds):
    clips = [Clip("mine", name, None, "sad") for name in sounds]
    return [(p.first, p.second) for p in find_duplicates(clips, lambda clip: sounds[clip.name])]


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 50), st.floats(0.01, 1.0), st.integers(0, 12_000), st.integers(0, 12_000), st.sampled_from(CODECS)
)
def test_gain_delay_and_codec_do_not_hide_a_recording(seed, gain, before, after, codec):
    original = voice(seed)
    changed = through(gain * np.pad(original, (before, after)), *codec)
    assert search({"a": original, "b": changed, "c": voice(seed + 1000)}) == [("mine/a", "mine/b")]


def test_a_turned_polarity_is_the_same_recording():
    assert search({"a": voice(1), "b": -voice(1)}) == [("mine/a", "mine/b")]


def test_many_different_sounds_have_no_pair():
    assert search({f"{seed}": voice(seed) for seed in range(60)}) == []


def test_silence_is_nobodys_recording():
    assert not fingerprint(np.zeros(16_000)).any()
    assert search({"a": np.zeros(16_000, np.float32), "b": np.zeros(16_000, np.float32)}) == []


def test_clips_shorter_than_a_window_are_compared_too():
    assert search({"a": voice(3)[:450], "b": 0.5 * voice(3)[:450]}) == [("mine/a", "mine/b")]


def test_twins_of_twins_are_one_recording():
    pairs = [Duplicate("b", "c", 1.0), Duplicate("x", "y", 1.0), Duplicate("a", "c", 1.0)]
    assert recordings(pairs) == {"a": "a", "b": "a", "c": "a", "x": "x", "y": "x"}


def test_fingerprints_are_kept_until_a_file_changes(tmp_path):
    paths = [tmp_path / name for name in ("a.wav", "b.wav")]
    for seed, path in enumerate(paths):
        soundfile.write(path, voice(seed), 16_000)
    clips = [Clip("mine", path.name, str(path), "sad") for path in paths]
    cache = tmp_path / "cache"
    assert find_duplicates(clips, cache=cache) == []
    (kept,) = cache.iterdir()
    soundfile.write(paths[1], 0.5 * voice(0, seconds=1.6), 16_000)
    soundfile.write(paths[1], 0.5 * voice(0), 16_000, subtype="PCM_24")
    found = find_duplicates(clips, cache=cache, processes=2)
    assert [(pair.first, pair.second) for pair in found] == [("mine/a.wav", "mine/b.wav")]
    assert len(list(cache.iterdir())) == 2
    assert kept.is_file()


@pytest.mark.shared
def test_real_speech_is_found_again_and_two_takes_are_told_apart(shared):
    clips = [c for c in read_clips(shared / "corpora" / "casia") if c.name.split("_")[-1] in ("201.ogg", "202.ogg")]
    assert len(clips) == 4 * 6 * 2  # four speakers say two sentences in six emotions
    sounds = {clip.key: duplicates.load_clip(clip) for clip in clips}
    copies = [Clip("copy", clip.name, None, clip.emotion) for clip in clips[:10]]
    for clip, copy in zip(clips, copies, strict=False):
        sounds[copy.key] = through(0.2 * np.pad(sounds[clip.key], (1111, 3000)), "MP3", "MPEG_LAYER_III")
    found = {(pair.first, pair.second) for pair in find_duplicates([*clips, *copies], lambda clip: sounds[clip.key])}
    # CASIA itself holds two recordings twice, once as fear and once as sadness (their waves agree to 0.98 and 0.99).
    in_casia_itself = {(f"casia/liuchanhg_fear_{n}.ogg", f"casia/liuchanhg_sad_{n}.ogg") for n in (201, 202)}
    of_copies = {(clip.key, copy.key) for clip, copy in zip(clips, copies, strict=False)}
    assert found == in_casia_itself | of_copies
