"""How sure may a trained model be, and how much do its linear readings count? Clips tell that it did not learn from.

On what it learned from, a model is right and sure. Of other clips one temperature makes its scores as probable as the
truth was, and a weight says how much is added to them: of the readings as it is, of the clouds after adaptation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..adapted_answers import find_labels
from ..connector import statistics_of
from ..label_clouds import LabelClouds
from .adaptable.label_clouds import at_home_in
from .data import Clips

FEWEST_CLIPS = 20
WEIGHTS = np.linspace(0, 1, 21).round(3)
TEMPERATURES = np.geomspace(0.5, 20, 73).round(3)


@dataclass(frozen=True)
class Calibration:
    """A weight of what is added to the scores, and the temperature of their sum."""

    weight: float
    temperature: float

    @classmethod
    def of(
        cls,
        scores: Sequence[Tensor],
        added: Sequence[Tensor] | None,
        truths: Sequence[Tensor],
        weights: Sequence[float] | None = None,
    ) -> Calibration:
        """The one under which the truth is most likely, every corpus (an entry of each) counting the same.

        `weights` are those that come into question, if not all do.

        Example:
            >>> scores, truth = torch.tensor([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0]]), torch.tensor([0, 0, 1])
            >>> Calibration.of([scores], None, [truth])
            Calibration(weight=0.0, temperature=13.275)
        """

        def surprise(candidate: Calibration) -> float:
            logits = [candidate.logits(own, own if added is None else added[place]) for place, own in enumerate(scores)]
            return float(np.mean([F.cross_entropy(own, truth) for own, truth in zip(logits, truths, strict=True)]))

        if weights is None:
            weights = WEIGHTS.tolist() if added is not None else [0.0]
        return min((cls(float(w), float(t)) for w in weights for t in TEMPERATURES), key=surprise)

    def logits(self, scores: Tensor, added: Tensor) -> Tensor:
        """What a softmax makes probabilities of."""
        return (scores + self.weight * added) / self.temperature


def calibrate(trainer: Any, clips: Clips) -> None:
    """Set a trained model's temperature and what its readings add, as it is and in its clouds, by validation clips.

    Of fewer than `FEWEST_CLIPS` nothing is learned.

    Example:
        >>> calibrate(trainer, validation)  # doctest: +SKIP
        >>> trainer.model.config.temperature  # doctest: +SKIP
        1.8
    """
    if len(clips) < FEWEST_CLIPS:
        return
    forget_answers(trainer.model)
    config, names = trainer.model.config, np.array([str(name) for name in clips["corpus"]])
    corpora = [Clips([clips[int(row)] for row in np.flatnonzero(names == name)]) for name in np.unique(names)]
    truths = [torch.tensor([config.labels.index(emotion) for emotion in own["emotion"]]) for own in corpora]
    if not getattr(config, "label_clouds", None):
        scores = [torch.from_numpy(trainer.predict(own).predictions).float() for own in corpora]
        config.temperature = Calibration.of(scores, None, truths).temperature
        return
    clouds, connector = replace(LabelClouds.from_dict(config.label_clouds), weight=1.0), trainer.model.connector
    said: dict[str, list[Tensor]] = {name: [] for name in ("plain", "readings", "adapted", "clouds")}
    for own in corpora:
        heard = _ask(trainer, own)
        said["plain"].append(heard.scores)
        said["readings"].append(connector.readings_of(heard.statistics).cpu())
        traits = connector.traits_of(heard.statistics).cpu() if connector.tells_speakers else None
        with at_home_in(connector, heard.statistics, heard.lengths):
            said["adapted"].append(_ask(trainer, own).scores)
            readings = connector.readings_of(heard.statistics).cpu()
            values = connector.standardized(heard.statistics).flatten(1).cpu()
            said["clouds"].append(find_labels(clouds, values, readings, traits).added(values, readings, traits).float())
    as_it_is = Calibration.of(said["plain"], said["readings"], truths)
    moved = Calibration.of(said["adapted"], said["clouds"], truths)
    config.temperature = as_it_is.temperature
    config.label_weights = (as_it_is.weight * torch.eye(len(config.labels))).tolist()
    config.label_clouds = config.label_clouds | {"weight": moved.weight, "temperature": moved.temperature}


def forget_answers(model: Any) -> None:
    """Drop what was fitted to the answers of a checkpoint: it says nothing of the weights that are learned from it.

    Its clouds stay: they are read from the frozen encoder's statistics.

    Example:
        >>> from hf_mser import load_embedded
        >>> model, _ = load_embedded()
        >>> forget_answers(model)
        >>> model.config.label_weights, model.config.temperature
        (None, 1.0)
    """
    for name in ("label_weights", "label_bias"):
        if hasattr(model.config, name):
            setattr(model.config, name, None)
    model.config.temperature = 1.0
    if hasattr(model.config, "label_clouds"):
        model.connector.forget_domain()


class _Heard(NamedTuple):
    """Clips' statistics, their numbers of frames, and what the LLM alone says of their labels."""

    statistics: Tensor
    lengths: Tensor
    scores: Tensor


@torch.no_grad()
def _ask(trainer: Any, clips: Clips) -> _Heard:
    model, answers = trainer.model.eval(), []
    for _, frames, mask, _ in trainer.frozen_frames(clips):
        with trainer.accelerator.autocast():
            speech = model.connect_speech(speech_frames=frames, speech_frames_mask=mask)
            scores = model.score_emotions(speech_tokens=speech.speech_tokens)
        answers.append((statistics_of(frames, mask), mask.sum(1), scores.float().cpu()))
    return _Heard(*(torch.cat(column) for column in zip(*answers, strict=True)))
