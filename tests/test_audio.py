"""The audio door: every kind of source, every format and rate, windows, and what it refuses."""

import ast
import io
import math
import os
import pickle
import shutil
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import hf_mser
from hf_mser import audio
from hf_mser.audio import AUDIO_SUFFIXES, MIN_SECONDS, SAMPLING_RATE, iter_windows, load_audio, source_name
from hf_mser.errors import MSERError

RATES = [8_000, 11_025, 16_000, 22_050, 24_414, 44_100, 48_000, 96_000]
PCM = [
    ("WAV", "PCM_U8", 1 / 64),
    ("WAV", "PCM_16", 1 / 16384),
    ("WAV", "PCM_24", 1e-6),
    ("WAV", "PCM_32", 1e-6),
    ("WAV", "FLOAT", 1e-6),
    ("WAV", "DOUBLE", 1e-6),
    ("WAV", "ULAW", 0.03),
    ("FLAC", "PCM_S8", 1 / 64),
    ("FLAC", "PCM_16", 1 / 16384),
    ("FLAC", "PCM_24", 1e-6),
]
LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]
quick = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def melody(rate: float, seconds: float, channels: int = 1) -> np.ndarray:
    """Tones below 3 kHz in float64, a different level in each channel: (samples, channels)."""
    time = np.arange(round(rate * seconds)) / rate
    tone = sum(0.2 * np.sin(2 * np.pi * hertz * time + hertz) for hertz in (220.0, 947.0, 2_713.0))
    return tone[:, None] * np.linspace(1.0, 0.5, channels)


def encoded(samples: np.ndarray, rate: int, container: str, coding: str) -> bytes:
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, samples.shape[1], format=container, subtype=coding) as file:
        for start in range(0, len(samples), 4096):
            file.write(samples[start : start + 4096])
    return buffer.getvalue()


@pytest.fixture(scope="module")
def pcm() -> np.ndarray:
    return np.round(melody(44_100, 1.0, channels=2) * 32767).astype(np.int16)


@pytest.fixture(scope="module")
def wav(pcm: np.ndarray) -> bytes:
    return encoded(pcm, 44_100, "WAV", "PCM_16")


# --- every kind of source gives the same samples ---------------------------------------------------------


class Pipe(io.RawIOBase):
    """A stream that cannot be rewound."""

    def __init__(self, data: bytes) -> None:
        self.inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, target) -> int:
        return self.inner.readinto(target)


