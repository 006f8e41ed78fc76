"""What an analysis takes from a clip: eGeMAPS functionals and contours, and a small spectrogram."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import SAMPLING_RATE, load_audio
from ..evaluation.files import write_bytes
from .shards import M5SERError, read_shard

CONTOURS = {
    "pitch": "F0semitoneFrom27.5Hz_sma3nz",
    "loudness": "Loudness_sma3",
    "spectral tilt": "alphaRatio_sma3",
}
POINTS = 50
"""A contour is read at so many points of the clip's speech, whatever its length."""
MELS, COLUMNS = 40, 32


@dataclass(frozen=True)
class Measured:
    """The clips of a dataset: one entry for each in all fields."""

    languages: np.ndarray
    emotions: np.ndarray
    corpora: np.ndarray
    sources: np.ndarray
    speakers: np.ndarray
    original: np.ndarray
    functionals: np.ndarray
    contours: np.ndarray
    pictures: np.ndarray

    def of(self, chosen: np.ndarray) -> Measured:
        """A part of the clips."""
        return Measured(**{name: values[chosen] for name, values in vars(self).items()})


def measure_dataset(folder: Path, shards: list[str], cache: Path) -> Measured:
    """The measures of all clips; each shard's are kept, so that a killed analysis goes on where it was."""
    from tqdm import tqdm

    extract: Callable[[np.ndarray], tuple[np.ndarray, ...]] | None = None
    parts: list[dict[str, np.ndarray]] = []
    for name in tqdm(shards, unit="file", mininterval=1.0):
        path = cache / f"{name.removeprefix('data/').replace('/', '-')}.npz"
        if not path.is_file():
            extract = extract or extractor()
            write_bytes(path, _packed(folder / name, extract))
        with np.load(path) as stored:
            parts.append(dict(stored))
    return Measured(**{field: np.concatenate([part[field] for part in parts]) for field in parts[0]})


def extractor() -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    """Samples -> (88 functionals, contours at `POINTS` points, log-mel picture)."""
    try:
        import opensmile
    except ModuleNotFoundError as error:
        raise M5SERError("The analysis needs opensmile. Install it with: pip install 'hf-mser[m5ser]'") from error
    egemaps = opensmile.FeatureSet.eGeMAPSv02
    functionals = opensmile.Smile(egemaps, opensmile.FeatureLevel.Functionals)
    frames = opensmile.Smile(egemaps, opensmile.FeatureLevel.LowLevelDescriptors)

    def extract(samples: np.ndarray) -> tuple[np.ndarray, ...]:
        whole = functionals.process_signal(samples, SAMPLING_RATE).to_numpy(np.float32)[0]
        contours = frames.process_signal(samples, SAMPLING_RATE)[list(CONTOURS.values())].to_numpy(np.float32)
        return whole, time_normalised(contours), picture(samples)

    return extract


def time_normalised(contours: np.ndarray) -> np.ndarray:
    """(frames, 3) -> (3, POINTS) over the stretch that is loud; pitch and tilt are bridged over unvoiced frames."""
    pitch, loudness = contours[:, 0], contours[:, 1]
    loud = np.flatnonzero(loudness > 0.2 * loudness.max())
    span = np.linspace(loud[0], loud[-1], POINTS) if len(loud) else np.linspace(0, len(loudness) - 1, POINTS)
    voiced = np.flatnonzero(pitch > 0)
    frames = np.arange(len(pitch))
    rows = []
    for name, values in zip(CONTOURS, contours.T, strict=True):
        known = frames if name == "loudness" or not len(voiced) else voiced
        rows.append(np.interp(span, known, values[known]))
    return np.asarray(rows, dtype=np.float32)


def picture(samples: np.ndarray) -> np.ndarray:
    """A log-mel spectrogram of `MELS` bands and `COLUMNS` columns, whatever the length; its mean level is taken out.

    Example:
        >>> picture(np.random.default_rng(0).normal(size=16_000)).shape
        (40, 32)
    """
    window = np.lib.stride_tricks.sliding_window_view(np.pad(samples, 256), 512)[::160] * np.hanning(512)
    power = np.abs(np.fft.rfft(window)) ** 2
    mel = np.linspace(0, 2595 * np.log10(1 + SAMPLING_RATE / 2 / 700), MELS + 2)
    edges = np.round(700 * (10 ** (mel / 2595) - 1) / SAMPLING_RATE * 512).astype(int)
    bands = np.stack([power[:, low : max(high, low + 1)].mean(1) for low, high in zip(edges, edges[2:], strict=False)])
    decibels = 10 * np.log10(bands + 1e-8)
    columns = np.array_split(decibels, COLUMNS, axis=1) if decibels.shape[1] >= COLUMNS else None
    image = (
        np.stack([column.mean(1) for column in columns], axis=1)
        if columns
        else decibels[:, np.linspace(0, decibels.shape[1] - 1, COLUMNS).round().astype(int)]
    )
    return np.asarray(image - image.mean(), dtype=np.float32)


def _packed(path: Path, extract: Callable[[np.ndarray], tuple[np.ndarray, ...]]) -> bytes:
    rows: list[dict[str, Any]] = []
    measured: list[tuple[np.ndarray, ...]] = []
    for row in read_shard(path):
        measured.append(extract(load_audio(row.pop("audio"))))
        rows.append(row)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        languages=np.array([row["language"] for row in rows]),
        emotions=np.array([row["emotion"] for row in rows]),
        corpora=np.array([row["source_corpus"] for row in rows]),
        sources=np.array([f"{row['source_corpus']}/{row['source_id']}" for row in rows]),
        speakers=np.array([row["speaker"] or f"{row['source_id']}?" for row in rows]),
        original=np.array([row["translator"] is None for row in rows]),
        functionals=np.stack([entry[0] for entry in measured]),
        contours=np.stack([entry[1] for entry in measured]),
        pictures=np.stack([entry[2] for entry in measured]),
    )
    return buffer.getvalue()
