"""What learns in SERE: a small head for each frozen encoder, all of them into one space, and the prototypes there.

[paper] Pretrained, language-specific, heterogeneous encoders. [ours] A head is width -> 256 -> 128 with GELU, L2-
normalised; it acts on each frame. One space for different encoders needs something that ties them: the labelled clips
are heard by all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...objectives.resonance_field import moved_prototypes, own_readings, pooled_by_highlights, prototypes_of
from .frames import HeardClips


@dataclass(frozen=True)
class Sounding:
    """Clips as one of the encoders heard them."""

    encoder: str
    clips: HeardClips


@dataclass
class Resonance:
    """What an objective reads: one embedding for each clip, and the prototypes."""

    speech_embeds: Tensor
    prototypes: Tensor


class FrameHead(nn.Module):
    """Frames of one encoder -> unit vectors.

    Example:
        >>> FrameHead(12)(torch.randn(5, 12)).norm(dim=1).allclose(torch.ones(5))
        True
    """

    def __init__(
        self, width: int, hidden: int = 256, size: int = 128, dropout: float = 0.2, bf16: bool = False
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.bf16 = bf16
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, size)

    def forward(self, frames: Tensor) -> Tensor:
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=self.bf16):
            hidden = F.gelu(F.linear(frames, self._thinned(self.first.weight), self.first.bias))
            directions = F.linear(hidden, self._thinned(self.second.weight), self.second.bias)
        return F.normalize(directions.float(), dim=-1)

    def _thinned(self, weight: Tensor) -> Tensor:
        """Dropout of the same inputs in all frames of a batch, so that clips are compared by what all of them have."""
        return weight * F.dropout(weight.new_ones(weight.shape[1]), self.dropout, self.training)


class ResonanceModel(nn.Module):
    """A head for each encoder, and the emotion-semantic structure that they share.

    Args:
        widths: for each encoder's name, the width of its frames.
        emotions: how many prototypes there are.
        temperature: T of the readings.
        highlights: T of the highlights; infinity gives every frame the same weight.
        heads: further arguments of `FrameHead`.

    Example:
        >>> model = ResonanceModel({"base": 8}, emotions=2, hidden=16, size=4)
        >>> clips = HeardClips.of([torch.randn(3, 8), torch.randn(5, 8)])
        >>> model.embed([Sounding("base", clips)]).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        emotions: int,
        temperature: float = 0.1,
        highlights: float = 0.1,
        size: int = 128,
        **heads: Any,
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(
            {_module_name(name): FrameHead(width, size=size, **heads) for name, width in widths.items()}
        )
        self.register_buffer("prototypes", torch.zeros(emotions, size))
        self.prototypes: Tensor
        self.temperature = temperature
        self.highlights = highlights

    def head(self, encoder: str) -> FrameHead:
        """The head of an encoder."""
        head = self.heads[_module_name(encoder)]
        assert isinstance(head, FrameHead)
        return head

    def embed(self, soundings: Iterable[Sounding]) -> Tensor:
        """One unit vector for each clip, in the order given.

        As long as there are no prototypes, every frame weighs the same.
        """
        temperature = self.highlights if bool(self.prototypes.any()) else float("inf")
        rows = []
        for sounding in soundings:
            clips = sounding.clips
            frames = self.head(sounding.encoder)(clips.values)
            rows.append(pooled_by_highlights(frames, clips.owner(), len(clips), self.prototypes, temperature))
        return torch.cat(rows)

    def forward(self, soundings: Iterable[Sounding]) -> Resonance:
        return Resonance(self.embed(soundings), self.prototypes)

    def readings(self, embeds: Tensor) -> Tensor:
        """What each embedding alone says of its emotion."""
        return own_readings(embeds, self.prototypes, self.temperature)

    @torch.no_grad()
    def found_structure(self, embeds: Tensor, emotions: Tensor) -> None:
        """Put the prototypes where the labelled clips are."""
        self.prototypes.copy_(prototypes_of(embeds, emotions, len(self.prototypes)))

    @torch.no_grad()
    def move_structure(self, embeds: Tensor, emotions: Tensor, momentum: float) -> None:
        """Let labelled and confident clips pull the prototypes along."""
        self.prototypes.copy_(moved_prototypes(self.prototypes, embeds, emotions, momentum))


def _module_name(encoder: str) -> str:
    """A module's name may not hold a dot (`tiny.en`)."""
    return encoder.replace(".", "_")
