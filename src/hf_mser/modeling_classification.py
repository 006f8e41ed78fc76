"""Speech in, one of a closed set of emotions out: any speech encoder, adapted, pooled, and a linear head."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import initialization as init
from transformers.modeling_outputs import ModelOutput
from transformers.models.auto import AutoConfig

from .backbones import HUB_ARGUMENTS, BackboneError, speech_encoder_weights, verify, wave_encoder_weights
from .configuration_classification import MSERClassificationConfig
from .connector import ConnectorOutput, EmotionQFormer
from .encoder_adapters import Bottleneck, Gate, LayerAdapters, inject_lora, is_lora
from .pooling import SpeechPooling, merge_frames
from .pretrained_speech import MSERModelError, SpeechEmotionModel, connector_sizes, connector_weights, pin
from .remote_code import CLASSIFIER_AUTO_MAP, CLASSIFIER_ENTRY_FILES, CLASSIFIER_PIPELINES
from .speech_encoder import TrueLengthWhisperEncoder
from .wave_encoder import TrueLengthWaveEncoder


@dataclass
class MSERClassifierOutput(ModelOutput):
    """What [`MSERForEmotionClassification`] returns.

    Args:
        loss (`torch.Tensor`, *optional*): Cross-entropy of the emotion, if `labels` were given.
        logits (`torch.Tensor` of shape `(batch, labels)`): A score for each label.
        speech_embeds (`torch.Tensor` of shape `(batch, width)`): What the head reads, at length 1.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    speech_embeds: torch.Tensor | None = None


