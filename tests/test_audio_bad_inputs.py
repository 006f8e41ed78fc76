"""Three hundred bad inputs, made from good ones with a fixed seed: each gives an AudioError or a valid array."""

import collections
import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile

from hf_mser import audio
from hf_mser.audio import AudioError, iter_windows, load_audio

FORMS = [
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAV", "ULAW"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
    ("W64", "PCM_16"),
]
SEED = 20_260


def clip(form: tuple[str, str], seconds: float = 0.5) -> bytes:
    time = np.arange(round(16_000 * seconds)) / 16_000
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", 16_000, 1, format=form[0], subtype=form[1]) as file:
        file.write(0.3 * np.sin(2 * np.pi * 300 * time) + 0.1 * np.sin(2 * np.pi * 1_234 * time))
    return buffer.getvalue()


CLIPS = {form: clip(form) for form in FORMS}
Random = np.random.Generator


def truncated(random: Random, data: bytes) -> bytes:
    return data[: int(random.integers(1, len(data)))]


def flipped_bits(random: Random, data: bytes) -> bytes:
    changed = np.frombuffer(data, np.uint8).copy()
    for place in random.integers(0, len(data), int(random.integers(1, 60))):
        changed[place] ^= 1 << int(random.integers(0, 8))
    return changed.tobytes()


def damaged_header(random: Random, data: bytes) -> bytes:
    head = bytearray(data[:128])
    for place in random.integers(4, len(head), 12):
        head[place] = int(random.integers(0, 256))
    return bytes(head) + data[128:]


def huge_header(random: Random, data: bytes) -> bytes:
    """Somewhere in the header stand four bytes of the largest number."""
    place = int(random.integers(4, 90))
    return (
        data[:place]
        + random.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff"])
        + data[place + 4 :]
    )


def header_alone(random: Random, data: bytes) -> bytes:
    return data[: int(random.choice([4, 12, 28, 44, 64]))]


def renamed(random: Random, data: bytes) -> bytes:
    """A file of another kind that bears the name of a sound file."""
    kinds = [b"%PDF-1.7\n", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"<!doctype html>", b"{}", b"\x1f\x8b\x08\x00"]
    return kinds[int(random.integers(len(kinds)))] + random.bytes(int(random.integers(0, 5_000)))


def unsupported(random: Random, data: bytes) -> bytes:
    """The beginnings of containers that need ffmpeg, with noise behind them."""
    heads = [
        b"\0\0\0\x1cftypM4A ",
        b"\x1aE\xdf\xa3",
        b"0&\xb2u\x8ef\xcf\x11",
        b"RIFF\x99\x99\0\0AVI LIST",
        b"FWS\x09",
        b"MThd\0\0\0\x06",
    ]
    return heads[int(random.integers(len(heads)))] + random.bytes(3_000)


def spliced(random: Random, data: bytes) -> bytes:
    other = CLIPS[FORMS[int(random.integers(len(FORMS)))]]
    return truncated(random, data) + other[int(random.integers(len(other))) :]


def noise(random: Random, data: bytes) -> bytes:
    return random.bytes(int(random.integers(1, 5_000)))


def bad_array(random: Random, data: bytes) -> dict[str, Any]:
    samples = random.uniform(-1, 1, 4_000)
    samples[random.integers(4_000)] = random.choice([np.nan, np.inf, -np.inf, 1e30])
    shape = [(4_000,), (4_000, 1), (2, 2_000), (50, 80), (4_000, 1, 1)][int(random.integers(5))]
    return {"array": samples.reshape(shape), "sampling_rate": float(random.choice([16_000, 8_000, 0, -1, np.nan]))}


def empty(random: Random, data: bytes) -> Any:
    arrays = [
        {"array": np.zeros(shape, np.float32), "sampling_rate": 16_000} for shape in ((0,), (0, 2), (2, 0), (399,))
    ]
    return [b"", io.BytesIO(), *arrays][int(random.integers(6))]


DAMAGES: dict[Callable[[Random, bytes], Any], int] = {
    truncated: 50,
    flipped_bits: 60,
    damaged_header: 40,
    huge_header: 40,
    header_alone: 10,
    renamed: 20,
    unsupported: 15,
    spliced: 25,
    noise: 10,
    bad_array: 20,
    empty: 10,
}
ALWAYS_REFUSED = {header_alone, renamed, unsupported, noise, bad_array, empty}


def bad_inputs() -> list[tuple[Callable, Any]]:
    random = np.random.default_rng(SEED)
    return [
        (damage, damage(random, CLIPS[FORMS[number % len(FORMS)]]))
        for damage, count in DAMAGES.items()
        for number in range(count)
    ]


def loaded(source: Any) -> np.ndarray | AudioError:
    try:
        return load_audio(source)
    except AudioError as error:
        return error


def test_there_are_three_hundred() -> None:
    assert len(bad_inputs()) == 300


@pytest.mark.filterwarnings("ignore::hf_mser.audio.SilenceWarning")
@pytest.mark.parametrize("damage", DAMAGES)
def test_bad_input_gives_a_named_error_or_a_valid_array(damage: Callable) -> None:
    outcomes: collections.Counter[str] = collections.Counter()
    for made_by, source in bad_inputs():
        if made_by is not damage:
            continue
        result = loaded(source)
        if isinstance(result, AudioError):
            assert type(result) is not AudioError
            assert all((result.source, result.cause, result.cure))
            with pytest.raises(type(result)):
                list(iter_windows(source, 1.0, 1.0))
        else:
            assert (result.dtype, result.ndim) == (np.float32, 1)
            assert len(result) >= 399
            assert np.isfinite(result).all()
        outcomes["valid" if isinstance(result, np.ndarray) else type(result).__name__] += 1
    assert sum(outcomes.values()) == DAMAGES[damage]
    if damage in ALWAYS_REFUSED:
        assert not outcomes["valid"], outcomes


def test_a_flac_that_lost_its_end_is_refused_wherever_it_was_cut() -> None:
    data = CLIPS["FLAC", "PCM_16"]
    for part in range(1, 20):
        with pytest.raises(AudioError):
            load_audio(data[: len(data) * part // 20])


def test_a_header_of_thousands_of_channels_needs_no_memory() -> None:
    header = bytearray(CLIPS["WAV", "PCM_16"])
    place = header.index(b"fmt ") + 8
    header[place + 2 : place + 4] = struct.pack("<H", 65_535)
    with pytest.raises(AudioError):
        load_audio(bytes(header))


@pytest.mark.parametrize("rate", [1, 1_999, 800_000, 2**31 - 1])
def test_an_impossible_rate_in_a_header_is_refused(rate: int) -> None:
    header = bytearray(CLIPS["WAV", "PCM_16"])
    place = header.index(b"fmt ") + 8
    header[place + 4 : place + 8] = struct.pack("<I", rate)
    with pytest.raises(audio.SamplingRateError, match=str(rate)):
        load_audio(bytes(header))
