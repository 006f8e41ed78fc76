"""A linear reading of the clips' statistics, which the connector learns to put into words.

With few corpora to learn from, what is read linearly carries over to a new one better than anything that bends: where a
new corpus' statistics lie apart, a line goes on as before. So the connector is taught what linear readers say, not
bare labels: those of several seeds on average, and a linear discriminant, which errs elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..adaptable.discriminant import linear_discriminant
from .recipe import ReaderRecipe

WARM_UP = 30


def train_reader(
    recipe: ReaderRecipe, draw: Callable[[int, np.random.Generator], tuple[Tensor, Tensor]], kinds: int
) -> nn.Linear:
    """The mean of several linear readers and of a linear discriminant; that of their answers is the same.

    Args:
        recipe: its numbers.
        draw: gives so many rows of standardised statistics and their emotions' numbers.
        kinds: how many emotions there are.

    Example:
        >>> recipe = ReaderRecipe(steps=5, readers=1)
        >>> train_reader(recipe, lambda count, random: (torch.ones(count, 6), torch.zeros(count).long()), 7)
        Linear(in_features=6, out_features=7, bias=True)
    """
    states = [_one_reader(recipe, draw, kinds, seed) for seed in range(recipe.readers)]
    reader = nn.Linear(states[0]["weight"].shape[1], kinds)
    reader.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    reader.eval().requires_grad_(False)
    if recipe.discriminant_share:
        random = np.random.default_rng(recipe.readers)
        drawn = [draw(recipe.batch, random) for _ in range(max(1, recipe.discriminant_clips // recipe.batch))]
        rows, emotions = (torch.cat(part) for part in zip(*drawn, strict=True))
        discriminant = linear_discriminant(rows, emotions, kinds, recipe.discriminant_ridge)
        # Its answers are as far apart as the others', so that the share means what it says.
        scale = _spread(reader(rows), emotions) / _spread(discriminant(rows), emotions)
        for own, other in zip(reader.parameters(), discriminant.parameters(), strict=True):
            own.lerp_(scale * other, recipe.discriminant_share)
    return reader


def _spread(answers: Tensor, emotions: Tensor) -> Tensor:
    """How far apart the answers are among the emotions that occur."""
    answers = answers[:, emotions.unique()]
    return (answers - answers.mean(1, keepdim=True)).std().clamp(min=1e-6)


def _one_reader(
    recipe: ReaderRecipe, draw: Callable[[int, np.random.Generator], tuple[Tensor, Tensor]], kinds: int, seed: int
) -> dict[str, Tensor]:
    random = np.random.default_rng(seed)
    rows, emotions = draw(recipe.batch, random)
    reader = nn.Linear(rows.shape[1], kinds)
    nn.init.zeros_(reader.weight)
    nn.init.zeros_(reader.bias)
    optimizer = torch.optim.AdamW(reader.parameters(), weight_decay=recipe.weight_decay)
    tail: list[dict[str, Tensor]] = []
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            falling = 0.5 * (1 + np.cos(np.pi * step / recipe.steps))
            group["lr"] = recipe.learning_rate * min(1.0, (step + 1) / WARM_UP) * falling
        loss = F.cross_entropy(reader(rows), emotions)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step >= recipe.steps * (1 - recipe.averaged_share):
            tail.append({name: value.clone() for name, value in reader.state_dict().items()})
        rows, emotions = draw(recipe.batch, random)
    return {name: torch.stack([state[name] for state in tail]).mean(0) for name in tail[0]}