def test_every_kind_of_source_gives_the_same_samples(pcm: np.ndarray, wav: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.raw"  # an ending that says otherwise must not matter
    path.write_bytes(wav)
    samples = SimpleNamespace(data=torch.tensor(pcm.T / np.float32(32768)), sample_rate=44_100)
    half_read = io.BytesIO(wav)
    half_read.read(1000)
    with open(path, "rb") as opened:
        sources = {
            "str": str(path),
            "Path": path,
            "bytes": wav,
            "bytearray": bytearray(wav),
            "memoryview": memoryview(wav),
            "file": opened,
            "file read before": half_read,
            "pipe": io.BufferedReader(Pipe(wav)),
            "row with bytes": {"bytes": wav, "path": "somewhere/else.wav"},
            "row with path": {"bytes": None, "path": str(path)},
            "array": {"array": pcm, "sampling_rate": 44_100},
            "raw": {"raw": pcm, "sampling_rate": 44_100},
            "channels first": {"array": pcm.T, "sampling_rate": 44_100},
            "float": {"array": pcm / 32768, "sampling_rate": 44_100},
            "32 bit": {"array": pcm.astype(np.int32) << 16, "sampling_rate": 44_100.0},
            "tensor": {"array": torch.tensor(pcm), "sampling_rate": 44_100},
            "decoded row": {"path": str(path), "array": pcm, "sampling_rate": 44_100},
            "list": {"array": (pcm.T / 32768).tolist(), "sampling_rate": 44_100},
            "decoder": SimpleNamespace(get_all_samples=lambda: samples),
            "decoder's samples": samples,
        }
        reference = load_audio(pcm, sampling_rate=44_100)
        for kind, source in sources.items():
            assert np.array_equal(load_audio(source), reference), kind
    assert reference.dtype == np.float32
    assert reference.shape == (16_000,)


def test_rows_of_datasets(wav: bytes, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "a.wav"
    path.write_bytes(wav)
    rows = datasets.Dataset.from_dict({"audio": [str(path)]})
    rows = rows.cast_column("audio", datasets.Audio(decode=False))
    assert np.array_equal(load_audio(rows[0]["audio"]), load_audio(wav))


def test_a_real_torchcodec_decoder(wav: bytes) -> None:
    try:
        from torchcodec.decoders import AudioDecoder
    except (ImportError, RuntimeError):
        pytest.skip("torchcodec is not usable here")
    np.testing.assert_allclose(load_audio(AudioDecoder(wav)), load_audio(wav), atol=1e-6)


def test_bfloat16_and_gradients_are_no_obstacle() -> None:
    tensor = torch.tensor(melody(16_000, 0.5)[:, 0], dtype=torch.bfloat16, requires_grad=True)
    assert np.array_equal(load_audio(tensor, 16_000), tensor.detach().float().numpy())


def test_the_callers_array_stays_as_it_is() -> None:
    samples = melody(16_000, 0.1)[:, 0].astype(np.float32)
    before = samples.copy()
    load_audio(samples, 16_000)[:] = 0
    assert np.array_equal(samples, before)


# --- formats, rates, channels, sample types --------------------------------------------------------------


@quick
@given(coding=st.sampled_from(PCM), rate=st.sampled_from(RATES), channels=st.integers(1, 8))
def test_lossless_formats_at_every_rate(coding: tuple, rate: int, channels: int) -> None:
    container, subtype, tolerance = coding
    result = load_audio(encoded(melody(rate, 0.4, channels), rate, container, subtype))
    expected = melody(SAMPLING_RATE, 0.4, channels).mean(axis=1)  # the tones themselves, not another resampler
    assert abs(len(result) - 0.4 * SAMPLING_RATE) <= 1
    inner = slice(1_000, 5_400)  # away from the edges, where a finite tone is not band-limited
    np.testing.assert_allclose(result[inner], expected[inner], atol=tolerance + 2e-5)


@quick
@given(coding=st.sampled_from(LOSSY), rate=st.sampled_from(RATES), channels=st.integers(1, 8))
def test_lossy_formats_equal_their_decoded_samples(coding: tuple, rate: int, channels: int) -> None:
    try:
        data = encoded(melody(rate, 0.4, channels), rate, *coding)
    except (soundfile.LibsndfileError, ValueError):
        assume(False)  # the format knows no such rate or number of channels
    decoded, _ = soundfile.read(io.BytesIO(data), always_2d=True)
    divisor = math.gcd(SAMPLING_RATE, rate)
    up, down = SAMPLING_RATE // divisor, rate // divisor
    expected = scipy.signal.resample_poly(decoded.mean(axis=1), up, down, window=("kaiser", 12.0))
    result = load_audio(data)
    length = min(len(result), len(expected))
    assert abs(len(result) - len(decoded) * SAMPLING_RATE / rate) <= 1
    inner = slice(1_000, length - 1_000)
    np.testing.assert_allclose(result[inner], expected[inner], atol=5e-3)


@pytest.mark.parametrize("rate", [*RATES, 24_414.0625, 2_000, 37_123.4, 192_000])
def test_resampling_against_the_tones_themselves(rate: float) -> None:
    def tones(at: float) -> np.ndarray:
        time = np.arange(round(at)) / at
        return 0.3 * np.sin(2 * np.pi * 300 * time) + 0.3 * np.cos(2 * np.pi * 701 * time)

    result = load_audio(tones(rate), sampling_rate=rate)
    assert abs(len(result) - SAMPLING_RATE) <= 1
    np.testing.assert_allclose(result[2_000:-2_000], tones(SAMPLING_RATE)[2_000 : len(result) - 2_000], atol=1e-5)


def test_what_16_khz_cannot_hold_is_removed() -> None:
    above = np.sin(2 * np.pi * 9_500 * np.arange(48_000) / 48_000)
    assert np.abs(load_audio(above, 48_000)[1_000:-1_000]).max() < 1e-5


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32])
def test_integers_are_scaled_by_their_type(dtype: type) -> None:
    limits = np.iinfo(dtype)
    middle = 0 if limits.min < 0 else (limits.max + 1) // 2
    samples = np.tile(np.array([limits.min, middle, limits.max], dtype), 400)
    result = load_audio(samples, 16_000)
    np.testing.assert_allclose(result[:3], [-1.0, 0.0, 1.0], atol=2.0 ** (1 - limits.bits))


