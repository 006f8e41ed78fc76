"""The teacher: the lower layers of a Whisper encoder, and what passes between their parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.models.whisper.configuration_whisper import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoderLayer

from ...backbones import speech_encoder_weights
from ...speech_encoder import TrueLengthWhisperEncoder


@dataclass
class Passage:
    """What a batch is on its way through an encoder.

    Args:
        states: what enters the first layer and leaves each one (batch, time, width).
        halfway: within each layer, after attention and before the feed-forward part.
        mask: which frames are real (batch, time); None if all are.
        attention_mask: the same, as attention takes it.
        stem: what the convolutions say, before positions are added.
    """

    states: list[Tensor]
    halfway: list[Tensor]
    mask: Tensor | None
    attention_mask: Tensor | None
    stem: Tensor


def attend(layer: WhisperEncoderLayer, state: Tensor, attention_mask: Tensor | None) -> Tensor:
    """The first half of an encoder layer."""
    return state + layer.self_attn(layer.self_attn_layer_norm(state), attention_mask=attention_mask)[0]


def feed_forward(layer: WhisperEncoderLayer, state: Tensor) -> Tensor:
    """The second half of an encoder layer."""
    return state + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(state))))


def pass_through(encoder: TrueLengthWhisperEncoder, features: Tensor, mask: Tensor) -> Passage:
    """The encoder on a batch, with everything that passes between its parts."""
    state, frames_mask = encoder.begin(features, mask)
    attention_mask = encoder.attention_mask(state, frames_mask)
    states, halfway = [state], []
    for layer in encoder.layers:
        halfway.append(attend(layer, states[-1], attention_mask))
        states.append(feed_forward(layer, halfway[-1]))
    return Passage(states, halfway, frames_mask, attention_mask, stem_of(encoder, states[0]))


def stem_of(encoder: TrueLengthWhisperEncoder, entered: Tensor) -> Tensor:
    """What the convolutions say: what enters the first layer, without the positions."""
    return entered - encoder.embed_positions.weight[: entered.shape[1]]


class Teacher:
    """A pretrained Whisper encoder up to the highest of some layers, in bfloat16; it never learns."""

    def __init__(self, source: str | Path, layers: tuple[int, ...]) -> None:
        self.config = WhisperConfig.from_pretrained(source)
        encoder = TrueLengthWhisperEncoder(self.config, layers)
        weights, _ = speech_encoder_weights(source)
        encoder.load_state_dict({name: weights[name].float() for name in encoder.state_dict()})
        self.encoder = encoder.eval().requires_grad_(False).bfloat16()

    @torch.no_grad()
    def __call__(self, features: Tensor, mask: Tensor) -> Passage:
        return pass_through(self.encoder, features.bfloat16(), mask)


def normalised(state: Tensor) -> Tensor:
    """A state as the connector and the next layer see it: without its length."""
    return F.layer_norm(state.float(), state.shape[-1:])