class MSERForEmotionClassification(SpeechEmotionModel):
    r"""
    A speech encoder with LoRA, bottleneck adapters and gates, pooling (or an Emotion Q-Former), and a linear head.

    Args:
        config ([`MSERClassificationConfig`]): The configuration.

    Example:

    ```python
    >>> import torch
    >>> from transformers import WhisperConfig
    >>> from hf_mser import MSERClassificationConfig, MSERForEmotionClassification

    >>> speech = WhisperConfig(d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32)
    >>> config = MSERClassificationConfig(speech_config=speech, lora_rank=0)
    >>> model = MSERForEmotionClassification(config).eval()
    >>> tuple(model(torch.randn(2, 80, 100)).logits.shape)
    (2, 7)

    ```"""

    backbone_parts: ClassVar[dict[str, str]] = {"speech": "speech_encoder"}
    auto_map: ClassVar[dict[str, str]] = CLASSIFIER_AUTO_MAP
    pipelines: ClassVar[dict[str, Any]] = CLASSIFIER_PIPELINES
    entry_files: ClassVar[tuple[str, ...]] = CLASSIFIER_ENTRY_FILES
    keeps_adapters: ClassVar[bool] = True
    """Its LoRA is part of the model: saved beside the head, never folded into the encoder."""

    config: MSERClassificationConfig
    config_class = MSERClassificationConfig
    main_input_name = "input_features"
    input_modalities = ("audio",)
    _keep_in_fp32_modules_strict: ClassVar[set[str]] = {"connector", "adapters", "classifier"}
    _no_split_modules: ClassVar[list[str]] = ["EmotionQFormer", "SpeechPooling"]

    def __init__(self, config: MSERClassificationConfig):
        super().__init__(config)
        encoder = TrueLengthWhisperEncoder if config.speech_config.model_type == "whisper" else TrueLengthWaveEncoder
        self.speech_encoder: Any = encoder(config.speech_config, config.speech_layer_indices)
        self.adapters = LayerAdapters(config)
        if config.is_adapted and config.lora_rank:
            inject_lora(self.speech_encoder, config)
        if config.qformer_config is None:
            self.connector: nn.Module = SpeechPooling(config)
        else:
            self.connector = EmotionQFormer(config.qformer_config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(self.speech_embedding_size, config.num_labels)  # [paper]
        for part in (self.connector, self.adapters, self.classifier):
            part.float()  # whatever type the encoder is made in
        self._freeze()
        self.post_init()
        self.train(self.training)

    @property
    def speech_embedding_size(self) -> int:
        """Width of `speech_embeds`."""
        qformer = self.config.qformer_config
        return self.config.speech_config.hidden_size if qformer is None else qformer.embedding_size

    def get_input_embeddings(self) -> nn.Module:
        encoder = self.speech_encoder
        return encoder.conv1 if isinstance(encoder, TrueLengthWhisperEncoder) else encoder.model.feature_extractor

    def train(self, mode: bool = True) -> "MSERForEmotionClassification":
        """As in any module, but a frozen encoder drops nothing out: only its low-rank adapters do."""
        super().train(mode)
        if self.config.freeze_speech:
            self.speech_encoder.eval()
            for name, part in self.speech_encoder.named_modules():
                if "lora_dropout" in name:
                    part.train(mode)
        return self

    # -- the path from sound to answer ------------------------------------------------------------------

    def encode_speech(
        self, input_features: torch.Tensor, input_features_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The frozen part of the path: frames (batch, layers, time, width) and their mask. Can be cached."""
        hidden, mask = self.speech_encoder.begin(input_features, input_features_mask)
        states = self.speech_encoder.run(hidden, mask, 0, self.config.first_adapted_layer)
        frames = torch.stack([states[layer] for layer in self.config.frozen_layer_indices], dim=1)
        return merge_frames(frames, mask, self.config.frames_per_token)

    def adapt_frames(self, frames: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """From what `encode_speech` gives to the layers that are read: (batch, layers, time, width)."""
        config = self.config
        states = dict(zip(config.frozen_layer_indices, frames.unbind(1), strict=True))
        border, deepest = config.first_adapted_layer, max(config.speech_layer_indices)
        if border < deepest:
            hidden = states[border].to(self.speech_encoder.dtype)
            if mask is not None and bool(mask.all()):
                mask = None
            states |= self.speech_encoder.run(hidden, mask, border, deepest, self.adapters)
        return torch.stack([states[layer].float() for layer in config.speech_layer_indices], dim=1)

    def connect_speech(
        self,
        input_features: torch.Tensor | None = None,
        input_features_mask: torch.Tensor | None = None,
        speech_frames: torch.Tensor | None = None,
        speech_frames_mask: torch.Tensor | None = None,
    ) -> ConnectorOutput:
        """One embedding of each clip, from features or from frames computed earlier by `encode_speech`."""
        if speech_frames is None:
            if input_features is None:
                raise MSERModelError("No speech: give input_features (see MSERSpeechProcessor) or speech_frames.")
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frames_are_frozen):
                speech_frames, speech_frames_mask = self.encode_speech(input_features, input_features_mask)
        return self.connector(self.adapt_frames(speech_frames, speech_frames_mask), speech_frames_mask)

    def classify(self, speech: ConnectorOutput) -> torch.Tensor:
        """A score for each label, from what `connect_speech` gives."""
        return self.classifier(self.dropout(speech.pooled))

    @property
    def frames_are_frozen(self) -> bool:
        """Whether `encode_speech` gives the same all through training, so that its frames can be cached."""
        return self.config.freeze_speech

    def frozen_speech(self) -> dict[str, torch.Tensor]:
        """The weights behind `encode_speech`."""
        first = self.config.first_adapted_layer
        above = tuple(
            f"{self._layers_prefix}.{layer}." for layer in range(first, max(self.config.speech_layer_indices))
        )
        return {name: w for name, w in self.speech_encoder.state_dict().items() if not name.startswith(above)}

    def forward(
        self,
        input_features: torch.Tensor | None = None,
        input_features_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        speech_frames: torch.Tensor | None = None,
        speech_frames_mask: torch.Tensor | None = None,
        input_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> tuple | MSERClassifierOutput:
        r"""
        Args:
            input_features (`torch.Tensor`): The processor's output: mels (batch, mels, time) or samples (batch, time).
            input_features_mask (`torch.Tensor` of shape `(batch, time)`, *optional*): The true lengths.
            labels (`torch.Tensor` of shape `(batch,)`, *optional*): Emotions by number; -100 counts for nothing.
            speech_frames, speech_frames_mask (*optional*): Frames computed earlier, in the place of features.
            input_values, attention_mask (*optional*):
                Other names of the first two, as Transformers' own feature extractors write them.
            return_dict (`bool`, *optional*): Whether to return an output with named fields.
        """
        features = input_values if input_features is None else input_features
        mask = attention_mask if input_features_mask is None else input_features_mask
        if features is not None and mask is not None:
            mask = mask[:, :: mask.shape[1] // features.shape[-1]]  # Whisper's own extractor may mask samples
            longest = int(mask.sum(1).max())
            features, mask = features[..., :longest], mask[:, :longest]  # 30 s of padding are not read
        speech = self.connect_speech(features, mask, speech_frames, speech_frames_mask)
        logits = self.classify(speech)
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits.float(), labels)
        output = MSERClassifierOutput(loss=loss, logits=logits, speech_embeds=speech.speech_embeds)
        return output if return_dict is not False else output.to_tuple()

    # -- how it comes and goes --------------------------------------------------------------------------

    @classmethod
    def from_backbones(
        cls,
        speech: str | os.PathLike,
        *,
        connector: str | os.PathLike | None = None,
        labels: list[str] | None = None,
        revision: str | None = None,
        qformer_config: dict[str, Any] | None = None,
        dtype: str | torch.dtype | None = None,
        attn_implementation: Any = None,
        **settings: Any,
    ) -> "MSERForEmotionClassification":
        """Put a new model together from a pretrained speech encoder.

        Args:
            speech (`str`): Id or folder of a Whisper, wav2vec 2.0, HuBERT or WavLM checkpoint.
            connector (`str`, *optional*):
                Id or folder of a checkpoint of this package, a generation one too, whose Q-Former this one starts from.
            labels (`list[str]`, *optional*): The emotion words; the canonical seven by default.
            revision (`str`, *optional*): The encoder's, to pin.
            qformer_config (`dict`, *optional*): A Q-Former's sizes, if there is to be one.
            dtype, attn_implementation: As in `from_pretrained`.
            settings: Further fields of [`MSERClassificationConfig`], and the Hub's `token`, `cache_dir`, ...
        """
        hub = {name: settings.pop(name) for name in HUB_ARGUMENTS if name in settings}
        speech_config = AutoConfig.from_pretrained(speech, revision=revision, **hub)
        weights, commit = _encoder_weights(speech_config, speech, revision, hub)
        if labels is not None:
            settings["id2label"] = dict(enumerate(labels))
        if connector is not None:
            qformer_config = {**connector_sizes(connector, **hub), **(qformer_config or {})}
        config = cls.config_class(
            speech_config=speech_config,
            qformer_config=qformer_config,
            backbones={"speech": pin(speech, commit, weights)},
            **settings,
        )
        weights = cls._named_in_model(config, weights)
        if connector is not None:
            weights |= connector_weights(connector, **hub)
        options = {"dtype": dtype, "attn_implementation": attn_implementation}
        model, _ = cls._from_weights(config, weights, **{key: v for key, v in options.items() if v is not None})
        return model

    @classmethod
    def _fetch_backbones(cls, config: MSERClassificationConfig, hub: dict[str, Any]) -> dict[str, torch.Tensor]:
        named = (config.backbones or {}).get("speech")
        if named is None:
            raise BackboneError("This checkpoint holds adapters and a head, but its config does not name the encoder.")
        weights, _ = _encoder_weights(config.speech_config, named["id"], named["revision"], hub)
        verify("speech", weights, named)
        return cls._named_in_model(config, weights)

    @classmethod
    def _named_in_model(
        cls, config: MSERClassificationConfig, weights: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """The encoder's weights under the names that they have here; what is not built here is left out."""
        with torch.device("meta"):
            wanted = cls(config).state_dict()
        prefix = "speech_encoder." if config.speech_config.model_type == "whisper" else "speech_encoder.model."
        named = {}
        for name, tensor in weights.items():
            owner, _, kind = name.rpartition(".")
            for candidate in (f"{prefix}{name}", f"{prefix}{owner}.base_layer.{kind}"):  # peft wraps what it adapts
                if candidate in wanted:
                    named[candidate] = tensor
        return named

    @classmethod
    def _is_backbone(cls, name: str) -> bool:
        return super()._is_backbone(name) and not is_lora(name)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Gate):
            init.zeros_(module.logits)
        elif isinstance(module, SpeechPooling):
            init.zeros_(module.layer_weights)
            for name, buffer in module.named_buffers(recurse=False):
                (init.zeros_ if name.endswith("_mean") else init.ones_)(buffer)

    @torch.no_grad()
    def initialize_weights(self) -> None:
        """As in any model; then what must start at zero, so that the adapted encoder starts as the pretrained one."""
        super().initialize_weights()
        for module in self.modules():
            if isinstance(module, Bottleneck):
                init.zeros_(module.up.weight)
            elif hasattr(module, "lora_A"):
                for down, up in zip(module.lora_A.values(), module.lora_B.values(), strict=True):
                    init.kaiming_uniform_(down.weight, a=5**0.5)
                    init.zeros_(up.weight)

    def _freeze(self) -> None:
        for name, weight in self.speech_encoder.named_parameters():
            weight.requires_grad = is_lora(f".{name}") or not self.config.freeze_speech

    @property
    def _layers_prefix(self) -> str:
        return "layers" if isinstance(self.speech_encoder, TrueLengthWhisperEncoder) else "model.encoder.layers"


def _encoder_weights(
    config: Any, model_id: str | os.PathLike, revision: str | None, hub: dict[str, Any]
) -> tuple[dict[str, torch.Tensor], str | None]:
    fetch = speech_encoder_weights if config.model_type == "whisper" else wave_encoder_weights
    return fetch(model_id, revision, **hub)


__all__ = ["MSERClassifierOutput", "MSERForEmotionClassification"]
