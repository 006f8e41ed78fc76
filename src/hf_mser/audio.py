"""The one door for sound: any source becomes mono float32 at 16 kHz, or a named error.

    load_audio("clip.mp3")                              one array
    iter_windows("meeting.flac", 10.0, 5.0)             windows of hours of sound, in bounded memory

Both read the same stream of blocks: open the source, average the channels, check, resample.
"""

import math
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import soxr

from .audio_decoding import Sound
from .audio_errors import (
    AudioDownloadError,
    AudioError,
    AudioTooLargeError,
    EmptyAudioError,
    ForbiddenAddressError,
    MissingAudioError,
    NonFiniteAudioError,
    SampleRangeError,
    SampleShapeError,
    SamplingRateError,
    SilenceWarning,
    TooShortAudioError,
    TruncatedAudioError,
    UndecodableAudioError,
    UnreadableAudioError,
    UnsupportedSourceError,
    WindowError,
)
from .audio_sources import LOUDEST, open_sound, source_name

__all__ = [
    "AUDIO_SUFFIXES",
    "MIN_SECONDS",
    "SAMPLING_RATE",
    "AudioDownloadError",
    "AudioError",
    "AudioTooLargeError",
    "AudioWindow",
    "EmptyAudioError",
    "ForbiddenAddressError",
    "MissingAudioError",
    "NonFiniteAudioError",
    "SampleRangeError",
    "SampleShapeError",
    "SamplingRateError",
    "SilenceWarning",
    "TooShortAudioError",
    "TruncatedAudioError",
    "UndecodableAudioError",
    "UnreadableAudioError",
    "UnsupportedSourceError",
    "WindowError",
    "is_silent",
    "iter_windows",
    "load_audio",
    "source_name",
]

SAMPLING_RATE = 16_000
"""Hertz of everything that leaves this module."""

MIN_SECONDS = 0.025
"""One analysis frame of the log-mel features; less sound than this has no feature at all."""

MAX_URL_BYTES = 256 << 20
"""Default limit of a download: three hours of mp3 at 192 kbit/s."""

_SUFFIXES = "wav flac ogg oga opus mp3 aif aiff aifc au caf w64 rf64"
_SUFFIXES_WITH_FFMPEG = "m4a mp4 aac webm mka wma amr 3gp"
AUDIO_SUFFIXES = frozenset(f".{suffix}" for suffix in f"{_SUFFIXES} {_SUFFIXES_WITH_FFMPEG}".split())
"""Endings by which a folder's sound files are found; the content alone decides how a file is decoded."""

SILENCE_PEAK_TO_PEAK = 2e-4
"""At most this much movement is silence: six steps of 16-bit sound, which is dither and no recording."""

_LOWEST_RATE, _HIGHEST_RATE = 2_000, 768_000


class AudioWindow(NamedTuple):
    """A stretch of sound: 16 kHz samples from `start` to `end`, in seconds of the source."""

    samples: np.ndarray
    start: float
    end: float


def load_audio(
    source: Any,
    sampling_rate: float | None = None,
    *,
    max_url_bytes: int = MAX_URL_BYTES,
    timeout: float = 60.0,
    allow_private_urls: bool | None = None,
) -> np.ndarray:
    """Any sound as mono float32 samples at 16 kHz.

    Channels are averaged, integer samples are scaled by their type, and the same sound gives the
    same samples whatever kind of source holds it.

    Args:
        source: a path; an http(s) URL; the bytes of a file; a binary file object (read from its beginning);
            a numpy array, torch tensor or list of samples; `{"array" | "raw": …, "sampling_rate": …}`; a row
            `{"bytes": …, "path": …}` of `datasets.Audio(decode=False)`; a torchcodec decoder, as
            `datasets.Audio()` gives. An array is (samples,), (channels, samples) or (samples, channels):
            the axis of at most 32 entries is the channels.
        sampling_rate: of an array that does not bring its own. Encoded sound says it itself.
        max_url_bytes: the most that a URL may deliver.
        timeout: seconds for a whole download, and for each block that ffmpeg decodes.
        allow_private_urls: let URLs lead to loopback and private addresses (default: only if the
            environment says HF_MSER_ALLOW_PRIVATE_URLS=1).

    Raises:
        AudioError: one of its subclasses, naming the source, the cause and the cure.

    Warns:
        SilenceWarning: the sound is digital silence.

    Example:
        >>> import numpy as np
        >>> tone = np.sin(np.arange(8_000) / 5)
        >>> load_audio(tone, sampling_rate=8_000).shape
        (16000,)
    """
    with open_sound(
        source,
        sampling_rate,
        max_url_bytes=max_url_bytes,
        timeout=timeout,
        allow_private_urls=allow_private_urls,
    ) as sound:
        samples = np.concatenate(list(_standard_blocks(sound)))
    if is_silent(samples):
        _warn_silence(source)
    return samples


