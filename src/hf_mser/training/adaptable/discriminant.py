"""A linear discriminant: what parts the emotions best if the clips of each have one normal shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NEVER = -100.0
"""What a discriminant answers for an emotion that nobody showed it."""


def linear_discriminant(
    rows: Tensor, emotions: Tensor, kinds: int, ridge: float, weights: Tensor | None = None
) -> nn.Linear:
    """What parts the emotions best if all have one normal shape, which `ridge` (0 to 1) draws to a ball.

    Args:
        rows: a row of numbers for each clip.
        emotions: the clips' emotions, as numbers below `kinds`.
        kinds: how many emotions there are.
        ridge: how far the shape is drawn to a ball; above 0 where there are fewer rows than columns.
        weights: how much each clip counts; by default all the same.

    Example:
        >>> rows, emotions = torch.tensor([[0.0, 1.0], [0.0, 2.0], [3.0, 0.0]]), torch.tensor([0, 0, 1])
        >>> linear_discriminant(rows, emotions, 2, 0.5)(rows).argmax(1)
        tensor([0, 0, 1])
    """
    weights = torch.full((len(rows),), 1 / len(rows)) if weights is None else weights / weights.sum()
    of_emotions = nn.functional.one_hot(emotions, kinds).to(rows) * weights[:, None]
    shares = of_emotions.sum(0)[:, None]
    heard = shares[:, 0] > 0
    middles = torch.where(heard[:, None], of_emotions.T @ rows / shares.clamp(min=1e-12), weights @ rows)
    around = (rows - middles[emotions]) * weights.sqrt()[:, None]
    ball = ridge * around.square().sum().div(around.shape[1]).clamp(min=1e-6)
    reader = nn.utils.skip_init(nn.Linear, rows.shape[1], kinds).requires_grad_(False)  # nothing is drawn at random
    reader.weight.copy_(_solved((1 - ridge) ** 0.5 * around, ball, middles.T).T)
    reader.bias.copy_(torch.where(heard, -0.5 * (reader.weight * middles).sum(1), NEVER))
    return reader


def _solved(around: Tensor, ball: Tensor, wanted: Tensor) -> Tensor:
    """`(around.T @ around + ball * 1)^-1 @ wanted`, through the smaller of the two products."""
    if around.shape[0] >= around.shape[1]:
        shape = around.T @ around
        shape.diagonal().add_(ball)
        return torch.linalg.solve(shape, wanted)
    products = around @ around.T
    products.diagonal().add_(ball)
    return (wanted - around.T @ torch.linalg.solve(products, around @ wanted)) / ball
