"""The same recording twice: in two corpora, under two names, in another codec or at another loudness.

Two steps. A fingerprint (how energy moves over bands and time, after silence is cut off and loudness divided
out) finds pairs that might be one recording; then the waveforms themselves, laid over each other at the best
delay, decide: two takes of one sentence by one actor look alike to the fingerprint, but their waves do not
coincide.

Not found: parts of a recording (another cut), and another speed or pitch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ..audio import SAMPLING_RATE, load_audio
from .clips import Clip
from .files import write_array

BANDS, MODULATIONS = 12, 80
"""Bands of the spectrum, and rates of modulation (up to 10 Hz) in each."""
LOWEST_HZ, HIGHEST_HZ = 100.0, 3500.0
"""The part of the spectrum that every speech codec keeps."""
CANDIDATE_SIMILARITY = 0.9
SAME_WAVE = 0.75
"""Coincidence of the waves from which two clips are one recording; lossy codecs leave more than 0.97 of real speech."""
_WINDOW, _HOP, _CIRCLE = 512, 256, 512
_BLOCK = 1024
_FEW = 50
"""With fewer clips their mean says nothing of speech in general, and all likely pairs are compared."""

Load = Callable[[Clip], np.ndarray]


@dataclass(frozen=True)
class Duplicate:
    """Two clips that hold one recording."""

    first: str
    second: str
    coincidence: float


def load_clip(clip: Clip) -> np.ndarray:
    """The samples of a clip."""
    return load_audio(clip.audio)


def find_duplicates(
    clips: Sequence[Clip], load: Load = load_clip, cache: Path | None = None, processes: int = 1
) -> list[Duplicate]:
    """All pairs of clips that hold the same recording.

    Example:
        >>> noise = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
        >>> sound = {"a.wav": noise, "b.wav": 0.1 * noise, "c.wav": noise[::-1]}
        >>> clips = [Clip("mine", name, None, "sad") for name in sound]
        >>> [(pair.first, pair.second) for pair in find_duplicates(clips, lambda clip: sound[clip.name])]
        [('mine/a.wav', 'mine/b.wav')]
    """
    prints = _fingerprints(clips, load, cache, processes)
    waves: dict[int, np.ndarray] = {}

    def wave(position: int) -> np.ndarray:
        if position not in waves:
            if len(waves) > 256:
                waves.clear()
            waves[position] = _banded(load(clips[position]))
        return waves[position]

    found = []
    for first, second in _candidates(prints):
        coincidence = _coincidence(wave(first), wave(second))
        if coincidence >= SAME_WAVE:
            found.append(Duplicate(clips[first].key, clips[second].key, round(coincidence, 4)))
    return found


def recordings(pairs: Sequence[Duplicate]) -> dict[str, str]:
    """Clip -> recording, for every clip that has a twin; twins of twins are the same recording.

    Example:
        >>> recordings([Duplicate("a", "b", 1.0), Duplicate("b", "c", 1.0)])
        {'a': 'a', 'b': 'a', 'c': 'a'}
    """
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    for pair in pairs:
        first, second = sorted((root(pair.first), root(pair.second)))
        parent[second] = first
    return {key: root(key) for key in sorted(parent)}


def fingerprint(samples: np.ndarray) -> np.ndarray:
    """The modulation spectrum: `BANDS * MODULATIONS` values of unit length (0 for silence).

    Example:
        >>> sound = np.random.default_rng(0).normal(size=32_000) * np.hanning(32_000)
        >>> later = 0.2 * np.concatenate([np.zeros(5000), sound])
        >>> float(fingerprint(sound) @ fingerprint(later)) > 0.99
        True
    """
    envelopes = np.sqrt(_band_energies(np.asarray(samples, dtype=np.float64)))
    # A delay turns the circle and leaves the magnitudes as they are; frames of silence add nothing to it.
    turns = -(-envelopes.shape[1] // _CIRCLE)
    padded = np.pad(envelopes, ((0, 0), (0, turns * _CIRCLE - envelopes.shape[1])))
    circle = padded.reshape(BANDS, turns, _CIRCLE).sum(1)
    magnitudes = np.sqrt(np.abs(np.fft.rfft(circle))[:, 1 : MODULATIONS + 1])
    norm = np.linalg.norm(magnitudes)
    return (magnitudes / norm if norm > 0 else magnitudes).ravel().astype(np.float32)


def _band_energies(samples: np.ndarray) -> np.ndarray:
    samples = np.pad(samples, _WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP] * np.hanning(_WINDOW)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges_hz = np.geomspace(LOWEST_HZ, HIGHEST_HZ, BANDS + 1)
    edges = np.round(edges_hz / SAMPLING_RATE * _WINDOW).astype(int)
    # Narrow low bands hold at least one bin each.
    return np.stack([power[:, low : max(high, low + 1)].mean(1) for low, high in pairwise(edges)])


def _candidates(prints: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs that are alike beyond what all speech has in common: the mean fingerprint is taken out."""
    sounding = np.linalg.norm(prints, axis=1) > 0
    centred = prints - (prints[sounding].mean(0) if sounding.sum() > _FEW else 0)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    vectors = np.where(sounding[:, None], centred / np.maximum(norms, 1e-9), 0).astype(np.float32)
    for start in range(0, len(vectors), _BLOCK):
        similar = vectors[start : start + _BLOCK] @ vectors[start:].T
        for row, column in np.argwhere(similar >= CANDIDATE_SIMILARITY).tolist():
            if row < column:
                yield start + row, start + column


