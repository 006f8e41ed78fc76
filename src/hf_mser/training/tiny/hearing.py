"""What the student hears of every clip, kept on disk for the connector's lessons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...speech_encoder import TrueLengthWhisperEncoder
from .clips import Spectra, by_length, features
from .lessons import FRAMES_PER_SECOND
from .recording import recorded


@dataclass
class HeardClips:
    """What the student heard of one version of all clips.

    Args:
        frames: normalised, of all clips one behind the other (frames, layers, width); memory-mapped.
        starts, lengths: where each clip's frames are.
        means, stds: of each clip's frames (clips, layers, width).
    """

    frames: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    means: Tensor
    stds: Tensor


def hear(
    student: TrueLengthWhisperEncoder, spectra: Spectra, path: Path, recorded_seed: int | None = None
) -> HeardClips:
    """Run the student over all clips, through random recording conditions if there is a seed for them."""
    layers, width = len(student.layer_indices), student.config.d_model
    lengths = np.minimum(spectra.frames, student.max_source_positions)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    frames = np.memmap(path, np.float16, "w+", shape=(int(lengths.sum()), layers, width))
    means, stds = (torch.zeros(len(lengths), layers, width) for _ in range(2))
    for clips, heard in listening(student, spectra, recorded_seed):
        for row, clip in enumerate(clips):
            own = heard[row, :, : lengths[clip]]
            means[clip], stds[clip] = own.mean(1), (own.var(1, correction=0) + 1e-5).sqrt()
            frames[starts[clip] : starts[clip] + lengths[clip]] = own.transpose(0, 1).numpy()
    return HeardClips(frames, starts, lengths, means, stds)


def listening(
    encoder: TrueLengthWhisperEncoder, spectra: Spectra, seed: int | None = None
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """(clips, normalised frames (batch, layers, time, width)) of an encoder, in batches of similar length."""
    random = None if seed is None else np.random.default_rng(seed)
    longest = encoder.max_source_positions
    for clips in by_length(np.minimum(spectra.frames, longest), 60 * FRAMES_PER_SECOND):
        values = [torch.from_numpy(spectra[clip][: 2 * longest].astype(np.float32)) for clip in clips]
        lengths = torch.tensor([len(value) for value in values])
        log_power = nn.utils.rnn.pad_sequence(values, batch_first=True, padding_value=-10.0).transpose(1, 2)
        mask = torch.arange(log_power.shape[2])[None] < lengths[:, None]
        if random is not None:
            log_power = recorded(10**log_power, mask, random).clamp(min=1e-10).log10()
        with torch.no_grad():
            frames, _ = encoder(features(log_power, mask), mask)
        yield clips, F.layer_norm(frames.float(), frames.shape[-1:])
