"""The corpora's clips as mel spectra on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.models.whisper.feature_extraction_whisper import WhisperFeatureExtractor

from ...audio import SAMPLING_RATE, load_audio
from ...emotions import EMOTIONS

BANDS = 80
HOP = 160
WINDOW = 400
LONGEST_SECONDS = 12
QUIETEST = 1e-10


@dataclass(frozen=True)
class Clip:
    """One utterance: where it comes from, its emotion's number (-1: none of the seven), and the speaker's gender."""

    corpus: str
    speaker: str
    emotion: int
    name: str
    gender: str | None = None


class Spectra:
    """Log power mel spectra (bands x 10 ms) of all clips, memory-mapped.

    Every clip has an even number of spectra, two for each frame of the encoder.
    """

    def __init__(self, folder: Path) -> None:
        index = np.load(folder / "spectra.npz")
        self.starts, self.frames = index["starts"], index["frames"]
        self._values = np.memmap(folder / "spectra.f16", np.float16, "r").reshape(-1, BANDS)

    def __getitem__(self, clip: int) -> np.ndarray:
        start, count = self.starts[clip], self.frames[clip]
        return self._values[2 * start : 2 * (start + count)]


def read_clips(folder: Path) -> list[Clip]:
    """The clips that `prepare_spectra` listed."""
    return [Clip(**row) for row in json.loads((folder / "clips.json").read_text(encoding="utf-8"))]


def prepare_spectra(corpora: Sequence[Path], folder: Path) -> None:
    """Write `clips.json` and the clips' spectra, unless they are there."""
    from ...corpora import load_corpus

    if (folder / "spectra.npz").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    clips, starts, frames, position = [], [], [], 0
    with open(folder / "spectra.f16", "wb") as file:
        for path in corpora:
            for row in load_corpus(path):
                emotion = -1 if row["emotion"] is None else int(row["emotion"])
                name = os.path.basename(row["audio"]["path"] or "")
                clips.append(Clip(row["corpus"], f"{row['corpus']}/{row['speaker']}", emotion, name, row["gender"]))
                spectra = log_mel(torch.from_numpy(load_audio(row["audio"])))
                file.write(spectra.half().numpy().tobytes())
                starts.append(position)
                frames.append(len(spectra) // 2)
                position += len(spectra) // 2
    rows = [asdict(clip) for clip in clips]
    (folder / "clips.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    np.savez(folder / "spectra.npz", starts=starts, frames=frames)


def log_mel(samples: Tensor) -> Tensor:
    """Whisper's spectra (time, bands) before its normalisation: decimal logarithms of power."""
    samples = samples[: LONGEST_SECONDS * SAMPLING_RATE]
    if len(samples) < 4 * HOP:
        samples = F.pad(samples, (0, 4 * HOP - len(samples)))
    spectrum = torch.stft(samples, WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True)
    power = _mel_filters() @ spectrum.abs().square()
    even = len(samples) // HOP // 2 * 2
    return power[:, :even].clamp(min=QUIETEST).log10().T


def features(log_power: Tensor, mask: Tensor) -> Tensor:
    """What the encoder reads: each clip's spectra (batch, bands, time) scaled as Whisper does."""
    floor = log_power.masked_fill(~mask[:, None], -10.0)
    loudest = floor.amax((1, 2), keepdim=True)
    return (torch.maximum(floor, loudest - 8) + 4) / 4 * mask[:, None]


def by_length(lengths: np.ndarray, frames_per_batch: float) -> Iterator[np.ndarray]:
    """Numbers of clips in batches of similar length, with so many frames in each, padding included."""
    batch: list[int] = []
    for clip in np.argsort(lengths, kind="stable"):
        if batch and (len(batch) + 1) * lengths[clip] > frames_per_batch:
            yield np.array(batch)
            batch = []
        batch.append(int(clip))
    if batch:
        yield np.array(batch)


def emotions_of(clips: Sequence[Clip]) -> np.ndarray:
    """The clips' emotions as numbers of `EMOTIONS`; -1 for others."""
    numbers = np.array([clip.emotion for clip in clips])
    return np.where(numbers < len(EMOTIONS), numbers, -1)


def _mel_filters() -> Tensor:
    global _FILTERS
    if _FILTERS is None:
        _FILTERS = torch.from_numpy(WhisperFeatureExtractor(feature_size=BANDS).mel_filters).float().T
    return _FILTERS


_FILTERS: Tensor | None = None
