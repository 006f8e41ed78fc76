"""From frames to one vector: mix the layers that are read, bring them to one scale, and average over time."""

from typing import Any

import torch
from torch import nn

from .configuration_classification import MSERClassificationConfig
from .connector import ConnectorOutput, mix_layers


def merge_frames(
    frames: torch.Tensor, mask: torch.Tensor | None, count: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The mean of every `count` neighbouring frames (batch, layers, time, width); padding does not count.

    Example:
        >>> merge_frames(torch.tensor([1.0, 3.0, 5.0]).view(1, 1, 3, 1), None, 2)[0].flatten().tolist()
        [2.0, 5.0]
    """
    if count == 1:
        return frames, mask
    batch, _, time, _ = frames.shape
    real = torch.ones(batch, time, dtype=torch.bool, device=frames.device) if mask is None else mask.bool()
    missing = -time % count
    padded = nn.functional.pad(frames * real[:, None, :, None], (0, 0, 0, missing))
    counts = nn.functional.pad(real, (0, missing)).unflatten(1, (-1, count)).sum(2)
    merged = padded.unflatten(2, (-1, count)).sum(3) / counts.clamp(min=1)[:, None, :, None]
    return merged, None if mask is None else counts > 0


class SpeechPooling(nn.Module):
    """Mean or attentive pooling in the place of an [`EmotionQFormer`]; its buffers can be adapted to a domain, too.

    Args:
        config ([`MSERClassificationConfig`]): Sizes, and which pooling.

    Example:

    ```python
    >>> import torch
    >>> from hf_mser import MSERClassificationConfig
    >>> from hf_mser.pooling import SpeechPooling

    >>> pooling = SpeechPooling(MSERClassificationConfig())
    >>> tuple(pooling(torch.randn(2, 1, 50, 384)).pooled.shape)
    (2, 384)

    ```"""

    frame_mean: torch.Tensor
    frame_std: torch.Tensor

    def __init__(self, config: MSERClassificationConfig):
        super().__init__()
        layers, width = len(config.speech_layer_indices), config.speech_config.hidden_size
        self.normalizes = config.normalize_frames
        self.layer_weights = nn.Parameter(torch.zeros(layers), requires_grad=layers > 1)
        if self.normalizes:
            self.register_buffer("frame_mean", torch.zeros(layers, width))
            self.register_buffer("frame_std", torch.ones(layers, width))
        self.attention = None
        if config.pooling == "attentive":
            self.attention = nn.Sequential(nn.Linear(width, width // 4), nn.Tanh(), nn.Linear(width // 4, 1))

    def forward(
        self,
        frames: torch.Tensor,
        mask: torch.Tensor | None = None,
        domain: dict[str, torch.Tensor] | None = None,
    ) -> ConnectorOutput:
        """Frames (batch, layers, time, width) and their mask (batch, time) -> one vector for each clip."""
        mixed = self._mixed(frames.float(), self.domain if domain is None else domain)
        weights = mixed.new_ones(mixed.shape[:2]) if mask is None else mask.to(mixed.dtype)
        if self.attention is not None:
            scores = self.attention(mixed)[..., 0].masked_fill(weights == 0, -torch.inf)
            weights = scores.softmax(-1)
        pooled = ((weights / weights.sum(1, keepdim=True))[:, None] @ mixed)[:, 0]
        return ConnectorOutput(speech_tokens=None, pooled=pooled, speech_embeds=nn.functional.normalize(pooled, dim=-1))

    @property
    def domain(self) -> dict[str, torch.Tensor]:
        """The recordings that the model takes as normal: mean and deviation of their frames."""
        return dict(self.named_buffers(recurse=False))

    def voices_of(self, statistics: torch.Tensor) -> torch.Tensor:
        """All clips have the same voice here: ones (batch, 1)."""
        return statistics.new_ones(len(statistics), 1)

    def _mixed(self, frames: torch.Tensor, domain: dict[str, Any]) -> torch.Tensor:
        if not self.normalizes:
            return (frames * self.layer_weights.softmax(0)[:, None, None]).sum(1)
        frames = nn.functional.layer_norm(frames, frames.shape[-1:])
        return mix_layers(frames, self.layer_weights, domain["frame_mean"], domain["frame_std"])
