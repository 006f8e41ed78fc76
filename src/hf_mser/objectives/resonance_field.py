"""SERE's emotion-semantic structure and its Instantaneous Resonance Field: prototypes, highlights, readings.

[paper] SERE (arXiv 2604.07417) describes the two in words: a structure is built from five labelled samples per emotion,
and unlabelled samples organise themselves into it by their similarity at moments of emotional highlight. Its formulas
are not public: every formula here is a reading of those words, [ours].

Everything works on rows: embeddings of clips are unit vectors, prototypes are unit vectors, one for each emotion.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .base import UNLABELLED, ObjectiveError


def prototypes_of(embeds: Tensor, emotions: Tensor, count: int) -> Tensor:
    """One direction for each emotion: the normalised mean of its labelled embeddings [ours].

    Example:
        >>> prototypes_of(torch.eye(2), torch.tensor([1, 0]), 2).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    sums, held = _sums_of_classes(embeds, emotions, count)
    if not bool(held.all()):
        missing = (~held).nonzero().flatten().tolist()
        raise ObjectiveError(
            f"resonance: no labelled clip has the emotion number {missing[0]}, so it has no prototype. Every emotion "
            "needs labelled clips."
        )
    return F.normalize(sums, dim=-1)


def moved_prototypes(prototypes: Tensor, embeds: Tensor, emotions: Tensor, momentum: float) -> Tensor:
    """The exponential moving average of the prototypes [ours]: an emotion without a clip here stays where it is.

    Example:
        >>> moved = moved_prototypes(torch.eye(2), torch.tensor([[0.0, 1.0]]), torch.tensor([0]), 0.5)
        >>> moved.round(decimals=2).tolist()
        [[0.7099999785423279, 0.7099999785423279], [0.0, 1.0]]
    """
    sums, held = _sums_of_classes(embeds, emotions, len(prototypes))
    moved = F.normalize(momentum * prototypes + (1 - momentum) * F.normalize(sums, dim=-1), dim=-1)
    return torch.where(held[:, None], moved, prototypes)


def pooled_by_highlights(frames: Tensor, owner: Tensor, clips: int, prototypes: Tensor, temperature: float) -> Tensor:
    """Embeddings of clips, in which the frames that are nearest to any emotion count most [ours].

        a_t = softmax_t( max_k cos(f_t, c_k) / T )        z = norm( sum_t a_t f_t )

    Args:
        frames: unit vectors, those of all clips one after another.
        owner: for each frame, the number of its clip.
        clips: how many clips there are.
        prototypes: one unit vector for each emotion.
        temperature: T; infinity weighs all frames alike.

    Example:
        >>> frames = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> pooled_by_highlights(frames, torch.tensor([0, 0]), 1, torch.tensor([[1.0, 0.0]]), 0.1)[0, 0] > 0.999
        tensor(True)
    """
    score = (frames @ prototypes.T).amax(1) / temperature
    highest = score.new_full((clips,), -torch.inf).scatter_reduce(0, owner, score.detach(), "amax")
    weight = (score - highest[owner]).exp()  # the sum of the weights is lost in the normalisation below
    pooled = frames.new_zeros(clips, frames.shape[1]).index_add(0, owner, weight[:, None] * frames)
    return F.normalize(pooled, dim=-1)


def own_readings(embeds: Tensor, prototypes: Tensor, temperature: float) -> Tensor:
    """What each clip alone says of its emotion: q_u = softmax_k(z_u . c_k / T) [ours].

    Example:
        >>> own_readings(torch.eye(2), torch.eye(2), 0.1).argmax(1).tolist()
        [0, 1]
    """
    return (embeds @ prototypes.T / temperature).softmax(1)


def field_readings(embeds: Tensor, own: Tensor, temperature: float, share: float) -> Tensor:
    """What each clip says once its resonance with the others is heard, too [ours].

        R_uv = softmax_v( z_u . z_v / T ), u != v        q~_u = (1 - r) q_u + r sum_v R_uv q_v

    Args:
        embeds: unit vectors of unlabelled clips.
        own: their own readings q.
        temperature: T.
        share: r; 0 leaves the own readings as they are.

    Example:
        >>> own = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> field_readings(torch.eye(2), own, 0.1, 0.25).tolist()
        [[0.75, 0.25], [0.25, 0.75]]
    """
    if share == 0 or len(embeds) < 2:
        return own
    similarity = embeds @ embeds.T / temperature
    alone = torch.eye(len(embeds), dtype=torch.bool, device=embeds.device)
    resonance = similarity.masked_fill(alone, -torch.inf).softmax(1)
    return (1 - share) * own + share * (resonance @ own)


def confident_emotions(readings: Tensor, confidence: float, largest_share: float = 1.0) -> Tensor:
    """The emotion of each reading that is sure enough, `UNLABELLED` for the others [ours].

    The guard against collapse: no emotion takes more than `largest_share` of the rows. Where more are confident,
    the surest keep their emotion.

    Example:
        >>> confident_emotions(torch.tensor([[0.9, 0.1], [0.6, 0.4]]), 0.8).tolist()
        [0, -100]
    """
    sureness, emotions = readings.detach().max(1)
    most = max(1, int(largest_share * len(readings)))
    # The rank of each row among those of its emotion, the surest first.
    surer = (sureness[None, :] > sureness[:, None]) | (
        (sureness[None, :] == sureness[:, None]) & _earlier(len(sureness), sureness.device)
    )
    rank = (surer & (emotions[None, :] == emotions[:, None])).sum(1)
    return emotions.masked_fill((sureness < confidence) | (rank >= most), UNLABELLED)


def _earlier(count: int, device: torch.device) -> Tensor:
    """Among equals the first row wins."""
    return torch.ones(count, count, dtype=torch.bool, device=device).tril(-1)


def _sums_of_classes(embeds: Tensor, emotions: Tensor, count: int) -> tuple[Tensor, Tensor]:
    labelled = emotions != UNLABELLED
    sums = embeds.new_zeros(count, embeds.shape[1]).index_add(0, emotions[labelled], embeds[labelled])
    return sums, torch.bincount(emotions[labelled], minlength=count) > 0