def test_two_dimensions_are_channels_and_samples() -> None:
    samples = melody(16_000, 0.5, channels=6)
    assert np.array_equal(load_audio(samples, 16_000), load_audio(samples.T, 16_000))
    np.testing.assert_allclose(load_audio(samples, 16_000), samples.mean(axis=1), atol=1e-7)
    for shape in ((600, 600), (33, 600), (20, 20), (1, 1, 16_000), ()):
        with pytest.raises(audio.SampleShapeError, match="channels, samples"):
            load_audio(np.zeros(shape), 16_000)


@pytest.mark.shared
def test_real_recordings_equal_what_soundfile_reads(shared: Path) -> None:
    """Real files, most of them at 16 kHz already: nothing but the average of the channels may happen to these."""
    compared = 0
    for corpus in sorted(path for path in (shared / "corpora").iterdir() if path.is_dir()):
        for path in sorted(path for path in corpus.rglob("*") if path.suffix in AUDIO_SUFFIXES)[:5]:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            result = load_audio(path)
            assert abs(len(result) - len(samples) * SAMPLING_RATE / rate) <= 1
            if rate == SAMPLING_RATE:
                np.testing.assert_allclose(result, samples.mean(axis=1), atol=1e-7)
                compared += 1
            assert np.array_equal(result, load_audio(path.read_bytes()))
    assert compared


# --- windows ---------------------------------------------------------------------------------------------


@quick
@given(
    length=st.integers(400, 60_000),
    window=st.integers(400, 20_000),
    overlap=st.floats(0.0, 0.95),
    rate=st.sampled_from([8_000, 16_000, 44_100]),
)
def test_windows_put_back_are_the_whole(length: int, window: int, overlap: float, rate: int) -> None:
    samples = np.random.default_rng(length).uniform(-0.5, 0.5, math.ceil(length * rate / 16_000))
    hop = max(1, round(window * (1 - overlap)))
    assume(length / hop < 500)
    whole = load_audio(samples, rate)
    windows = list(iter_windows(samples, window / 16_000, hop / 16_000, sampling_rate=rate))
    back = np.full_like(whole, np.nan)
    for number, (part, start, end) in enumerate(windows):
        first, last = round(start * 16_000), round(end * 16_000)
        assert len(part) == last - first
        back[first:last] = part
        if number < len(windows) - 1:
            assert (first, len(part)) == (number * hop, window)
        else:
            assert last == len(whole)
            assert min(400, len(whole)) <= len(part) <= window
    assert np.array_equal(back, whole)
    assert len(windows) == 1 + max(0, math.ceil((len(whole) - window) / hop))


def test_short_sound_is_one_window_and_long_sound_overlaps() -> None:
    tone = melody(16_000, 2.5)[:, 0]
    assert [w[1:] for w in iter_windows(tone, 3.0, 1.0, 16_000)] == [(0.0, 2.5)]
    assert [w[1:] for w in iter_windows(tone, 1.0, 0.5, 16_000)] == [(0, 1), (0.5, 1.5), (1, 2), (1.5, 2.5)]
    short_tail = melody(16_000, 2.01)[:, 0]
    assert [w[1:] for w in iter_windows(short_tail, 1.0, 1.0, 16_000)] == [(0, 1), (1, 2), (1.985, 2.01)]


