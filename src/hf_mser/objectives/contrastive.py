"""The emotion-contrastive objective of MSER: clips of one emotion together, of different emotions apart."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .base import UNLABELLED, Objective, ObjectiveError, Parts, emotion_ids, required
from .registry import register


class IdleObjectiveWarning(UserWarning):
    """An objective gave no gradient for a batch, so the batch taught it nothing."""


@register("contrastive")
class EmotionContrastive(Objective):
    """Similarities of equal emotions are pulled to 1, of different emotions pushed below a margin (eq. 1).

    With S the cosine similarity of the speech embeddings i and j, and y = 1 where their emotions agree:

        L = sum_ij  w1 * y_ij * (1 - S_ij)  +  w2 * (1 - y_ij) * max(0, S_ij - m)

    A clip is never its own pair. `reduction="sum"` is the published form, whose size grows with the square
    of the batch; `"mean"` divides it by the number of pairs. Unlabelled clips belong to no pair.

    Args:
        margin: m, the similarity below which different emotions are left alone.
        positive_weight: w1.
        negative_weight: w2.
        reduction: `"mean"` over the ordered pairs, or `"sum"`.

    Example:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> outputs = SimpleNamespace(speech_embeds=torch.eye(2)[[0, 0, 1, 1]])
        >>> batch = {"emotion_id": torch.tensor([0, 0, 1, 1])}
        >>> EmotionContrastive()(outputs, batch)[0].item()  # already perfectly apart
        0.0
    """

    over_pairs: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("speech_embeds",)
    citation: ClassVar[str | None] = "arXiv:2503.21806, eq. 1"

    def __init__(
        self,
        margin: float = 0.2,  # not published
        positive_weight: float = 1.0,  # not published
        negative_weight: float = 1.0,  # not published
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__()
        if not -1.0 <= margin <= 1.0:
            raise ObjectiveError(f"contrastive: margin is {margin}, but a cosine lies between -1 and 1.")
        for name, weight in (("positive_weight", positive_weight), ("negative_weight", negative_weight)):
            if not 0 <= weight < float("inf"):
                raise ObjectiveError(f"contrastive: {name} is {weight}; it must be finite and not negative.")
        if reduction not in ("mean", "sum"):
            raise ObjectiveError(f"contrastive: reduction is {reduction!r}; it is 'mean' or 'sum'.")
        self.margin = margin
        self.positive_weight = positive_weight
        self.negative_weight = negative_weight
        self.reduction = reduction

    def forward(self, outputs: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Parts]:
        embeds, emotions, _ = labelled_clips("contrastive", outputs, batch)
        similarity = cosine_similarities(embeds)
        agree = emotions[:, None] == emotions[None, :]
        positive = agree.clone().fill_diagonal_(False)
        negative = ~agree

        pairs = (similarity.new_ones(()) * (len(emotions) * (len(emotions) - 1))).clamp(min=1)
        scale = 1.0 / pairs if self.reduction == "mean" else pairs.new_ones(())
        attraction = self.positive_weight * scale * ((1.0 - similarity) * positive).sum()
        repulsion = self.negative_weight * scale * (F.relu(similarity - self.margin) * negative).sum()
        loss = attraction + repulsion
        if torch.is_grad_enabled() and embeds.requires_grad:
            self._warn_when_idle(positive, negative, loss)
        with torch.no_grad():
            parts = {
                "loss/contrastive": loss.detach(),
                "loss/positive": attraction.detach(),
                "loss/negative": repulsion.detach(),
                "similarity/positive": mean_where(similarity, positive),
                "similarity/negative": mean_where(similarity, negative),
            }
        return loss, parts

    def _warn_when_idle(self, positive: Tensor, negative: Tensor, loss: Tensor) -> None:
        """A silent contrastive term is the classic failure: single-class batches, or every pair satisfied."""
        if not positive.any() and not negative.any():
            reason = "the batch has no two labelled clips"
        elif not positive.any():
            reason = "no two clips share an emotion"
        elif not negative.any():
            reason = "all clips have the same emotion, so nothing holds the embeddings apart"
        elif loss == 0:
            reason = f"every negative pair already lies below the margin of {self.margin} and every positive at 1"
        else:
            return
        warnings.warn(
            f"The contrastive objective has no (or only a collapsing) gradient: {reason}. Batches need "
            "at least two emotions and two clips of each: use hf_mser.training.EmotionBatchSampler.",
            IdleObjectiveWarning,
            stacklevel=3,
        )

    def extra_repr(self) -> str:
        return (
            f"margin={self.margin}, positive_weight={self.positive_weight}, "
            f"negative_weight={self.negative_weight}, reduction={self.reduction!r}"
        )


def labelled_clips(name: str, outputs: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """What clips are compared by: the embeddings and class ids of the labelled ones, and which of the batch they are.

    Example:
        >>> from types import SimpleNamespace
        >>> batch = {"emotion_id": torch.tensor([3, UNLABELLED])}
        >>> embeds, emotions, labelled = labelled_clips("mine", SimpleNamespace(speech_embeds=torch.eye(2)), batch)
        >>> embeds.tolist(), emotions.tolist(), labelled.tolist()
        ([[1.0, 0.0]], [3], [True, False])
    """
    embeds, emotions = required(outputs, "speech_embeds"), emotion_ids(batch)
    if embeds.ndim != 2 or len(embeds) != len(emotions):
        raise ObjectiveError(
            f"{name}: {len(emotions)} class ids for embeddings of shape {tuple(embeds.shape)}; there must be one "
            "embedding (a row) for each class id."
        )
    labelled = emotions != UNLABELLED
    return embeds[labelled], emotions[labelled], labelled


def cosine_similarities(embeds: Tensor) -> Tensor:
    """All cosine similarities between rows, in at least single precision whatever autocast says.

    In bf16 two near-identical rows differ by less than the type can hold, and `1 - S` would be rounding
    noise.

    Example:
        >>> cosine_similarities(torch.tensor([[3.0, 0.0], [0.0, 2.0]])).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    with torch.autocast(embeds.device.type, enabled=False):
        if embeds.dtype in (torch.float16, torch.bfloat16):
            embeds = embeds.float()
        directions = F.normalize(embeds, dim=-1)
        return directions @ directions.T


def mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of the chosen entries; NaN, and not zero, where none is chosen.

    Example:
        >>> mean_where(torch.tensor([1.0, 3.0, 9.0]), torch.tensor([True, True, False])).item()
        2.0
    """
    return (values * mask).sum() / mask.sum()
