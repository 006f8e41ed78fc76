"""Low or high voice, read linearly from a clip's statistics: it is right in languages that it was not taught in.

Men and women differ in what is ordinary for them more than in anything else. The connector need not know whom it hears
for that; it keeps what is ordinary for low and for high voices apart, each clip counting for both with a share.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

RIDGE = 0.3
"""Per clip: the direction has more numbers than there are clips."""


def voice_gate(statistics: Tensor, genders: Sequence[str | None]) -> tuple[Tensor, Tensor]:
    """Direction (as one clip's statistics) and offset: the sigmoid of their product is the share of a high voice.

    Args:
        statistics: of the clips (clips, layers, 2, width).
        genders: `female` counts as high, `male` as low, others for nothing.

    Example:
        >>> direction, offset = voice_gate(torch.randn(20, 1, 2, 3), ["female", "male"] * 10)
        >>> direction.shape
        torch.Size([1, 2, 3])
    """
    known = np.array([gender in ("female", "male") for gender in genders])
    chosen = statistics[torch.from_numpy(np.flatnonzero(known))]
    if not len(chosen):
        return torch.zeros(statistics.shape[1:]), torch.zeros(())
    high = torch.tensor([float(gender == "female") for gender, told in zip(genders, known, strict=True) if told])
    mean, std = chosen.mean(0), chosen.std(0, correction=0) + 1e-5
    rows = ((chosen - mean) / std).flatten(1)
    # Ridge regression by the clips' products, then a logistic curve along its answers.
    products = rows @ rows.T + RIDGE * len(rows) * torch.eye(len(rows))
    direction = rows.T @ torch.linalg.solve(products, 2 * high - 1)
    slope, shift = _logistic(rows @ direction, high)
    direction = slope * direction.view_as(mean) / std
    return direction, shift - (direction * mean).sum()


def _logistic(values: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and shift under which the truth is most likely, low and high voices counting the same."""
    share = high.mean()
    weights = torch.where(high > 0, 0.5 / share, 0.5 / (1 - share))
    curve = torch.tensor([1.0, 0.0], requires_grad=True)
    optimizer = torch.optim.LBFGS([curve], max_iter=100, line_search_fn="strong_wolfe")

    def surprise() -> Tensor:
        optimizer.zero_grad()
        logits = curve[0] * values + curve[1]
        loss = (weights * F.binary_cross_entropy_with_logits(logits, high, reduction="none")).mean()
        loss = loss + 1e-4 * curve[0].square()  # voices that a line parts completely need no endless slope
        loss.backward()
        return loss

    optimizer.step(surprise)
    slope, shift = curve.detach()
    return slope, shift