def iter_windows(
    source: Any,
    window_s: float,
    hop_s: float,
    sampling_rate: float | None = None,
    *,
    max_url_bytes: int = MAX_URL_BYTES,
    timeout: float = 60.0,
    allow_private_urls: bool | None = None,
) -> Iterator[AudioWindow]:
    """Overlapping windows of any sound, in memory that does not grow with its length.

    A window starts every `hop_s` seconds until the sound is covered. The last one has its true
    length; were that less than 25 ms, it starts earlier so that it lasts 25 ms. Sound no longer than
    one window gives one window. Put back at their starts, the windows are exactly what `load_audio` gives.

    The other arguments, errors and the warning are those of `load_audio`; what is wrong further on in the
    sound is raised when the windows get there.

    Example:
        >>> import numpy as np
        >>> tone = np.sin(np.arange(40_000) / 5)
        >>> [(window.start, window.end) for window in iter_windows(tone, 1.0, 1.0, sampling_rate=16_000)]
        [(0.0, 1.0), (1.0, 2.0), (2.0, 2.5)]
    """
    name = source_name(source)
    if not (math.isfinite(window_s) and window_s >= MIN_SECONDS):
        raise WindowError(name, f"a window of {window_s} s is impossible", f"Use at least {MIN_SECONDS} s")
    if not 1 <= hop_s * SAMPLING_RATE <= window_s * SAMPLING_RATE:
        cause = f"a hop of {hop_s} s with windows of {window_s} s is impossible"
        raise WindowError(name, cause, "Use a positive hop that is no longer than the window")

    def windows() -> Iterator[AudioWindow]:
        with open_sound(
            source,
            sampling_rate,
            max_url_bytes=max_url_bytes,
            timeout=timeout,
            allow_private_urls=allow_private_urls,
        ) as sound:
            silent = True
            blocks = _standard_blocks(sound)
            for window in _cut(blocks, round(window_s * SAMPLING_RATE), round(hop_s * SAMPLING_RATE)):
                silent = silent and is_silent(window.samples)
                yield window
        if silent:
            _warn_silence(source)

    return windows()


def is_silent(samples: np.ndarray) -> bool:
    """Whether samples are digital silence (a constant offset is silence too).

    Example:
        >>> import numpy as np
        >>> is_silent(np.full(16_000, 0.1)), is_silent(np.sin(np.arange(16_000)))
        (True, False)
    """
    return samples.size == 0 or float(np.ptp(samples)) <= SILENCE_PEAK_TO_PEAK


def _standard_blocks(sound: Sound) -> Iterator[np.ndarray]:
    """Mono float32 blocks at 16 kHz; together at least 25 ms of finite samples."""
    rate = _checked_rate(sound)
    # A stream gives the same samples however the sound is divided into blocks.
    resampler = None if rate == SAMPLING_RATE else soxr.ResampleStream(rate, SAMPLING_RATE, 1, quality="HQ")
    frames = 0
    for block in sound.blocks:
        mono = _average(block)
        if not np.isfinite(mono).all():
            place = (frames + int(np.argmin(np.isfinite(mono)))) / rate
            cause = f"NaN or infinite samples, the first at {place:.3f} s"
            raise NonFiniteAudioError(sound.name, cause, "Write the sound again, or replace them by numbers")
        if len(mono) and np.abs(mono).max() > LOUDEST:
            cause = f"samples up to {np.abs(mono).max():.3g}, where full scale is 1"
            raise SampleRangeError(sound.name, cause, "Copy the file again, or write it with samples within ±1")
        frames += len(mono)
        yield resampler.resample_chunk(mono) if resampler else mono
    if not frames:
        raise EmptyAudioError(sound.name, "holds no samples", "Record or copy it again")
    if frames < MIN_SECONDS * rate:
        cause = f"lasts {1000 * frames / rate:.1f} ms"
        raise TooShortAudioError(sound.name, cause, f"Use at least {1000 * MIN_SECONDS:.0f} ms of sound")
    if resampler:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _checked_rate(sound: Sound) -> float:
    try:
        rate = float(sound.rate)
    except (TypeError, ValueError):
        rate = math.nan
    if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
        cause = f"a sampling rate of {sound.rate} Hz is impossible"
        raise SamplingRateError(sound.name, cause, f"Use {_LOWEST_RATE} to {_HIGHEST_RATE} Hz")
    return rate


def _average(block: np.ndarray) -> np.ndarray:
    """Channels to one, in float64 so that neither order nor memory layout shows in the result."""
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float64).astype(np.float32)


def _cut(blocks: Iterator[np.ndarray], window: int, hop: int) -> Iterator[AudioWindow]:
    """Windows of a stream of blocks; no more than one window and one block is held."""
    held = np.zeros(0, np.float32)
    first = start = 0  # positions in the whole: of held[0], and of the next window
    minimum = math.ceil(MIN_SECONDS * SAMPLING_RATE)
    for block in blocks:
        held = np.concatenate([held, block])
        while first + len(held) > start + window:  # more follows, so this window is not the last
            yield _window(held, first, start, start + window)
            start += hop
        keep = max(0, start - minimum - first)  # a very short last window reaches back this far
        held, first = held[keep:], first + keep
    end = first + len(held)
    yield _window(held, first, min(start, max(0, end - minimum)), end)


def _window(held: np.ndarray, first: int, start: int, end: int) -> AudioWindow:
    samples = held[start - first : end - first].copy()
    return AudioWindow(samples, start / SAMPLING_RATE, end / SAMPLING_RATE)


def _warn_silence(source: Any) -> None:
    message = f"{source_name(source)}: digital silence; the answer says nothing about a speaker."
    warnings.warn(message, SilenceWarning, stacklevel=3)
