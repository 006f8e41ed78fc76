"""Adaptation without labels: what a model takes as normal is replaced by what one's own clips sound like.

Emotion is heard as a departure from the ordinary. The connector carries the ordinary of its training recordings
as means and deviations; another language, microphone or room has others. A few dozen clips without labels are
enough to measure them, no weight changes, and it takes seconds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from .audio import iter_windows
from .errors import MSERError

PRIOR_CLIPS = 5.0
"""How many clips the checkpoint's own statistics weigh against the new ones, chosen on held-out training corpora."""

MIN_CLIPS = 2
SMALLEST_DEVIATION = 1e-3


class AdaptationError(MSERError, ValueError):
    """Clips that a model cannot be adapted to."""


@dataclass(frozen=True)
class AdaptationReport:
    """What an adaptation did.

    Args:
        clips: how many windows of audio were heard.
        seconds: their length together.
        weight: how far the statistics moved from the checkpoint's (0) to the clips' own (1).
    """

    clips: int
    seconds: float
    weight: float


@torch.no_grad()
def adapt(
    model: Any,
    processor: Any,
    clips: Iterable[Any],
    *,
    sampling_rate: int | None = None,
    batch_size: int = 16,
    prior_clips: float = PRIOR_CLIPS,
) -> AdaptationReport:
    """Fit the model's statistics to unlabelled clips of its new domain. The model is changed in place.

    Calling it again starts from the statistics of the first call, as those are the model's own by then; load the
    checkpoint anew to start over.

    Args:
        model: an `MSERForEmotionGeneration` or an `MSERForEmotionClassification`.
        processor: its `MSERProcessor` or `MSERSpeechProcessor`.
        clips: audio of any kind that `load_audio` takes, of all emotions that the domain has.
        sampling_rate: the rate of clips that are bare arrays.
        batch_size: how many windows the encoder reads at once.
        prior_clips: how many clips the checkpoint's statistics weigh as much as; 0 replaces them outright.

    Example:
        >>> import numpy as np
        >>> from hf_mser import load_embedded
        >>> from hf_mser.adaptation import adapt
        >>> noise = np.random.default_rng(0).normal(size=(10, 16_000))
        >>> adapt(*load_embedded(), list(noise), sampling_rate=16_000).clips
        10
    """
    connector = model.connector
    if not connector.domain:
        raise AdaptationError(
            "This model keeps no statistics of its training recordings (normalize_frames=False): none can be adapted."
        )
    new = {name: _Moments() for name in ("frame", "statistics")}
    seconds = 0.0
    for windows in _batches(_windows(clips, float(model.config.window_seconds), sampling_rate), batch_size):
        seconds += sum(window.end - window.start for window in windows)
        features, mask = processor.extract_features([window.samples for window in windows])
        frames, frames_mask = model.encode_speech(features.to(model.device), mask.to(model.device))
        if hasattr(model, "adapt_frames"):
            frames = model.adapt_frames(frames, frames_mask)
        frames = torch.nn.functional.layer_norm(frames.float(), frames.shape[-1:])
        heard = frames.transpose(1, 2)
        new["frame"].add(heard.flatten(0, 1) if frames_mask is None else heard[frames_mask.bool()])
        new["statistics"].add(connector.pool_statistics(frames, frames_mask))
    count = new["statistics"].count
    if count < MIN_CLIPS:
        raise AdaptationError(
            f"{count} clip(s) are too few to adapt to: give at least {MIN_CLIPS}, better 30 or more, of all emotions."
        )
    weight = count / (count + prior_clips)
    own = connector.domain
    for name, moments in new.items():
        if f"{name}_mean" in own:
            _move(own[f"{name}_mean"], own[f"{name}_std"], moments, weight)
    return AdaptationReport(clips=count, seconds=seconds, weight=weight)


def _move(mean: torch.Tensor, std: torch.Tensor, moments: "_Moments", weight: float) -> None:
    variance = weight * moments.variance().to(std) + (1 - weight) * std.square()
    mean.copy_(weight * moments.mean().to(mean) + (1 - weight) * mean)
    std.copy_(variance.sqrt().clamp(min=SMALLEST_DEVIATION))


def _windows(clips: Iterable[Any], longest: float, sampling_rate: int | None) -> Iterator[Any]:
    for clip in clips:
        yield from iter_windows(clip, longest, longest, sampling_rate)


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


class _Moments:
    """Mean and variance of rows that come in pieces, in double precision."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Any = 0.0
        self._squares: Any = 0.0

    def add(self, rows: torch.Tensor) -> None:
        rows = rows.double()
        self.count += len(rows)
        self._sum = self._sum + rows.sum(0)
        self._squares = self._squares + rows.square().sum(0)

    def mean(self) -> torch.Tensor:
        return torch.as_tensor(self._sum / self.count)

    def variance(self) -> torch.Tensor:
        return torch.as_tensor(self._squares / self.count - self.mean().square()).clamp(min=0)


__all__ = ["AdaptationError", "AdaptationReport", "adapt"]
