"""wav2vec 2.0, HuBERT, WavLM and what else has their shape, on the true length of each clip, layer by layer.

A batch gives what its clips give alone: the convolutions run clip by clip where lengths differ (the first one's group
normalisation would otherwise see the padding), and attention is masked behind a clip's end.
"""

from typing import Any

import torch
from torch import nn
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.auto import AutoModel

from .errors import MSERError
from .speech_encoder import layer_states

PARTS = ("feature_extractor", "feature_projection", "encoder")


class SpeechEncoderError(MSERError, ValueError):
    """An encoder that is not built in a way that can be read layer by layer."""


class TrueLengthWaveEncoder(nn.Module):
    """A model of wav2vec 2.0's shape that takes any length and returns a choice of hidden states.

    Args:
        config (`PreTrainedConfig`): The model's configuration.
        layers (`tuple[int, ...]`): Which hidden states to return: 0 enters the first layer, n leaves layer n (the last
            one as the model itself returns it). Layers beyond the highest are not built.
    """

    def __init__(self, config: Any, layers: tuple[int, ...]):
        super().__init__()
        self.config = config
        self.layer_indices = layers
        self.model = AutoModel.from_config(config)
        lacking = [name for name in PARTS if not hasattr(self.model, name)]
        if lacking or not hasattr(self.model.encoder, "pos_conv_embed"):
            raise SpeechEncoderError(
                f"{config.model_type}: this encoder cannot be read layer by layer. Use Whisper, wav2vec 2.0, HuBERT, "
                "WavLM, or another model of wav2vec 2.0's shape."
            )
        self.is_wavlm = hasattr(self.model.encoder.layers[0].attention, "compute_bias")
        self.normalises_last = bool(getattr(config, "do_stable_layer_norm", False))
        self.ends_early = max(layers) < config.num_hidden_layers
        del self.model.encoder.layers[max(layers) or 1 :]  # WavLM's first layer knows the distances for all
        if self.ends_early and self.normalises_last:
            self.model.encoder.layer_norm = nn.Identity()  # belongs to the last layer's output, which nobody reads
        if hasattr(self.model, "masked_spec_embed"):
            del self.model.masked_spec_embed  # hides frames in pretraining
        self.model.adapter = None  # shortens the last layer's output, for other tasks

    @property
    def dtype(self) -> torch.dtype:
        """The type that it computes in."""
        return self.model.dtype

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer's layers."""
        return self.model.encoder.layers

    def forward(
        self, input_features: torch.Tensor, input_features_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Samples (batch, time) -> frames (batch, layers, frames, width) and their mask."""
        hidden, frames_mask = self.begin(input_features, input_features_mask)
        states = self.run(hidden, frames_mask, 0, max(self.layer_indices))
        return torch.stack([states[index] for index in self.layer_indices], dim=1), frames_mask

    def begin(
        self, input_features: torch.Tensor, input_features_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What enters the first layer (batch, frames, width), and its mask where clips are of different length."""
        samples = input_features.to(self.model.feature_projection.projection.weight.dtype)
        lengths = None if input_features_mask is None else input_features_mask.long().sum(1)
        if lengths is None or bool((lengths == samples.shape[1]).all()):
            heard, mask = self.model.feature_extractor(samples).transpose(1, 2), None
        else:
            clips = [clip[None, :length] for clip, length in zip(samples, lengths.tolist(), strict=True)]
            apart = [self.model.feature_extractor(clip)[0].T for clip in clips]
            heard = nn.utils.rnn.pad_sequence(apart, batch_first=True)
            counts = torch.tensor([len(frames) for frames in apart], device=heard.device)
            mask = torch.arange(heard.shape[1], device=heard.device) < counts[:, None]
        projected = self.model.feature_projection(heard)
        hidden = projected[0] if isinstance(projected, tuple) else projected
        if mask is not None:
            hidden = hidden * mask[..., None]
        encoder = self.model.encoder
        hidden = hidden + encoder.pos_conv_embed(hidden)
        if not self.normalises_last:
            hidden = encoder.layer_norm(hidden)
        return encoder.dropout(hidden), mask

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
        options = self._attention(hidden, frames_mask)

        def layer(index: int, state: torch.Tensor) -> torch.Tensor:
            output = self.layers[index](state, **options)
            return output[0] if isinstance(output, tuple) else output

        states = layer_states(layer, hidden, first, last, adapters)
        if last == self.config.num_hidden_layers and self.normalises_last:
            states[last] = self.model.encoder.layer_norm(states[last])
        return states

    def _attention(self, hidden: torch.Tensor, frames_mask: torch.Tensor | None) -> dict[str, Any]:
        mask = None if frames_mask is None else frames_mask.long()
        if not self.is_wavlm:
            mask = create_bidirectional_mask(config=self.config, inputs_embeds=hidden, attention_mask=mask)
            return {"attention_mask": mask}
        attention: Any = self.layers[0].attention
        bias = attention.compute_bias(hidden.shape[1], hidden.shape[1])
        return {"attention_mask": mask, "position_bias": bias.repeat(hidden.shape[0], 1, 1)}
