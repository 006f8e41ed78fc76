"""Where the clips of each label lie in another domain, found without a label.

What a linear reader makes of the clips of one label forms a cloud. In recordings of another kind the clouds lie
elsewhere, often some of them closer together, and what is read highest is then often wrong. Where they lie shows
without labels: all readings together are a mixture of clouds, each not far from where the training recordings had it.
Expectation and maximisation find it; to which cloud a clip belongs is then linear in its readings, and is added to what
the LLM says. Where it is known who speaks, how far each person's clips lie off is found in the same rounds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .speakers import divergence

ISOTROPIC = 0.5
"""How far the clouds' common shape is drawn to a ball: it differs from domain to domain."""
SHARPNESS = 2.0
"""How much further apart clouds are taken to be: their clips are to belong to one of them."""
PRIOR_CLIPS_OF_LABEL = 5.0
"""How many clips a label's training cloud weighs as much as."""
PRIOR_CLIPS_OF_SHARE = 30.0
"""How many clips of each label there are beforehand, of all labels the same, when their shares are asked."""
PRIOR_CLIPS_OF_SPEAKER = 40.0
"""How many clips speak for a speaker being like all others."""
CAUTION, CAUTION_AT_FIRST = 1.0, 4.0
"""How much less is believed of a speaker whose clips have other labels than all have (per nat of divergence): speakers
found by traits alone may be emotions in truth, and even those who were told may be folders of one emotion each."""
SMALLEST_SHARE = 1e-6
ROUNDS = 5
# All chosen on corpora left out inside the training corpora.


@dataclass(frozen=True)
class LabelClouds:
    """Where the readings of each label's clips lie; one shape for all labels.

    Args:
        means: the middle of each label's cloud (labels, labels), readings against their mean over labels.
        precision: the inverse of the common covariance (labels, labels).
        weight: how much the clouds' log-probabilities count beside the LLM's scores.
        temperature: what divides both together before they become probabilities.

    Example:

    ```python
    >>> import torch
    >>> from hf_mser.label_clouds import LabelClouds

    >>> readings = torch.tensor([[2.0, 0.0], [3.0, 0.0], [0.0, 2.0], [0.0, 4.0]])
    >>> clouds = LabelClouds.of(readings, torch.tensor([0, 0, 1, 1]))
    >>> clouds.means.tolist()
    [[1.25, -1.25], [-1.5, 1.5]]

    ```"""

    means: Tensor
    precision: Tensor
    weight: float = 1.0
    temperature: float = 1.0

    @classmethod
    def of(cls, readings: Tensor, labels: Tensor) -> "LabelClouds":
        """The clouds of readings (clips, labels) of clips whose labels' numbers are known; each label needs some."""
        readings = _centred(readings.double())
        count = readings.shape[1]
        means = torch.stack([readings[labels == label].mean(0) for label in range(count)])
        around = readings - means[labels]
        covariance = around.T @ around / len(readings)
        ball = covariance.diagonal().mean().clamp(min=1e-6) * torch.eye(count, dtype=torch.float64)
        return cls(means, torch.linalg.inv((1 - ISOTROPIC) * covariance + ISOTROPIC * ball))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "LabelClouds":
        """From a config."""
        means, precision = (torch.tensor(values[name], dtype=torch.float64) for name in ("means", "precision"))
        return cls(means, precision, float(values["weight"]), float(values["temperature"]))

    def to_dict(self) -> dict[str, Any]:
        """For a config."""
        means, precision = ([[round(x, 5) for x in row] for row in of.tolist()] for of in (self.means, self.precision))
        return {"means": means, "precision": precision, "weight": self.weight, "temperature": self.temperature}

    def log_probs(self, log_shares: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (labels, labels) and bias that make readings log-probabilities, but for what all labels share."""
        inward = SHARPNESS * self.means @ self.precision
        return _centred(inward), -0.5 * (inward * self.means).sum(1) + log_shares

    def moved_to(
        self,
        readings: Tensor,
        speakers: Tensor | None = None,
        caution: float = CAUTION,
        labels: Sequence[int] | None = None,
    ) -> "MovedClouds":
        """The clouds that unlabelled clips with these readings (clips, labels) lie in.

        `speakers` is a number for each clip; what is found of them is what their clips' labels do not explain, the less
        the more these differ from all clips' labels. `labels` are the numbers of those that occur, if not all do.
        """
        readings = _centred(readings.to(self.means))
        occurs = torch.ones_like(self.means[:, 0])
        if labels is not None:
            occurs = torch.zeros_like(occurs).index_fill(0, torch.tensor(labels), 1.0)
        clouds, log_shares = self, (occurs / occurs.sum()).log()
        spoken = None if speakers is None else torch.nn.functional.one_hot(speakers).to(readings)
        offsets, own = None, readings
        for _ in range(ROUNDS):
            weights, bias = clouds.log_probs(log_shares)
            belongs = (own @ weights.T + bias).softmax(1)
            if spoken is not None:
                clips = spoken.sum(0)[:, None]
                offsets = spoken.T @ (readings - belongs @ clouds.means) / (clips + PRIOR_CLIPS_OF_SPEAKER)
                offsets = offsets * (-caution * divergence(spoken.T @ belongs / clips, belongs.mean(0))).exp()
                # What all speakers share is the domain's, not theirs.
                offsets = offsets - (clips * offsets).sum(0) / clips.sum()
                own = readings - spoken @ offsets
            clips = belongs.sum(0)
            sums = belongs.T @ own + PRIOR_CLIPS_OF_LABEL * self.means
            clouds = replace(self, means=sums / (clips + PRIOR_CLIPS_OF_LABEL)[:, None])
            shares = clips + PRIOR_CLIPS_OF_SHARE * occurs
            log_shares = (shares / shares.sum()).log()
        return MovedClouds(clouds, log_shares.clamp(min=math.log(SMALLEST_SHARE)), offsets)


@dataclass(frozen=True)
class MovedClouds:
    """Where the clouds lie in a domain.

    Args:
        clouds: the clouds there.
        log_shares: the logarithms of the labels' shares.
        offsets: how far each speaker's readings lie off (speakers, labels), where speakers were told.
    """

    clouds: LabelClouds
    log_shares: Tensor
    offsets: Tensor | None = None

    def answers(self) -> tuple[Tensor, Tensor]:
        """Weights (labels, labels) and bias: what readings, less their speaker's offsets, add to the LLM's scores."""
        weights, bias = self.clouds.log_probs(self.log_shares)
        return self.clouds.weight * weights, self.clouds.weight * bias


def _centred(readings: Tensor) -> Tensor:
    """Against their mean over labels, as a softmax sees them."""
    return readings - readings.mean(-1, keepdim=True)


__all__ = ["LabelClouds", "MovedClouds"]
