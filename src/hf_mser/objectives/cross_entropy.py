"""The cross-entropy of the emotion word (or class), as the model itself computes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from .base import UNLABELLED, Objective, Parts, emotion_ids, required
from .registry import register


@register("cross_entropy")
class CrossEntropy(Objective):
    """The mean cross-entropy over the label tokens, or over clips for a classification head (eq. 2's L_ce).

    The model computes it on the label positions alone, which saves the logits of all others; this objective
    names it, weights it and counts what it is a mean over.

    Example:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> loss, parts = CrossEntropy()(SimpleNamespace(loss=torch.tensor(0.5)), {})
        >>> parts
        {'loss/cross_entropy': tensor(0.5000)}
    """

    citation: ClassVar[str | None] = "arXiv:2503.21806, eq. 2"

    def forward(self, outputs: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Parts]:
        loss = required(outputs, "loss")
        return loss, {"loss/cross_entropy": loss.detach()}

    def items(self, batch: Mapping[str, Any]) -> Tensor:
        labels = batch.get("labels")
        if labels is None:
            labels = emotion_ids(batch)
        # A causal language model predicts token i + 1 from token i: the first position is never a target.
        targets = labels[:, 1:] if labels.ndim == 2 else labels
        return (targets != UNLABELLED).sum().float()
