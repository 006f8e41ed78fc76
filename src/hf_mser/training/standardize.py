"""What the connector calls normal: mean and deviation of the training clips' frames, measured before training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

SMALLEST_DEVIATION = 1e-3


def is_standardized(connector: Any) -> bool:
    """False as long as the buffers say nothing: mean 0 and deviation 1 everywhere.

    Example:
        >>> is_standardized(model.connector)  # doctest: +SKIP
        True
    """
    means = [buffer for name, buffer in connector.named_buffers() if name.endswith("_mean")]
    deviations = [buffer for name, buffer in connector.named_buffers() if name.endswith("_std")]
    return any(bool(mean.any()) for mean in means) or any(bool((std != 1).any()) for std in deviations)


@torch.no_grad()
def fit_standardization(
    connector: Any, batches: Iterable[Any], frames_of: Callable[[Any], tuple[Tensor, Tensor]]
) -> int:
    """Set the connector's `frame_*` and `statistics_*` buffers from training clips; returns how many it saw.

    Args:
        connector: the `EmotionQFormer`.
        batches: batches of training clips.
        frames_of: gives a batch's frames (batch, layers, time, width) and their mask.

    Example:
        >>> fit_standardization(model.connector, batches, frames_of)  # doctest: +SKIP
        512
    """
    frames_seen, statistics_seen = _Moments(), _Moments()
    for batch in batches:
        frames, mask = frames_of(batch)
        normalised = torch.nn.functional.layer_norm(frames.float(), frames.shape[-1:])  # as the connector does
        frames_seen.add(normalised.transpose(1, 2)[mask.bool()])
        statistics_seen.add(connector.pool_statistics(normalised, mask))
    for name, moments in (("frame", frames_seen), ("statistics", statistics_seen)):
        if moments.count and hasattr(connector, f"{name}_mean"):
            getattr(connector, f"{name}_mean").copy_(moments.mean())
            getattr(connector, f"{name}_std").copy_(moments.deviation().clamp(min=SMALLEST_DEVIATION))
    return statistics_seen.count


class _Moments:
    """Mean and deviation of rows that come in pieces, in double precision."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0

    def add(self, rows: Tensor) -> None:
        rows = rows.double()
        self.count += len(rows)
        self._sum = self._sum + rows.sum(0)
        self._squares = self._squares + rows.square().sum(0)

    def mean(self) -> Tensor:
        return torch.as_tensor(self._sum) / self.count

    def deviation(self) -> Tensor:
        return (torch.as_tensor(self._squares) / self.count - self.mean().square()).clamp(min=0).sqrt()
