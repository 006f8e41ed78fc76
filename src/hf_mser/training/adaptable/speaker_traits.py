"""What tells speakers apart in the clips' statistics, and emotions not: a linear discriminant of speakers.

Within the clips of one speaker, what differs from emotion to emotion counts many times: traits that it moves would make
groups of emotions out of groups of speakers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...errors import MSERError


class TraitsError(MSERError, ValueError):
    """Clips in which speakers cannot be told apart."""


@dataclass(frozen=True)
class TraitsRecipe:
    """The numbers behind them, chosen on corpora left out inside the training corpora."""

    traits: int = 32
    ridge: float = 0.3
    emotion_weight: float = 30.0  # of what emotions move, beside all else that varies within a speaker
    fewest_clips: int = 8  # of speakers that count


def speaker_traits(
    recipe: TraitsRecipe, statistics: Tensor, corpora: np.ndarray, speakers: np.ndarray, emotions: np.ndarray
) -> Tensor:
    """The weights (traits, layers * 2 * width) that make traits of statistics (clips, layers, 2, width).

    Args:
        recipe: its numbers.
        statistics: of the clips.
        corpora: where each is from; speakers are told apart within their corpus.
        speakers: who speaks in each.
        emotions: their numbers.

    Example:
        >>> who = np.array(["a", "b"] * 20)
        >>> statistics = torch.randn(40, 1, 2, 3) + 9.0 * torch.from_numpy(who == "b")[:, None, None, None]
        >>> recipe = TraitsRecipe(traits=1, fewest_clips=8)
        >>> traits = statistics.flatten(1) @ speaker_traits(recipe, statistics, np.zeros(40), who, np.zeros(40)).T
        >>> bool(traits[::2].std() < (traits[::2].mean() - traits[1::2].mean()).abs() / 4)
        True
    """
    rows = statistics.flatten(1)
    scale = rows.std(0, correction=0).clamp(min=1e-3)
    rows = rows.clone()
    for corpus in np.unique(corpora):
        own = torch.from_numpy(np.flatnonzero(corpora == corpus))
        rows[own] = (rows[own] - rows[own].mean(0)) / rows[own].std(0, correction=0).clamp(min=1e-3)
    basis = None
    if len(rows) < rows.shape[1]:  # all that follows happens among the clips' own combinations
        basis = torch.linalg.qr(rows.T).Q
        rows = rows @ basis
    middles, deviations = [], []  # the deviations' products add up to what differs within speakers
    for speaker in np.unique(speakers):
        spoken = np.flatnonzero(speakers == speaker)
        if len(spoken) < recipe.fewest_clips:
            continue
        clips = rows[torch.from_numpy(spoken)]
        middles.append(clips.mean(0))
        around = clips - middles[-1]
        deviations.append(around / len(spoken) ** 0.5)
        for emotion in np.unique(emotions[spoken]):
            felt = torch.from_numpy(emotions[spoken] == emotion)
            deviations.append((recipe.emotion_weight * felt.float().mean()).sqrt() * around[felt].mean(0)[None])
    if len(middles) < 2:
        raise TraitsError(
            f"Speakers cannot be told apart: {len(middles)} of them have {recipe.fewest_clips} clips. Give each clip's "
            "speaker in the corpora, or lower fewest_clips."
        )
    deviation = torch.cat(deviations)
    within = deviation.T @ deviation / len(middles)
    size = within.trace() / len(scale) / (1 + 0.1 * recipe.emotion_weight)
    within = (1 - recipe.ridge) * within + recipe.ridge * size * torch.eye(len(within))
    # Between speakers as far as possible, within them as little: singular vectors, once within is a ball.
    root = torch.linalg.cholesky(within)
    apart = torch.linalg.solve_triangular(root, torch.stack(middles).T, upper=False)
    directions = torch.linalg.svd(apart, full_matrices=False)[0][:, : recipe.traits]
    weights = torch.linalg.solve_triangular(root.T, directions, upper=True)
    weights = ((weights if basis is None else basis @ weights) / scale[:, None]).T
    # Few speakers differ in few ways; what is missing tells nothing.
    return torch.nn.functional.pad(weights, (0, 0, 0, recipe.traits - len(weights)))
