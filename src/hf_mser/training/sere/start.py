"""Where the heads begin [ours]: what is alike for the encoder is alike for the head, before any label is seen.

Five labels per emotion cannot repair a random projection. So the head of the target's encoder begins as the principal
components of clips' mean frames, of both languages; the head of another encoder begins as the regression that says,
from what that encoder hears in the source's clips, what the first head makes of the same clips. Neither needs a label.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .model import FrameHead, ResonanceModel
from .sounds import TaskSounds

GAIN = 0.03  # small enough for GELU to be nearly linear on standardised frames
HALF = 0.5  # GELU's slope at 0


@torch.no_grad()
def start_heads(model: ResonanceModel, sounds: TaskSounds) -> None:
    """Give the heads of a model their first weights, for a task.

    Example:
        >>> start_heads(model, sounds)  # doctest: +SKIP
    """
    first = sounds.test.encoder
    source, target = sounds.source[first].means(), sounds.unlabelled[1].clips.means()
    head = model.head(first)
    together = torch.cat([source - source.mean(0), target - target.mean(0)])
    components = torch.linalg.eigh(together.T @ together).eigenvectors.flip(1)
    size = min(head.second.out_features, len(components))
    set_linear(head, components[:, :size].T)
    for name, heard in sounds.source.items():
        if name != first:
            set_linear(model.head(name), regression(heard.means(), source @ components[:, :size]))


def regression(heard: Tensor, wanted: Tensor) -> Tensor:
    """The matrix (outputs, inputs) of a ridge regression, as strict as the inputs are strong on average.

    Example:
        >>> regression(torch.eye(2) * 100, torch.eye(2)).round(decimals=3).diagonal().tolist()
        [0.003000000026077032, 0.003000000026077032]
    """
    heard, wanted = heard - heard.mean(0), wanted - wanted.mean(0)
    square = heard.T @ heard
    penalty = square.diagonal().mean() * torch.eye(len(square))
    return torch.linalg.solve(square + penalty, heard.T @ wanted).T


def set_linear(head: FrameHead, matrix: Tensor) -> None:
    """Let a head do nearly what a matrix (outputs, inputs) does; what it has beyond that starts idle."""
    rank = min(*matrix.shape, head.first.out_features)
    outputs, scale, inputs = torch.linalg.svd(matrix, full_matrices=False)
    torch.nn.init.orthogonal_(head.first.weight, GAIN)
    head.first.weight[:rank] = GAIN * inputs[:rank]
    head.second.weight.zero_()
    head.second.weight[: len(matrix), :rank] = outputs[:, :rank] * scale[:rank] / (GAIN * HALF)
    head.first.bias.zero_()
    head.second.bias.zero_()
