"""Supervised contrastive learning across languages: the objective of EDRL's first half."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from .base import Objective, ObjectiveError, Parts
from .contrastive import IdleObjectiveWarning, cosine_similarities, labelled_clips, mean_where
from .registry import register


@register("supcon")
class SupervisedContrastive(Objective):
    """Each clip is drawn to those of its emotion, away from all others, and most to those of other languages.

    With P(i) the other clips of i's emotion, A(i) all other clips, s the cosine similarity, and w_ip = lambda_lang
    where the languages of i and p differ, else 1 [paper]:

        L    = mean_i  -1 / (sum_{p in P(i)} w_ip)  sum_{p in P(i)} w_ip log q_ip
        q_ip = exp(s_ip / tau) / sum_{a in A(i)} exp(s_ia / tau)

    A clip without another of its emotion is left out of the mean [ours], unlabelled clips out of everything [ours].

    Args:
        temperature: tau. Not published; 0.07 is the value of the loss' first paper [ours].
        language_weight: lambda_lang [paper]. At 1 the languages of the clips are not asked for.

    Example:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> outputs = SimpleNamespace(speech_embeds=torch.eye(2)[[0, 0, 1, 1]])
        >>> batch = {"emotion_id": torch.tensor([0, 0, 1, 1]), "language_id": torch.tensor([0, 1, 0, 1])}
        >>> round(SupervisedContrastive()(outputs, batch)[0].item(), 4)  # already perfectly apart
        0.0
    """

    over_pairs: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("speech_embeds",)
    citation: ClassVar[str | None] = "arXiv:2606.06200"

    def __init__(
        self,
        temperature: float = 0.07,  # [ours]
        language_weight: float = 2.5,  # [paper]
    ) -> None:
        super().__init__()
        if not 0 < temperature < float("inf"):
            raise ObjectiveError(f"supcon: temperature is {temperature}; it must be above 0.")
        if not 0 < language_weight < float("inf"):
            raise ObjectiveError(f"supcon: language_weight is {language_weight}; it must be above 0.")
        self.temperature = temperature
        self.language_weight = language_weight
        self.ids = () if language_weight == 1 else ("language",)

    def forward(self, outputs: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Parts]:
        embeds, emotions, labelled = labelled_clips("supcon", outputs, batch)
        similarity = cosine_similarities(embeds)
        itself = torch.eye(len(emotions), dtype=torch.bool, device=emotions.device)
        positive = (emotions[:, None] == emotions[None, :]) & ~itself
        weights = positive * self._language_weights(batch, labelled, similarity)

        scores = (similarity / self.temperature).masked_fill(itself, torch.finfo(similarity.dtype).min)
        log_shares = (scores - scores.logsumexp(1, keepdim=True)).masked_fill(~positive, 0.0)
        anchors = positive.any(1)
        totals = weights.sum(1).masked_fill(~anchors, 1.0)
        losses = -(weights * log_shares).sum(1) / totals
        loss = losses[anchors].sum() / anchors.sum().clamp(min=1)
        if torch.is_grad_enabled() and embeds.requires_grad:
            self._warn_when_idle(positive, itself)
        with torch.no_grad():
            parts = {
                "loss/supcon": loss.detach(),
                "similarity/positive": mean_where(similarity, positive),
                "similarity/negative": mean_where(similarity, ~positive & ~itself),
            }
        return loss, parts

    def _language_weights(self, batch: Mapping[str, Any], labelled: Tensor, like: Tensor) -> Tensor:
        if self.language_weight == 1:
            return torch.ones_like(like)
        languages = batch.get("language_id")
        if languages is None:
            raise ObjectiveError(
                "supcon weighs pairs by language, but the batch has no 'language_id'. Give the clips a 'language', or "
                "set language_weight: 1."
            )
        languages = languages[labelled]
        differ = languages[:, None] != languages[None, :]
        return torch.where(differ, like.new_tensor(self.language_weight), like.new_ones(()))

    def _warn_when_idle(self, positive: Tensor, itself: Tensor) -> None:
        if not positive.any():
            reason = "no two labelled clips share an emotion"
        elif (positive | itself).all():
            reason = "all clips have the same emotion, so nothing holds the embeddings apart"
        else:
            return
        warnings.warn(
            f"The supervised contrastive objective has no (or only a collapsing) gradient: {reason}. Batches need at "
            "least two emotions and two clips of each: use hf_mser.training.EmotionBatchSampler.",
            IdleObjectiveWarning,
            stacklevel=3,
        )

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, language_weight={self.language_weight}"
