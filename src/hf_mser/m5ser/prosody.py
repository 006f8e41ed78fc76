"""What of a voice is prosody, taken from one clip and given to another: WORLD takes both apart.

Speech moves on two scales. What changes from sound to sound says *which word*; what changes over a fifth of a second
and more says *how*. So everything here is split by one rule: the slow part comes from the source, the fast part from
the plain reading. That holds for the energy in each band (loudness, its contour, spectral tilt, the voice's own
timbre), and for the pitch, where nearly all movement is prosody and only tones belong to the words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..audio import SAMPLING_RATE
from .activity import FRAME_S, pauses, smooth, speech_frames
from .translate import PreflightError, TranslationError

LOWEST_HZ, HIGHEST_HZ = 60.0, 600.0
BANDS = 24
SLOW_S = 0.20
"""Longer than a syllable: movements of this length and more are delivery, not words."""
PITCH_S = 0.04
"""Pitch keeps the source's movement down to this."""
TONE_WEIGHT = {"zh": 0.7}
"""How much of the reading's own pitch movement stays; elsewhere `_ACCENT_WEIGHT`."""
_ACCENT_WEIGHT = 0.25
_MOST_EDGE_S = 1.0
_ROOM_FFT = 1024
_RATE_RANGE = (0.5, 2.0)
_FEWEST_VOICED = 0.05


@dataclass(frozen=True)
class Voice:
    """A clip taken apart, one row for every 5 ms: pitch in Hz (0 = unvoiced), spectral envelope, its bands in dB."""

    pitch: np.ndarray
    envelope: np.ndarray
    bands: np.ndarray

    @property
    def energy(self) -> np.ndarray:
        """dB of each frame."""
        return np.asarray(10 * np.log10(self.envelope.mean(1) + 1e-12))


@dataclass(frozen=True)
class Delivery:
    """How a clip is spoken: everything that a translation keeps."""

    voice: Voice
    noise: np.ndarray
    """Breathiness: WORLD's coded aperiodicity of each frame."""
    speech: np.ndarray
    """Which frames are speech; the others are pauses."""
    room: np.ndarray
    """The power spectrum of the background, from the quietest tenth of the clip."""

    @property
    def seconds(self) -> float:
        """Seconds of speech, pauses left out."""
        return float(self.speech.sum() * FRAME_S)


def take_apart(samples: np.ndarray, recording: bool = False) -> tuple[Voice, np.ndarray]:
    """The voice of a clip and the times of its frames.

    The pitch of a `recording` is looked for with WORLD's careful and slow estimator: the quick one, good enough for
    a synthetic voice, loses most voiced frames in noise.
    """
    vocoder = world()
    sound = np.ascontiguousarray(samples, dtype=np.float64)
    estimate = vocoder.harvest if recording else vocoder.dio
    pitch, times = estimate(sound, SAMPLING_RATE, f0_floor=LOWEST_HZ, f0_ceil=HIGHEST_HZ, frame_period=1000 * FRAME_S)
    pitch = vocoder.stonemask(sound, pitch, times, SAMPLING_RATE)
    envelope = vocoder.cheaptrick(sound, pitch, times, SAMPLING_RATE)
    return Voice(pitch, envelope, 10 * np.log10(envelope @ _band_means() + 1e-12)), times


def deliver(samples: np.ndarray) -> Delivery:
    """How a clip is spoken; a clip in which nobody speaks is a `TranslationError`.

    Example:
        >>> tone = np.sin(2 * np.pi * 200 * np.arange(16_000) / SAMPLING_RATE) * np.hanning(16_000)
        >>> 0.4 < deliver(tone).seconds < 1.0
        True
    """
    voice, times = take_apart(samples, recording=True)
    speech = speech_frames(voice.energy)
    if not speech.any():
        raise TranslationError("no speech was found in the clip, so there is no prosody to carry over")
    vocoder = world()
    noise = vocoder.d4c(np.ascontiguousarray(samples, dtype=np.float64), voice.pitch, times, SAMPLING_RATE)
    return Delivery(voice, vocoder.code_aperiodicity(noise, SAMPLING_RATE), speech, _room(samples))


def nominal_seconds(delivery: Delivery) -> float:
    """How long the words would take in a plain voice, where the words are not known: counted by syllables.

    A syllable is a peak of the loudness that stands 3 dB above the dips around it.
    """
    from scipy.signal import find_peaks

    contour = smooth(delivery.voice.energy, 0.05)
    peaks, _ = find_peaks(contour, prominence=3.0)
    return 0.2 * max(1, int(delivery.speech[peaks].sum()))


