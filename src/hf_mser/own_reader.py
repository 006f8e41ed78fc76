"""What a domain's own clips teach: a second linear reader, learned without a label.

The clouds (`label_clouds.py`) say of every clip which label it may have. They see the directions that matter in the
training recordings and no others; yet what they say is right often enough to be learned from. A ridge regression of it
on all statistics finds what goes with each label here. No clip is believed about itself: what all the others say of it,
which a ridge regression knows without being repeated, is added to what the clouds say, and that is learned next.

In the same way clips teach who speaks (`speakers.py`).
"""

from typing import NamedTuple

import torch
from torch import Tensor

RIDGE = 0.5
"""How much each clip's own answer is shrunk, against what it has in common with itself (1)."""
STRENGTH = 8.0
"""The deviation of what is added to the clouds' log-probabilities, with very many clips."""
PRIOR_CLIPS = 300.0
"""With so many it is half of that: directions of which there are thousands need many clips."""
ROUNDS = 4
BELIEVED = 0.5
"""How far what is said first is believed, before it is learned from: it is surer than it is right."""
# All chosen on corpora left out inside the training corpora.
SMALLEST_DEVIATION = 1e-2


class OwnReader(NamedTuple):
    """A linear reader of standardised statistics: weights (labels, inputs) and bias (labels)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, values: Tensor) -> Tensor:
        """What it adds to the labels' log-probabilities: (clips, labels)."""
        return torch.nn.functional.linear(values.to(self.weight), self.weight, self.bias)


class Lesson(NamedTuple):
    """What clips teach: a reader, and what it would read from each of them had it learned from all the others."""

    reader: OwnReader
    by_others: Tensor


def learn_from(values: Tensor, said: Tensor) -> Lesson:
    """The reader that clips teach.

    Args:
        values: their standardised statistics (clips, inputs).
        said: log-probabilities of their labels as far as they are known, but for what all labels share (clips, labels).

    Example:

    ```python
    >>> import torch
    >>> from hf_mser.own_reader import learn_from

    >>> values = torch.randn(60, 40, generator=torch.Generator().manual_seed(0))
    >>> values[:30, 0] += 3
    >>> said = torch.zeros(60, 2)
    >>> said[:30, 0] = said[30:, 1] = 1.0
    >>> reader = learn_from(values, said).reader
    >>> int(reader.weight[0].abs().argmax()), bool(reader.weight[0, 0] > 0)
    (0, True)

    ```"""
    said, mean = said.double(), values.mean(0)
    values = values - mean
    count, inputs = values.shape
    alike = (values @ values.T).double() / inputs
    alike.diagonal().add_(RIDGE)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(alike))
    strength = STRENGTH * count / (count + PRIOR_CLIPS)
    by_others, scale = torch.zeros_like(said), 0.0
    for _ in range(ROUNDS):
        wanted = (BELIEVED * said + scale * by_others).softmax(1)
        wanted = wanted - wanted.mean(0)
        dual = inverse @ wanted
        by_others = wanted - dual / inverse.diagonal()[:, None]
        scale = strength / float(by_others.std().clamp(min=SMALLEST_DEVIATION))
    weight = scale * (dual.T.to(values) @ values) / inputs
    return Lesson(OwnReader(weight, -weight @ mean), scale * by_others)


__all__ = ["Lesson", "OwnReader", "learn_from"]
