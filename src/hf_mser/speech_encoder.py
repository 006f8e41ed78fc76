"""Whisper's encoder on the true length of the audio, all useful layers out.

Transformers' own encoder insists on 30 s of features, so a clip of 4 s pays for 26 s of padding. Here the
position table is cut to the clip. In a batch of mixed lengths nothing behind a clip's end may reach it: the
features and the first convolution's output are zeroed there, and attention is masked.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.whisper.configuration_whisper import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from .configuration_mser import SpeechLengthError


class TrueLengthWhisperEncoder(WhisperEncoder):
    """[`WhisperEncoder`] that takes any length up to 30 s and returns a choice of hidden states.

    Args:
        config (`WhisperConfig`): The Whisper model's configuration.
        layers (`tuple[int, ...]`): Which hidden states to return: 0 enters the first layer, n leaves layer n
            (the last one after the final normalisation, as in Whisper). Layers beyond the highest are not built.
    """

    def __init__(self, config: WhisperConfig, layers: tuple[int, ...]):
        super().__init__(config)
        self.layer_indices = layers
        self.ends_early = max(layers) < config.encoder_layers
        del self.layers[max(layers) :]
        if self.ends_early:
            self.layer_norm = nn.Identity()  # belongs to the last layer's output, which nobody reads

    def forward(
        self, input_features: torch.Tensor, input_features_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Features (batch, mels, time) -> frames (batch, layers, time / 2, width) and their mask."""
        hidden, frames_mask = self.begin(input_features, input_features_mask)
        states = self.run(hidden, frames_mask, 0, len(self.layers))
        return torch.stack([states[index] for index in self.layer_indices], dim=1), frames_mask

    def begin(
        self, input_features: torch.Tensor, input_features_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What enters the first layer (batch, time / 2, width), and its mask where clips are of different length."""
        mask = input_features_mask if input_features_mask is None else input_features_mask.bool()
        if mask is not None and not torch.compiler.is_compiling() and bool(mask.all()):
            mask = None  # nothing to hide: attention is faster without a mask
        hidden, frames_mask = self._convolve(input_features.to(self.conv1.weight.dtype), mask)
        hidden = hidden + self.embed_positions.weight[: hidden.shape[1]]
        return nn.functional.dropout(hidden, p=self.dropout, training=self.training), frames_mask

    def run(
        self,
        hidden: torch.Tensor,
        frames_mask: torch.Tensor | None,
        first: int,
        last: int,
        adapters: Any = None,
    ) -> dict[int, torch.Tensor]:
        """From hidden state `first` on, all states up to `last`, by their number.

        `adapters`, if given, has `before(layer, hidden)` and `after(layer, hidden)`.
        """
        attention_mask = self.attention_mask(hidden, frames_mask)
        states = layer_states(
            lambda index, state: self.layers[index](state, attention_mask), hidden, first, last, adapters
        )
        if last == len(self.layers) and not self.ends_early:
            states[last] = self.layer_norm(states[last])
        return states

    def attention_mask(self, hidden: torch.Tensor, frames_mask: torch.Tensor | None) -> torch.Tensor | None:
        """The frames' mask as the layers' attention takes it."""
        return create_bidirectional_mask(
            config=self.config,
            inputs_embeds=hidden,
            attention_mask=None if frames_mask is None else frames_mask.long(),
        )

    def _convolve(self, features: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        length = (features.shape[-1] + 1) // 2
        if length > self.max_source_positions:
            raise SpeechLengthError(
                f"The encoder reads up to {self.max_source_positions * 2} feature frames at once "
                f"({self.max_source_positions / 50:.0f} s), but got {features.shape[-1]}. Cut long audio into windows; "
                "the pipeline does so by itself."
            )
        if mask is None:
            hidden = nn.functional.gelu(self.conv1(features))
        else:
            hidden = nn.functional.gelu(self.conv1(features * mask[:, None])) * mask[:, None]
        hidden = nn.functional.gelu(self.conv2(hidden)).transpose(1, 2)
        return hidden, None if mask is None else mask[:, ::2]


def layer_states(
    layer: Callable[[int, torch.Tensor], torch.Tensor],
    hidden: torch.Tensor,
    first: int,
    last: int,
    adapters: Any = None,
) -> dict[int, torch.Tensor]:
    """Hidden state `first`, and all that the layers up to `last` make of it with their adapters, by number.

    Example:
        >>> layer_states(lambda index, state: state + index, torch.tensor(0.0), 1, 3)
        {1: tensor(0.), 2: tensor(1.), 3: tensor(3.)}
    """
    states = {first: hidden}
    for index in range(first, last):
        if adapters is not None:
            hidden = adapters.before(index, hidden)
        hidden = layer(index, hidden)
        if adapters is not None:
            hidden = adapters.after(index, hidden)
        states[index + 1] = hidden
    return states