def _banded(samples: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(np.asarray(samples, dtype=np.float64))
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLING_RATE)
    spectrum[(hertz < LOWEST_HZ) | (hertz > HIGHEST_HZ)] = 0
    wave = np.fft.irfft(spectrum, len(samples))
    norm = np.linalg.norm(wave)
    return wave / norm if norm > 0 else wave


def _coincidence(first: np.ndarray, second: np.ndarray) -> float:
    """The largest correlation of two waves of unit energy over all delays; a turned polarity counts too."""
    size = 1 << (len(first) + len(second) - 1).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(first, size) * np.conj(np.fft.rfft(second, size)), size)
    return float(np.abs(correlation).max())


def _fingerprints(clips: Sequence[Clip], load: Load, cache: Path | None, processes: int) -> np.ndarray:
    """The fingerprints of all clips, kept corpus by corpus."""
    prints = np.zeros((len(clips), BANDS * MODULATIONS), dtype=np.float32)
    members: dict[str, list[int]] = {}
    for position, clip in enumerate(clips):
        members.setdefault(clip.corpus, []).append(position)
    for positions in members.values():
        prints[positions] = _of_corpus([clips[position] for position in positions], load, cache, processes)
    return prints


def _of_corpus(clips: Sequence[Clip], load: Load, cache: Path | None, processes: int) -> np.ndarray:
    path = cache / f"{clips[0].corpus}-{_digest(clips)}.npy" if cache else None
    if path and path.is_file():
        return np.asarray(np.load(path))
    if processes > 1 and load is load_clip:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            prints = np.stack(list(pool.map(_fingerprint_of, clips, chunksize=64)))
    else:
        prints = np.stack([fingerprint(load(clip)) for clip in clips])
    if path:
        write_array(path, prints)
    return prints


def _fingerprint_of(clip: Clip) -> np.ndarray:
    return fingerprint(load_clip(clip))


def _digest(clips: Sequence[Clip]) -> str:
    """Names the clips and the state of their files: a changed file makes a new entry in the cache."""
    entries = []
    for clip in clips:
        path = clip.audio if isinstance(clip.audio, str) else ""
        state = os.stat(path) if path and os.path.exists(path) else None
        entries.append(f"{clip.key}|{path}|{state.st_size if state else 0}|{state.st_mtime_ns if state else 0}")
    return hashlib.sha256("\n".join(entries).encode()).hexdigest()[:24]
