"""The loss of one optimiser step, exact over accumulated batches and over devices.

An objective that compares clips must see all clips of the step. Where these do not fit into one forward pass,
gradients are cached (GradCache, arXiv:2101.06983): a first pass without graphs makes the embeddings of all clips,
the objective gives the gradient of each embedding, and the ordinary passes carry these gradients back into the model.
Objectives that are means over clips or tokens are weighted by their share instead. Either way the gradient is that
of one large batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ..objectives import Objective
from .gather import gather_rows

Batch = Mapping[str, Any]


class Fields:
    """A few output fields, by name: what an objective over pairs sees of a whole step."""

    def __init__(self, fields: Mapping[str, Tensor]) -> None:
        vars(self).update(fields)


class StepLoss:
    """An objective, evaluated piece by piece over one optimiser step.

    Args:
        objective: what is minimised.
        batches: the prepared batches of this process that make up the step.
        embed: gives the fields that pairwise terms read, for one batch; used only when there are several batches.

    Example:
        >>> step = StepLoss(objective, [batch], embed)  # doctest: +SKIP
        >>> loss, parts = step.loss_of(0, model(**batch))  # doctest: +SKIP
    """

    def __init__(
        self, objective: Objective, batches: Sequence[Batch], embed: Callable[[Batch], Mapping[str, Tensor]]
    ) -> None:
        self.batches = batches
        self.over_pairs = [(weight, term) for weight, term in objective.terms() if term.over_pairs]
        self.over_clips = [(weight, term) for weight, term in objective.terms() if not term.over_pairs]
        self.processes = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
        self._totals = [self._total_items(term) for _, term in self.over_clips]
        self._random_states: list[Any] = []
        self._gradients: list[dict[str, Tensor]] = []
        self._learned: list[tuple[Tensor, Tensor]] = []  # what terms over pairs learn themselves, and its gradient
        self._pairs_value: Tensor | None = None
        self._pairs_parts: dict[str, Tensor] = {}
        if len(batches) > 1 and self.over_pairs:
            self._cache_gradients(embed)

    def loss_of(self, position: int, outputs: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The share of the step's loss that one batch answers for; shares add up to the loss of the step.

        The parts are shares, too: they add up over the batches of a step.
        """
        batch = self.batches[position]
        loss: Tensor | None = None
        parts: dict[str, Tensor] = {}
        for (weight, term), total in zip(self.over_clips, self._totals, strict=True):
            own, own_parts = term(outputs, batch)
            share = self._share(term, batch, total)
            loss = _add(loss, weight * share * own)
            parts |= {name: share * part for name, part in own_parts.items()}
        if self.over_pairs:
            own, own_parts = self._pairs_of(position, outputs)
            loss = _add(loss, own)
            parts |= own_parts
        if loss is None:
            raise ValueError("The objective has no terms.")
        return loss, parts

    def restore_random_state(self, position: int) -> None:
        """Make the next forward pass draw the dropout masks that the first pass drew."""
        if self._random_states:
            _set_random_state(self._random_states[position])

    # Means over clips

    def _total_items(self, term: Objective) -> Tensor:
        total = torch.stack([term.items(batch).float() for batch in self.batches]).sum()
        if self.processes > 1:
            total = total.to(_device_of(self.batches[0]))
            dist.all_reduce(total)
        return total.clamp(min=1)

    def _share(self, term: Objective, batch: Batch, total: Tensor) -> Tensor:
        # Gradients are averaged over processes afterwards; the factor turns the average into a sum.
        return term.items(batch).to(total) * self.processes / total

    # Comparisons of clips

    def _pairs_of(self, position: int, outputs: Any) -> tuple[Tensor, dict[str, Tensor]]:
        if not self._gradients:
            fields = {name: gather_rows(getattr(outputs, name)) for name in self._reads()}
            return self._evaluate_pairs(fields)
        cached = [(getattr(outputs, name).float(), gradient) for name, gradient in self._gradients[position].items()]
        if position == 0:  # the gradient of a whole step: once is enough
            cached += self._learned
        surrogate = torch.stack([(value * gradient).sum() for value, gradient in cached]).sum()
        if self._pairs_value is None:
            raise ValueError("Gradients were cached without a value.")
        value = self._pairs_value / len(self.batches)
        parts = {name: part / len(self.batches) for name, part in self._pairs_parts.items()}
        return surrogate + (value - surrogate).detach(), parts

    def _cache_gradients(self, embed: Callable[[Batch], Mapping[str, Tensor]]) -> None:
        leaves: list[dict[str, Tensor]] = []
        for batch in self.batches:
            self._random_states.append(_random_state(_device_of(batch)))
            with torch.no_grad():
                fields = embed(batch)
            leaves.append({name: fields[name].detach().float().requires_grad_() for name in self._reads()})
        whole = {name: gather_rows(torch.cat([leaf[name] for leaf in leaves])) for name in self._reads()}
        with torch.enable_grad():
            loss, parts = self._evaluate_pairs(whole)
            names = self._reads()
            learned = [weight for _, term in self.over_pairs for weight in term.parameters() if weight.requires_grad]
            embedded = [leaf[name] for leaf in leaves for name in names]
            flat = torch.autograd.grad(loss, [*embedded, *learned], allow_unused=True, materialize_grads=True)
        rest = iter(flat)
        self._gradients = [{name: next(rest) for name in names} for _ in leaves]
        self._learned = list(zip(learned, rest, strict=True))
        self._pairs_value, self._pairs_parts = loss.detach(), parts

    def _evaluate_pairs(self, fields: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        whole = self._whole_batch()
        total: Tensor | None = None
        parts: dict[str, Tensor] = {}
        for weight, term in self.over_pairs:
            loss, own_parts = term(Fields(fields), whole)
            total = _add(total, weight * loss)
            parts |= own_parts
        if total is None:
            raise ValueError("No term compares clips.")
        return total, parts

    def _whole_batch(self) -> dict[str, Tensor]:
        """What a batch says about its clips (class ids and the like), of all batches and processes."""
        first = self.batches[0]
        rows = len(first["emotion_id"])
        names = [
            name
            for name, value in first.items()
            if isinstance(value, Tensor) and value.ndim == 1 and len(value) == rows and not value.is_floating_point()
        ]
        return {name: gather_rows(torch.cat([batch[name] for batch in self.batches])) for name in names}

    def _reads(self) -> list[str]:
        return sorted({name for _, term in self.over_pairs for name in term.reads})


def _add(total: Tensor | None, more: Tensor) -> Tensor:
    return more if total is None else total + more


def _device_of(batch: Batch) -> torch.device:
    return next(value.device for value in batch.values() if isinstance(value, Tensor))


def _random_state(device: torch.device) -> tuple[Tensor, tuple[torch.device, Tensor] | None]:
    on_device = (device, torch.cuda.get_rng_state(device)) if device.type == "cuda" else None
    return torch.get_rng_state(), on_device


def _set_random_state(state: tuple[Tensor, tuple[torch.device, Tensor] | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1][1], state[1][0])