@pytest.mark.parametrize(("window", "hop"), [(0.0, 0.1), (0.02, 0.01), (1.0, 0.0), (1.0, 1.5), (math.inf, 1.0)])
def test_impossible_windows_are_refused_at_once(window: float, hop: float) -> None:
    with pytest.raises(audio.WindowError):
        iter_windows("no such file", window, hop)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 22_050, 1) as file:
        minute = (melody(22_050, 60.0) * 32767).astype(np.int16)
        for _ in range(8):
            file.write(minute)
    tracemalloc.start()
    count = sum(1 for _ in iter_windows(path, 5.0, 2.5))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 191
    assert peak < 8e6 < 8 * 60 * SAMPLING_RATE * 4 / 3  # the whole at 16 kHz takes 31 MB


def test_damage_far_in_is_found_when_the_windows_get_there() -> None:
    samples = melody(16_000, 60.0)[:, 0]
    samples[-100] = np.nan
    windows = iter_windows(samples, 5.0, 5.0, 16_000)
    assert next(windows).end == 5.0
    with pytest.raises(audio.NonFiniteAudioError, match=r"59\.99"):
        list(windows)


# --- silence ---------------------------------------------------------------------------------------------


def test_silence_gives_a_result_and_a_warning() -> None:
    for level in (0.0, 0.2):
        with pytest.warns(audio.SilenceWarning, match="array of shape"):
            assert len(load_audio(np.full(16_000, level), 16_000)) == 16_000
    with pytest.warns(audio.SilenceWarning):
        assert len(list(iter_windows(np.zeros(48_000), 1.0, 1.0, 16_000))) == 3


@pytest.mark.filterwarnings("error::hf_mser.audio.SilenceWarning")
def test_quiet_speech_is_not_silence() -> None:
    load_audio(melody(16_000, 0.5)[:, 0] / 500, 16_000)
    half_silent = np.concatenate([np.zeros(32_000), melody(16_000, 1.0)[:, 0]])
    assert len(list(iter_windows(half_silent, 1.0, 1.0, 16_000))) == 3


# --- what is refused -------------------------------------------------------------------------------------

TONE = melody(16_000, 0.5)[:, 0]
WAV = encoded(melody(16_000, 1.0), 16_000, "WAV", "PCM_16")


def _nan_wav() -> bytes:
    samples = melody(16_000, 0.5)
    samples[4_000] = np.inf
    return encoded(samples, 16_000, "WAV", "FLOAT")


def _failing_decoder() -> None:
    raise RuntimeError("no stream")