def perform(reading: np.ndarray, delivery: Delivery, nominal: float, language: str) -> np.ndarray:
    """Samples of the reading, spoken as the source was.

    Args:
        reading: The plain voice, 16 kHz.
        delivery: How the source is spoken.
        nominal: Seconds that the plain voice takes for the source's words; the source's speaking rate is
            measured by it.
        language: Of the reading: tones keep their own movement of pitch.
    """
    vocoder = world()
    plain, _ = take_apart(reading)
    tempo = float(np.clip(delivery.seconds / nominal, *_RATE_RANGE))
    from_source, from_reading = _time_line(delivery, plain, tempo)
    speaking = from_reading >= 0
    spoken, words = from_source[speaking], from_reading[speaking]

    envelope = np.full((len(from_source), plain.envelope.shape[1]), 1e-12)
    envelope[speaking] = plain.envelope[words] * 10 ** (_gains(plain, delivery, spoken, words) @ _band_slopes() / 10)
    pitch = np.zeros(len(from_source))
    pitch[speaking] = _melody(plain, delivery, language)(spoken, words)
    noise = np.zeros((len(from_source), delivery.noise.shape[1]))
    noise[speaking] = _breath(delivery)[spoken]
    size = 2 * (envelope.shape[1] - 1)
    samples = vocoder.synthesize(
        pitch,
        np.ascontiguousarray(envelope),
        _decoded(noise, pitch, size),
        SAMPLING_RATE,
        1000 * FRAME_S,
    )
    if not np.isfinite(samples).all():
        raise TranslationError("the synthesis gave samples that are not finite")
    samples += _noise(delivery.room, len(samples))
    return np.asarray(_limited(samples), dtype=np.float32)


def _time_line(delivery: Delivery, plain: Voice, tempo: float) -> tuple[np.ndarray, np.ndarray]:
    """For each frame of the result, its frame of the source and of the reading (-1 in a pause).

    Speech advances evenly through both; the source's pauses stand at the same share of the speech, moved to the
    nearest quiet moment of the reading, so that they do not tear a sound.
    """
    spoken = np.flatnonzero(delivery.speech)
    count = max(2, round(len(plain.pitch) * tempo))
    words = np.round(np.linspace(0, len(plain.pitch) - 1, count)).astype(int)
    source = spoken[np.round(np.linspace(0, len(spoken) - 1, count)).astype(int)]
    quiet = smooth(plain.energy, 0.03)[words]
    edge = round(_MOST_EDGE_S / FRAME_S)
    pieces, done = [(np.arange(max(0, spoken[0] - edge), spoken[0]), False)], 0
    for first, last in pauses(delivery.speech):
        share = np.searchsorted(spoken, first) / len(spoken)
        near = np.arange(max(done + 1, round(share * count) - 30), min(count - 1, round(share * count) + 30))
        cut = int(near[np.argmin(quiet[near])]) if len(near) else done
        pieces += [(np.arange(done, cut), True), (np.arange(first, last), False)]
        done = cut
    pieces += [
        (np.arange(done, count), True),
        (np.arange(spoken[-1] + 1, min(len(delivery.speech), spoken[-1] + 1 + edge)), False),
    ]
    from_source = np.concatenate([source[piece] if speaking else piece for piece, speaking in pieces])
    from_reading = np.concatenate([words[piece] if speaking else np.full(len(piece), -1) for piece, speaking in pieces])
    return from_source.astype(int), from_reading.astype(int)


def _gains(plain: Voice, delivery: Delivery, spoken: np.ndarray, words: np.ndarray) -> np.ndarray:
    """dB for each frame and band that replace the reading's slow movement by the source's."""
    slow = np.empty_like(delivery.voice.bands)
    slow[delivery.speech] = _slow(delivery.voice.bands[delivery.speech])
    return np.asarray(slow[spoken] - _slow(plain.bands)[words])


def _slow(bands: np.ndarray) -> np.ndarray:
    """The slow movement of energy in dB: of power, not of its logarithm, which dips to nothing in every closure."""
    return np.asarray(10 * np.log10(smooth(10 ** (bands / 10), SLOW_S) + 1e-12))


def _melody(plain: Voice, delivery: Delivery, language: str) -> Any:
    """Pitch in Hz by frames of the source and of the reading: voiced where the words are voiced."""
    weight = TONE_WEIGHT.get(language, _ACCENT_WEIGHT)
    voiced = delivery.voice.pitch > 0
    if voiced[delivery.speech].mean() < _FEWEST_VOICED:  # whispered
        return lambda spoken, words: np.zeros(len(words))
    contour = smooth(_semitones(delivery.voice.pitch), PITCH_S)
    own = _semitones(plain.pitch) if (plain.pitch > 0).any() else np.zeros(len(plain.pitch))
    accent = weight * (own - smooth(own, SLOW_S))

    def pitch(spoken: np.ndarray, words: np.ndarray) -> np.ndarray:
        hertz = 2 ** ((contour[spoken] + accent[words]) / 12)
        return np.where(plain.pitch[words] > 0, np.clip(hertz, LOWEST_HZ, 1.2 * HIGHEST_HZ), 0.0)

    return pitch


