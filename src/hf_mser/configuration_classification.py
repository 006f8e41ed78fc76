"""What an emotion classifier is made of: any speech encoder, what adapts it, how frames become one vector, a head."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto import AutoConfig

from .configuration_mser import EmotionQFormerConfig, MSERConfigError, SpeechEmotionConfig

POOLINGS = ("mean", "attentive")

# WavLM's attention hands the projections' bare weights to PyTorch, past any adapter around them.
LORA_TARGETS = {"wavlm": ("intermediate_dense", "output_dense")}
DEFAULT_LORA_TARGETS = ("q_proj", "v_proj")


@strict
class MSERClassificationConfig(SpeechEmotionConfig):
    r"""
    Configuration of [`MSERForEmotionClassification`]: a speech encoder, its adaptation, pooling and a linear head.

    Args:
        speech_config (`PreTrainedConfig` or `dict`, *optional*):
            The encoder's model: Whisper, wav2vec 2.0, HuBERT, WavLM, or another of wav2vec 2.0's shape.
        qformer_config (`EmotionQFormerConfig` or `dict`, *optional*):
            An Emotion Q-Former in the place of pooling; its weights go to and fro between this model and
            [`MSERForEmotionGeneration`].
        speech_layers (`str` or `list[int]`, *optional*, defaults to `"last"`):
            What is read: `"last"` (the paper's form), `"mix"` (a learned mixture of all layers) or a list of layers to
            mix (0 is the input of the first layer, n the output of layer n). Layers above are not built.
        pooling (`str`, *optional*, defaults to `"mean"`):
            `"mean"` of the frames, or `"attentive"`: a mean with learned weights.
        normalize_frames (`bool`, *optional*, defaults to `True`):
            Bring every frame to mean 0 and deviation 1 over its dimensions, then every dimension to mean 0 and
            deviation 1 over the training clips, before pooling. `False` is the paper's form.
        lora_rank (`int`, *optional*, defaults to 8):
            Rank of the low-rank adapters; 0 switches them off.
        lora_alpha (`float`, *optional*, defaults to 16):
            Scale of the low-rank adapters.
        lora_dropout (`float`, *optional*, defaults to 0):
            Dropout before the low-rank adapters.
        lora_targets (`list[str]`, *optional*):
            The layers' linear maps that get one; queries and values by default, WavLM's feed-forward.
        adapter_width (`int`, *optional*, defaults to 48):
            Width of the bottleneck adapter behind each layer; 0 switches them off.
        gating (`bool`, *optional*, defaults to `True`):
            Whether each layer's input passes a gate, a sigmoid per dimension.
        adapted_layers (`int`, *optional*):
            How many of the layers are adapted, counted from the highest that is read; all by default. What lies
            below stays frozen, and its frames can be cached.
        frames_per_token (`int`, *optional*, defaults to 1):
            How many neighbouring frames become one, their mean, before the adapted layers: these then cost so many
            times less.
        classifier_dropout (`float`, *optional*, defaults to 0):
            Dropout before the head.
        freeze_speech (`bool`, *optional*, defaults to `True`):
            Whether the encoder's own weights are frozen, as in the paper.
        id2label, temperature, window_seconds, backbones, connector_only (*optional*):
            As in [`MSERConfig`]; `connector_only` says that the file holds the trained parts alone.

    Example:

    ```python
    >>> from hf_mser import MSERClassificationConfig

    >>> config = MSERClassificationConfig(speech_layers=[4], adapted_layers=2)
    >>> config.first_adapted_layer, config.frozen_layer_indices
    (2, (2,))

    ```"""

    model_type = "mser_classifier"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        "speech_config": SubConfigSpec(config_class=AutoConfig, model_type="whisper"),
        "qformer_config": SubConfigSpec(config_class=EmotionQFormerConfig, optional=True),
    }

    speech_layers: str | list[int] = "last"  # [paper]
    pooling: str = "mean"  # [paper]
    normalize_frames: bool = True  # [ours]
    # The paper adapts by LoRA, bottlenecks and gates [paper]; their sizes and places are ours [ours].
    lora_rank: int = 8
    lora_alpha: float | int = 16.0
    lora_dropout: float | int = 0.0
    lora_targets: list[str] | None = None
    adapter_width: int = 48
    gating: bool = True
    adapted_layers: int | None = None
    frames_per_token: int = 1  # [ours]
    classifier_dropout: float | int = 0.0  # [ours]

    def _validate(self) -> None:
        super()._validate()
        if self.pooling not in POOLINGS:
            raise MSERConfigError(f"pooling={self.pooling!r} is unknown; use one of {POOLINGS}.")
        for name in ("lora_rank", "adapter_width"):
            if getattr(self, name) < 0:
                raise MSERConfigError(f"{name}={getattr(self, name)} must not be negative; 0 switches it off.")
        if self.frames_per_token < 1:
            raise MSERConfigError(f"frames_per_token={self.frames_per_token} must be at least 1.")
        deepest = max(self.speech_layer_indices)
        if self.adapted_layers is not None and not 0 <= self.adapted_layers <= deepest:
            raise MSERConfigError(f"adapted_layers={self.adapted_layers}, but {deepest} layers are read.")
        if self.speech_config.model_type == "wavlm" and {"q_proj", "k_proj", "v_proj", "out_proj"} & {
            *self.lora_target_names
        }:
            raise MSERConfigError(
                "lora_targets: WavLM's attention bypasses adapters on its projections. Use "
                f"{', '.join(LORA_TARGETS['wavlm'])}."
            )

    @property
    def is_adapted(self) -> bool:
        """Whether anything changes what the encoder's layers compute."""
        return self.adapted_layers != 0 and bool(self.lora_rank or self.adapter_width or self.gating)

    @property
    def first_adapted_layer(self) -> int:
        """The number of layers below the first that is adapted: the hidden state where frozen ends."""
        deepest = max(self.speech_layer_indices)
        if not self.is_adapted:
            return deepest
        return 0 if self.adapted_layers is None else deepest - self.adapted_layers

    @property
    def frozen_layer_indices(self) -> tuple[int, ...]:
        """The hidden states that do not change in training: those that are read, and the one that is built upon."""
        border = self.first_adapted_layer
        return tuple(sorted({border, *(layer for layer in self.speech_layer_indices if layer < border)}))

    @property
    def lora_target_names(self) -> tuple[str, ...]:
        """The linear maps that get low-rank adapters."""
        if self.lora_targets is not None:
            return tuple(self.lora_targets)
        return LORA_TARGETS.get(self.speech_config.model_type, DEFAULT_LORA_TARGETS)


__all__ = ["MSERClassificationConfig"]
