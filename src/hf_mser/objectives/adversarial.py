"""Embeddings that do not tell the speaker: a speaker classifier behind a reversed gradient, EDRL's second half."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import UNLABELLED, Objective, ObjectiveError, Parts, required
from .registry import register

RAMP_STEEPNESS = 10.0  # of DANN (arXiv:1505.07818)


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, coefficient: float) -> Tensor:
        context.coefficient = coefficient
        return values.view_as(values)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -context.coefficient * gradients[0], None


def reverse_gradient(values: Tensor, coefficient: float = 1.0) -> Tensor:
    """The same values; what flows back changes its sign and is scaled.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> reverse_gradient(3 * x, 0.5).sum().backward()
        >>> x.grad.tolist()
        [-1.5, -1.5]
    """
    return _Reversal.apply(values, coefficient)


@register("speaker_adversarial")
class SpeakerAdversary(Objective):
    """Cross-entropy of a speaker classifier that learns to know the speakers, while the model learns to hide them.

    The classifier is: gradient reversal, linear, ReLU, dropout, linear [paper], as many speakers as training has. It
    reads the embedding brought to mean 0 and deviation 1 over its dimensions, so that its length tells nothing [ours].
    Its weight in the sum of objectives is 0.3 [paper]. Watch `accuracy/speaker` fall towards chance.

    Args:
        coefficient: what the reversed gradient is multiplied by [ours: 1].
        schedule: `"constant"`, or `"ramp"`: DANN's rise from 0 to the coefficient over training.
        hidden_size: width of the classifier [ours: 256].
        dropout: in the classifier [ours: 0.1].

    Example:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> adversary = SpeakerAdversary(hidden_size=8)
        >>> adversary.make_heads({"speaker": 3}, embedding_size=4)
        >>> batch = {"speaker_id": torch.tensor([0, 1, 2, -100])}
        >>> sorted(adversary(SimpleNamespace(speech_embeds=torch.randn(4, 4)), batch)[1])
        ['accuracy/speaker', 'loss/speaker', 'reversal']
    """

    ids = ("speaker",)
    citation: ClassVar[str | None] = "arXiv:2606.06200"

    def __init__(
        self,
        coefficient: float = 1.0,  # [ours]
        schedule: Literal["constant", "ramp"] = "constant",  # [ours]
        hidden_size: int = 256,  # [ours]
        dropout: float = 0.1,  # [ours]
    ) -> None:
        super().__init__()
        if not 0 <= coefficient < float("inf"):
            raise ObjectiveError(f"speaker_adversarial: coefficient is {coefficient}; it must not be negative.")
        if schedule not in ("constant", "ramp"):
            raise ObjectiveError(f"speaker_adversarial: schedule is {schedule!r}; it is 'constant' or 'ramp'.")
        if hidden_size < 1 or not 0 <= dropout < 1:
            raise ObjectiveError("speaker_adversarial: hidden_size is at least 1, dropout from 0 to below 1.")
        self.coefficient = coefficient
        self.schedule = schedule
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.classifier: nn.Sequential | None = None

    def make_heads(self, counts: Mapping[str, int], embedding_size: int) -> None:
        """The classifier, for as many speakers as there are; one that is there already stays."""
        if counts["speaker"] < 2:
            raise ObjectiveError(
                f"speaker_adversarial: the training clips name {counts['speaker']} speakers; it takes at least two."
            )
        if self.classifier is None:
            self.classifier = nn.Sequential(
                nn.Linear(embedding_size, self.hidden_size),
                nn.ReLU(),
                nn.Dropout(self.dropout),
                nn.Linear(self.hidden_size, counts["speaker"]),
            )

    @property
    def reversal(self) -> float:
        """What the gradient is multiplied by now, up to its sign."""
        if self.schedule == "constant":
            return self.coefficient
        return self.coefficient * (2.0 / (1.0 + math.exp(-RAMP_STEEPNESS * self.progress)) - 1.0)

    def forward(self, outputs: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Parts]:
        embeds, speakers = required(outputs, "speech_embeds"), self._speakers(batch)
        if self.classifier is None:
            raise ObjectiveError("speaker_adversarial has no classifier yet: call make_heads, as MSERTrainer does.")
        known = speakers != UNLABELLED
        with torch.autocast(embeds.device.type, enabled=False):
            seen = F.layer_norm(embeds[known].float(), embeds.shape[-1:])
            logits = self.classifier(reverse_gradient(seen, self.reversal))
            loss = F.cross_entropy(logits, speakers[known], reduction="sum") / known.sum().clamp(min=1)
        with torch.no_grad():
            right = (logits.argmax(1) == speakers[known]).sum() / known.sum().clamp(min=1)
            parts = {
                "loss/speaker": loss.detach(),
                "accuracy/speaker": right,
                "reversal": loss.new_tensor(self.reversal),
            }
        return loss, parts

    def items(self, batch: Mapping[str, Any]) -> Tensor:
        return (self._speakers(batch) != UNLABELLED).sum().float()

    @staticmethod
    def _speakers(batch: Mapping[str, Any]) -> Tensor:
        speakers = batch.get("speaker_id")
        if speakers is None:
            raise ObjectiveError(
                "speaker_adversarial: the batch has no 'speaker_id'. Give clips a 'speaker'; MSERTrainer numbers them."
            )
        return speakers

    def extra_repr(self) -> str:
        return f"coefficient={self.coefficient}, schedule={self.schedule!r}"