def _breath(delivery: Delivery) -> np.ndarray:
    """The source's aperiodicity, of its voiced frames alone, for every frame."""
    voiced = (delivery.voice.pitch > 0) & delivery.speech
    if not voiced.any():
        return np.zeros_like(delivery.noise)
    frames = np.arange(len(voiced))
    filled = np.stack([np.interp(frames, frames[voiced], band[voiced]) for band in delivery.noise.T], axis=1)
    return smooth(filled, 0.1)


def _room(samples: np.ndarray) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (0, _ROOM_FFT)), _ROOM_FFT)[:: _ROOM_FFT // 4]
    frames = frames[: max(1, len(samples) // (_ROOM_FFT // 4) - 4)]  # without those that the padding reaches into
    energy = (frames**2).sum(1)
    window = np.hanning(_ROOM_FFT)
    quiet = frames[energy <= np.percentile(energy, 10)] * window
    return np.asarray((np.abs(np.fft.rfft(quiet)) ** 2).mean(0) / (window**2).sum())


def _noise(spectrum: np.ndarray, count: int) -> np.ndarray:
    """Noise of a power spectrum: a voice on digital silence sounds like no recording."""
    white = np.fft.rfft(np.random.default_rng(0).normal(size=count))
    shares = np.linspace(0, len(spectrum) - 1, len(white))
    return np.fft.irfft(white * np.sqrt(np.interp(shares, np.arange(len(spectrum)), spectrum)), count)


def _decoded(noise: np.ndarray, pitch: np.ndarray, size: int) -> np.ndarray:
    full = world().decode_aperiodicity(np.ascontiguousarray(noise), SAMPLING_RATE, size)
    full[pitch == 0] = 1.0
    return np.ascontiguousarray(full)


def _semitones(pitch: np.ndarray) -> np.ndarray:
    """Semitones (of 1 Hz), bridged over unvoiced frames, without single frames an octave off."""
    from scipy.ndimage import median_filter

    voiced = np.flatnonzero(pitch > 0)
    values = median_filter(12 * np.log2(pitch[voiced]), size=min(7, len(voiced)), mode="nearest")
    return np.interp(np.arange(len(pitch)), voiced, values)


def _limited(samples: np.ndarray) -> np.ndarray:
    """Peaks are rounded, not cut, and the edges faded."""
    loud = np.abs(samples) > 0.8
    samples[loud] = np.sign(samples[loud]) * (0.8 + 0.19 * np.tanh((np.abs(samples[loud]) - 0.8) / 0.19))
    edge = min(len(samples) // 2, round(0.005 * SAMPLING_RATE))
    samples[:edge] *= np.linspace(0, 1, edge)
    samples[len(samples) - edge :] *= np.linspace(1, 0, edge)
    return samples


@cache
def _mel_edges() -> np.ndarray:
    mel = np.linspace(0, 2595 * np.log10(1 + SAMPLING_RATE / 2 / 700), BANDS + 2)
    return np.asarray(700 * (10 ** (mel / 2595) - 1))


@cache
def _frequencies() -> np.ndarray:
    return np.linspace(0, SAMPLING_RATE / 2, world().get_cheaptrick_fft_size(SAMPLING_RATE) // 2 + 1)


@cache
def _band_means() -> np.ndarray:
    """(bins, bands): the mean power in overlapping triangles on the mel scale."""
    edges, hertz = _mel_edges(), _frequencies()
    rising = (hertz[:, None] - edges[None, :-2]) / np.diff(edges)[None, :-1]
    falling = (edges[None, 2:] - hertz[:, None]) / np.diff(edges)[None, 1:]
    triangles = np.clip(np.minimum(rising, falling), 0, None) + 1e-9
    return np.asarray(triangles / triangles.sum(0))


@cache
def _band_slopes() -> np.ndarray:
    """(bands, bins): what each band's gain does to each bin, linear between the middles of the bands."""
    middles = _mel_edges()[1:-1]
    return np.stack([np.interp(_frequencies(), middles, row) for row in np.eye(BANDS)])


def world() -> Any:
    try:
        import pyworld
    except ModuleNotFoundError as error:
        raise PreflightError("ProsodyTransfer needs pyworld. Install it with: pip install 'hf-mser[m5ser]'") from error
    return pyworld
