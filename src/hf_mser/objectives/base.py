"""What an objective is, and how objectives add up.

An objective turns a model's outputs and a batch into a loss and into the parts that a person wants to watch.
It knows hyper-parameters only: no model, no trainer, no devices. The trainer hands an objective that compares
clips with one another (`over_pairs`) the embeddings of the *whole* batch, gathered over devices and
accumulated steps; the objective itself is plain mathematics on the rows that it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..errors import MSERError

UNLABELLED = -100
"""The class id of a clip whose emotion is unknown; no objective learns from its label."""

Parts = dict[str, Tensor]


class ObjectiveError(MSERError, ValueError):
    """An objective's hyper-parameters make no sense, or a batch lacks what the objective reads."""


class Objective(nn.Module):
    """The base of every objective: `forward(outputs, batch) -> (loss, parts)`.

    `outputs` is a model's output with named fields, `batch` a mapping of tensors whose `emotion_id` holds
    the class ids (`UNLABELLED` where there is none). `parts` are detached scalars, named as they are
    logged.

    Example:
        >>> from hf_mser.objectives import CrossEntropy, EmotionContrastive
        >>> objective = 2.0 * EmotionContrastive(margin=0.2) + CrossEntropy()
        >>> [(weight, type(term).__name__) for weight, term in objective.terms()]
        [(2.0, 'EmotionContrastive'), (1.0, 'CrossEntropy')]
    """

    over_pairs: ClassVar[bool] = False
    """True when clips are compared with one another: pieces of a batch then do not add up to the batch."""

    reads: ClassVar[tuple[str, ...]] = ()
    """For `over_pairs`: the per-clip output fields (batch first) that it needs of the whole batch."""

    ids: tuple[str, ...] = ()
    """Columns of the data whose values it needs as numbers: `("speaker",)` asks for `speaker_id` in a batch."""

    citation: ClassVar[str | None] = None
    """Where the formula comes from."""

    progress: float = 0.0
    """How much of training is over, from 0 to 1; the trainer keeps it."""

    def forward(self, outputs: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Parts]:
        raise NotImplementedError

    def items(self, batch: Mapping[str, Any]) -> Tensor:
        """How many things the loss is a mean over: the weight of a batch that is a piece of a larger one."""
        return torch.tensor(float(len(emotion_ids(batch))))

    def make_heads(self, counts: Mapping[str, int], embedding_size: int) -> None:
        """Make what depends on the training data: `counts` says how many values each of `ids` has there."""

    def terms(self) -> list[tuple[float, Objective]]:
        """The objective as a flat weighted sum."""
        return [(1.0, self)]

    def __add__(self, other: Objective) -> WeightedSum:
        if not isinstance(other, Objective):
            return NotImplemented
        return WeightedSum([*self.terms(), *other.terms()])

    def __mul__(self, weight: float) -> WeightedSum:
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            return NotImplemented
        return WeightedSum([(weight * own, term) for own, term in self.terms()])

    __rmul__ = __mul__


class WeightedSum(Objective):
    """Objectives that add up; made by `+` and `*` rather than by name.

    Example:
        >>> from hf_mser.objectives import CrossEntropy
        >>> len((CrossEntropy() + 0.5 * CrossEntropy()).terms())
        2
    """

    def __init__(self, terms: list[tuple[float, Objective]]) -> None:
        super().__init__()
        if not terms:
            raise ObjectiveError("An objective needs at least one term, for example cross_entropy.")
        for weight, term in terms:
            if not weight >= 0 or weight == float("inf"):
                raise ObjectiveError(
                    f"The weight of {type(term).__name__} is {weight}; weights are finite and not negative."
                )
        self.weights = [float(weight) for weight, _ in terms]
        self.members = nn.ModuleList(term for _, term in terms)

    def forward(self, outputs: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Parts]:
        total: Tensor | None = None
        parts: Parts = {}
        for weight, term in self.terms():
            loss, own_parts = term(outputs, batch)
            total = weight * loss if total is None else total + weight * loss
            parts |= own_parts
        if total is None:
            raise ObjectiveError("This sum of objectives has lost its terms.")
        return total, parts

    def terms(self) -> list[tuple[float, Objective]]:
        return list(zip(self.weights, self.members, strict=True))  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        return f"weights={self.weights}"


def emotion_ids(batch: Mapping[str, Any]) -> Tensor:
    """The class ids of a batch; an error that says what is missing where a batch has none.

    Example:
        >>> emotion_ids({"emotion_id": torch.tensor([0, 1])}).tolist()
        [0, 1]
    """
    ids = batch.get("emotion_id")
    if ids is None:
        raise ObjectiveError(
            "The batch has no 'emotion_id'. Use hf_mser.training.EmotionCollator, which makes it from the "
            "dataset's 'emotion' column, or add a tensor of class ids (-100 = unlabelled)."
        )
    return ids


def required(outputs: Any, field: str) -> Tensor:
    """One field of a model's output; an error that names the field where the model gave none.

    Example:
        >>> from types import SimpleNamespace
        >>> required(SimpleNamespace(loss=torch.tensor(1.0)), "loss").item()
        1.0
    """
    value = getattr(outputs, field, None)
    if value is None:
        raise ObjectiveError(
            f"The model's output has no '{field}', which this objective reads. "
            f"{'Give the batch labels.' if field == 'loss' else 'Use a model that returns it.'}"
        )
    return value