REFUSED = {
    "missing file": ("nowhere/clip.wav", audio.MissingAudioError, FileNotFoundError),
    "file as a directory": (__file__ + "/clip.wav", audio.MissingAudioError, FileNotFoundError),
    "directory": (os.path.dirname(__file__), audio.UnreadableAudioError, OSError),
    "null byte": ("a\0b.wav", audio.UnreadableAudioError, OSError),
    "very long path": ("a" * 5_000, audio.UnreadableAudioError, OSError),
    "no bytes": (b"", audio.EmptyAudioError, ValueError),
    "no frames": (encoded(np.zeros((0, 1)), 16_000, "WAV", "PCM_16"), audio.EmptyAudioError, ValueError),
    "empty array": ({"array": np.zeros(0), "sampling_rate": 8_000}, audio.EmptyAudioError, ValueError),
    "no samples in 2 channels": (
        {"array": np.zeros((2, 0)), "sampling_rate": 8_000},
        audio.EmptyAudioError,
        ValueError,
    ),
    "24 ms": ({"array": TONE[:384], "sampling_rate": 16_000}, audio.TooShortAudioError, ValueError),
    "text": (b"Once upon a time" * 99, audio.UndecodableAudioError, ValueError),
    "cut wav": (WAV[:10_000], audio.TruncatedAudioError, ValueError),
    "infinity in a file": (_nan_wav(), audio.NonFiniteAudioError, ValueError),
    "NaN": ({"array": np.append(TONE, np.nan), "sampling_rate": 8_000}, audio.NonFiniteAudioError, ValueError),
    "float64 beyond float32": (
        {"array": np.append(TONE, 1e300), "sampling_rate": 8_000},
        audio.NonFiniteAudioError,
        ValueError,
    ),
    "no rate": (TONE, audio.SamplingRateError, ValueError),
    "rate 0": ({"array": TONE, "sampling_rate": 0}, audio.SamplingRateError, ValueError),
    "rate NaN": ({"array": TONE, "sampling_rate": math.nan}, audio.SamplingRateError, ValueError),
    "rate in words": ({"array": TONE, "sampling_rate": "fast"}, audio.SamplingRateError, ValueError),
    "unscaled": ({"array": TONE * 32768, "sampling_rate": 16_000}, audio.SampleRangeError, ValueError),
    "int64": ({"array": [1, 2, 3] * 999, "sampling_rate": 16_000}, audio.SampleRangeError, ValueError),
    "bool": ({"array": TONE > 0, "sampling_rate": 16_000}, audio.SampleRangeError, ValueError),
    "complex": ({"array": TONE + 0j, "sampling_rate": 16_000}, audio.SampleRangeError, ValueError),
    "ragged list": ({"array": [[0.0], [0.0, 1.0]], "sampling_rate": 16_000}, audio.SampleShapeError, ValueError),
    "number": (3.5, audio.UnsupportedSourceError, TypeError),
    "None": (None, audio.UnsupportedSourceError, TypeError),
    "empty row": ({"bytes": None, "path": None}, audio.UnsupportedSourceError, TypeError),
    "whole dataset row": ({"audio": {"path": "a.wav"}, "emotion": 1}, audio.UnsupportedSourceError, TypeError),
    "text file": (io.StringIO("words"), audio.UnreadableAudioError, OSError),
    "write-only file": (open(os.devnull, "wb"), audio.UnreadableAudioError, OSError),  # noqa: SIM115
    "broken decoder": (SimpleNamespace(get_all_samples=_failing_decoder), audio.UndecodableAudioError, ValueError),
    "other scheme": ("s3://bucket/clip.wav", audio.AudioDownloadError, OSError),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_source_cause_and_cure(case: str) -> None:
    source, error_class, builtin = REFUSED[case]
    with pytest.raises(error_class) as caught:
        load_audio(source)
    error = caught.value
    assert type(error) is error_class
    assert isinstance(error, (MSERError, ValueError))
    assert isinstance(error, builtin)
    assert str(error) == f"{error.source}: {error.cause}. {error.cure}."
    assert error.source == source_name(source)
    assert len(str(error)) < 500
    restored = pickle.loads(pickle.dumps(error))
    assert (type(restored), str(restored)) == (type(error), str(error))
    with pytest.raises(error_class):
        list(iter_windows(source, 1.0, 1.0))


class FailingDisk(io.BytesIO):
    def read(self, count: int = -1) -> bytes:
        if self.tell() > 20_000:
            raise OSError("Input/output error")
        return super().read(count)


def test_a_file_that_cannot_be_read_to_its_end_is_not_cut_silently() -> None:
    with pytest.raises(audio.UnreadableAudioError, match="Input/output error"):
        load_audio(FailingDisk(WAV))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_special_files_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", "/dev/zero"):
        with pytest.raises(audio.UnreadableAudioError, match="no regular file"):
            load_audio(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_forbidden_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.wav"
    path.write_bytes(WAV)
    path.chmod(0)
    with pytest.raises(audio.UnreadableAudioError, match="may not be read"):
        load_audio(path)


def test_contradictory_rates() -> None:
    with pytest.raises(audio.SamplingRateError, match="8000 Hz and the argument says 16000 Hz"):
        load_audio({"array": TONE, "sampling_rate": 8_000}, sampling_rate=16_000)
    assert len(load_audio({"array": TONE, "sampling_rate": None}, sampling_rate=16_000)) == len(TONE)


@pytest.mark.parametrize("form", [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("AIFF", "PCM_16"), ("W64", "PCM_16")])
def test_a_header_that_claims_more_than_there_is(form: tuple[str, str]) -> None:
    data = encoded(melody(16_000, 2.0), 16_000, *form)
    with pytest.raises((audio.TruncatedAudioError, audio.UndecodableAudioError)):
        load_audio(data[: len(data) * 6 // 10])


def test_headers_of_recorders_that_write_to_a_pipe_are_fine() -> None:
    streamed = bytearray(WAV)
    place = streamed.index(b"data") + 4
    streamed[4:8] = streamed[place : place + 4] = b"\xff\xff\xff\xff"
    assert np.array_equal(load_audio(bytes(streamed)), load_audio(WAV))


def test_a_header_that_counts_a_few_bytes_wrongly_is_fine() -> None:
    sloppy = bytearray(WAV)
    sloppy[4:8] = (len(WAV)).to_bytes(4, "little")  # RIFF's size should leave out its own eight bytes
    assert np.array_equal(load_audio(bytes(sloppy)), load_audio(WAV))


def test_names_are_short_and_printable() -> None:
    assert source_name(Path("a/b.wav")) == str(Path("a/b.wav"))
    assert source_name({"bytes": b"12", "path": None}) == "<2 bytes>"
    assert source_name({"array": TONE}) == "<array of shape (8000,)>"
    assert source_name(io.BytesIO()) == "<BytesIO>"
    assert source_name("evil\x1b[31m\nname") == "evil?[31m?name"
    assert len(source_name("x" * 10_000)) <= 120


# --- ffmpeg ----------------------------------------------------------------------------------------------


def test_without_ffmpeg_the_error_lists_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(audio.UndecodableAudioError) as caught:
        load_audio(b"\0\0\0\x18ftypM4A " + bytes(999))
    assert "soundfile:" in str(caught.value)
    assert "ffmpeg: not installed" in str(caught.value)
    assert "install ffmpeg" in caught.value.cure


needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


@needs_ffmpeg
def test_ffmpeg_decodes_what_soundfile_cannot(wav: bytes, tmp_path: Path) -> None:
    (tmp_path / "clip.wav").write_bytes(wav)
    path = tmp_path / "-y clip.m4a"
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "clip.wav"), "-c:a", "alac", f"file:{path}"]
    subprocess.run(command, check=True)
    for source in (path, path.read_bytes(), {"bytes": path.read_bytes(), "path": None}):
        assert np.array_equal(load_audio(source), load_audio(wav))
    with pytest.raises(audio.AudioError):
        load_audio(path.read_bytes()[:2_000])


@needs_ffmpeg
def test_ffmpeg_follows_no_play_lists(wav: bytes, tmp_path: Path) -> None:
    (tmp_path / "private.wav").write_bytes(wav)
    listed = tmp_path / "list.m3u8"
    listed.write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{tmp_path / 'private.wav'}\n", encoding="utf-8")
    with pytest.raises(audio.UndecodableAudioError):
        load_audio(listed)


# --- the module itself -----------------------------------------------------------------------------------


def test_many_threads_at_once(wav: bytes) -> None:
    expected, results = load_audio(wav), []
    threads = [threading.Thread(target=lambda: results.append(load_audio(wav))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(np.array_equal(result, expected) for result in results)


def test_constants() -> None:
    assert (SAMPLING_RATE, MIN_SECONDS) == (16_000, 0.025)
    assert {".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a"} <= AUDIO_SUFFIXES


MODULES = ["audio", "audio_decoding", "audio_download", "audio_errors", "audio_sources"]


@pytest.mark.parametrize("name", MODULES)
def test_modules_can_travel_with_a_checkpoint(name: str) -> None:
    """Flat relative imports, and no third-party package beyond those that the door needs."""
    source = Path(hf_mser.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1
            assert node.module
            assert "." not in node.module
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for imported in names:
                top = str(imported).split(".")[0]
                assert top in sys.stdlib_module_names | {"numpy", "soundfile", "soxr"}
