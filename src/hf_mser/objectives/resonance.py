"""The Triple-Resonance Interaction Chain (TRIC) of SERE: labelled and unlabelled clips teach each other.

[paper] names a prototype resonance loss and a dual-instance resonance loss, both essential in its ablation, as parts of
a chain of three; the formulas are not public and are [ours], as are all weights and temperatures.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from .base import UNLABELLED, Objective, ObjectiveError, Parts, emotion_ids, required
from .registry import register
from .resonance_field import confident_emotions, field_readings, own_readings
from .supcon import SupervisedContrastive


@register("triple_resonance")
class TripleResonance(Objective):
    """Prototype resonance + dual-instance resonance + the walk that closes the chain, and a little entropy.

    With c the prototypes, q a clip's own reading and q~ its reading in the field (`resonance_field`):

        L = w_p L_prototype + w_i (L_contrast + L_pairs) + w_w L_walk + w_e L_entropy

    - `L_prototype`: cross-entropy of the labelled clips against the prototypes, and of the unlabelled ones whose q~
      is confident against the emotion that it says; the latter summed and divided by all unlabelled clips.
    - `L_contrast`: `SupervisedContrastive` over the labelled and the confident clips, blind to languages.
    - `L_pairs`: -log(q~_u . q~_v), mean over the pairs that are each other's nearest neighbours, labelled with
      unlabelled and, among the unlabelled, across the two languages. A labelled clip's q~ is its label.
    - `L_walk`: a walk from a labelled clip to an unlabelled one and back must end at the emotion where it began:
      the mean of -log of that probability.
    - `L_entropy`: log K minus the entropy of the mean reading, mean over the languages; 0 where all emotions are read
      equally often.

    A part whose weight is 0 is not computed. A part that finds no rows adds nothing.

    Args:
        prototype: w_p.
        instance: w_i.
        walk: w_w.
        entropy: w_e.
        temperature: T of readings, resonance, contrast and walk.
        field_share: r, the weight of the other clips in q~.
        confidence: how sure q~ must be of an emotion to count as its label.
        largest_share: the part of the unlabelled clips that one emotion may take, in multiples of an equal part.

    Example:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> outputs = SimpleNamespace(speech_embeds=torch.eye(2)[[0, 1, 0, 1]], prototypes=torch.eye(2))
        >>> batch = {"emotion_id": torch.tensor([0, 1, -100, -100]), "language_id": torch.tensor([0, 0, 0, 1])}
        >>> loss, parts = TripleResonance(confidence=0.5)(outputs, batch)
        >>> parts["confident/share"].item()
        1.0
    """

    over_pairs: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("speech_embeds",)
    citation: ClassVar[str | None] = "arXiv:2604.07417, in words; formulas of this package"

    def __init__(
        self,
        prototype: float = 1.0,  # not published
        instance: float = 1.0,  # not published
        walk: float = 1.0,  # not published
        entropy: float = 0.1,  # not published
        temperature: float = 0.1,  # not published
        field_share: float = 0.3,  # not published
        confidence: float = 0.8,  # not published
        largest_share: float = 1.5,  # not published
    ) -> None:
        super().__init__()
        weights = {"prototype": prototype, "instance": instance, "walk": walk, "entropy": entropy}
        for name, weight in weights.items():
            if not 0 <= weight < float("inf"):
                raise ObjectiveError(f"triple_resonance: {name} is {weight}; it must be finite and not negative.")
        if not any(weights.values()):
            raise ObjectiveError("triple_resonance: every part has the weight 0; at least one must be above it.")
        if not 0 < temperature < float("inf"):
            raise ObjectiveError(f"triple_resonance: temperature is {temperature}; it must be finite and above 0.")
        if not 0 <= field_share <= 1 or not 0 <= confidence <= 1:
            raise ObjectiveError(
                f"triple_resonance: field_share is {field_share} and confidence {confidence}; both lie from 0 to 1."
            )
        if not largest_share >= 1:
            raise ObjectiveError(f"triple_resonance: largest_share is {largest_share}; an equal part (1) or more.")
        self.weights = weights
        self.contrast = SupervisedContrastive(temperature, language_weight=1.0)
        self.temperature = temperature
        self.field_share = field_share
        self.confidence = confidence
        self.largest_share = largest_share

    def forward(self, outputs: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Parts]:
        embeds, prototypes = required(outputs, "speech_embeds"), required(outputs, "prototypes")
        emotions, languages = emotion_ids(batch), batch.get("language_id")
        if languages is None or not len(embeds) == len(emotions) == len(languages):
            raise ObjectiveError(
                f"triple_resonance: {len(embeds)} embeddings, {len(emotions)} class ids and "
                f"{'no' if languages is None else len(languages)} language ids; each clip needs one of each."
            )
        labelled = emotions != UNLABELLED
        known, unknown, kinds = embeds[labelled], embeds[~labelled], emotions[labelled]
        tongues = languages[~labelled]
        own = own_readings(unknown, prototypes, self.temperature)
        heard = field_readings(unknown, own, self.temperature, self.field_share)
        guessed = self.guesses(heard)

        losses: dict[str, Tensor] = {}
        if self.weights["prototype"]:
            losses["prototype_labelled"] = _cross_entropy(known, kinds, prototypes, self.temperature)
            losses["prototype_unlabelled"] = _cross_entropy(unknown, guessed, prototypes, self.temperature)
        pairs = embeds.new_zeros(())
        if self.weights["instance"]:
            everyone = SimpleNamespace(speech_embeds=torch.cat([known, unknown]))
            losses["instance_contrast"], _ = self.contrast(everyone, {"emotion_id": torch.cat([kinds, guessed])})
            losses["instance_pairs"], pairs = self._pairs(known, kinds, unknown, heard, tongues)
        if self.weights["walk"]:
            losses["walk"] = walk_loss(known, kinds, unknown, self.temperature)
        if self.weights["entropy"]:
            losses["entropy"] = entropy_loss(own, tongues)

        loss = torch.stack([self.weights[name.split("_")[0]] * value for name, value in losses.items()]).sum()
        parts = {f"loss/{name}": value.detach() for name, value in losses.items()}
        parts["loss/triple_resonance"] = loss.detach()
        parts["confident/share"] = (guessed != UNLABELLED).float().mean()  # NaN where nothing is unlabelled
        parts["pairs"] = pairs
        return loss, parts

    def guesses(self, readings: Tensor) -> Tensor:
        """The emotions that these readings are confident of, `UNLABELLED` for the rest.

        Example:
            >>> TripleResonance(largest_share=2.0).guesses(torch.tensor([[0.9, 0.1], [0.5, 0.5]])).tolist()
            [0, -100]
        """
        return confident_emotions(readings, self.confidence, self.largest_share / readings.shape[1])

    def _pairs(
        self, known: Tensor, kinds: Tensor, unknown: Tensor, heard: Tensor, tongues: Tensor
    ) -> tuple[Tensor, Tensor]:
        """-log of the agreement of mutual nearest neighbours, and how many there are."""
        agreements = []
        if len(known) and len(unknown):
            one, other = mutual_neighbours(known, unknown)
            agreements.append(heard[other, kinds[one]])
        here, there = (tongues == 0).nonzero().flatten(), (tongues != 0).nonzero().flatten()
        if len(here) and len(there):
            one, other = mutual_neighbours(unknown[here], unknown[there])
            agreements.append((heard[here[one]] * heard[there[other]]).sum(1))
        if not agreements:
            return unknown.sum() * 0, unknown.new_zeros(())
        agreement = torch.cat(agreements)
        return -_log(agreement).mean(), unknown.new_tensor(float(len(agreement)))

    def extra_repr(self) -> str:
        weights = ", ".join(f"{name}={weight}" for name, weight in self.weights.items())
        return (
            f"{weights}, temperature={self.temperature}, field_share={self.field_share}, confidence={self.confidence}"
        )


def mutual_neighbours(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of two sets that are each other's nearest: their numbers in the first and in the second set.

    Example:
        >>> one, other = mutual_neighbours(torch.eye(2), torch.tensor([[0.0, 1.0]]))
        >>> one.tolist(), other.tolist()
        ([1], [0])
    """
    similarity = first.detach() @ second.detach().T
    nearest = similarity.argmax(1)
    mutual = similarity.argmax(0)[nearest] == torch.arange(len(first), device=first.device)
    return mutual.nonzero().flatten(), nearest[mutual]


def walk_loss(labelled: Tensor, emotions: Tensor, unlabelled: Tensor, temperature: float) -> Tensor:
    """Labelled -> unlabelled -> labelled: -log of the probability to come back to the emotion of the start, mean.

        P_ij = sum_u softmax_u(z_i . z_u / T) softmax_j(z_u . z_j / T)      L = mean_i -log sum_{j: y_j = y_i} P_ij

    Example:
        >>> walk_loss(torch.eye(2), torch.tensor([0, 1]), torch.eye(2), 0.1).item() < 1e-3
        True
    """
    if not len(labelled) or not len(unlabelled):
        return (labelled.sum() + unlabelled.sum()) * 0
    similarity = labelled @ unlabelled.T / temperature
    there_and_back = similarity.softmax(1) @ similarity.T.softmax(1)
    same = emotions[:, None] == emotions[None, :]
    return -_log((there_and_back * same).sum(1)).mean()


def entropy_loss(readings: Tensor, languages: Tensor) -> Tensor:
    """log K minus the entropy of the mean reading, mean over the languages of the readings.

    Example:
        >>> entropy_loss(torch.eye(2), torch.tensor([0, 0])).abs().item() < 1e-6
        True
    """
    if not len(readings):
        return readings.sum() * 0
    lacks = []
    for language in languages.unique():
        mean = readings[languages == language].mean(0)
        lacks.append((mean * (_log(mean) + torch.log(mean.new_tensor(len(mean))))).sum())
    return torch.stack(lacks).mean()


def _cross_entropy(embeds: Tensor, emotions: Tensor, prototypes: Tensor, temperature: float) -> Tensor:
    """Summed over the rows with an emotion, divided by all rows."""
    if not len(embeds):
        return embeds.sum() * 0
    logits = embeds @ prototypes.T / temperature
    return F.cross_entropy(logits, emotions, ignore_index=UNLABELLED, reduction="sum") / len(embeds)


def _log(probability: Tensor) -> Tensor:
    return probability.clamp(min=torch.finfo(probability.dtype).tiny).log()
