"""How MSER models are put together, loaded and saved: from backbones, or from a checkpoint of the connector alone."""

import os
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import initialization as init
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_utils import PreTrainedModel
from transformers.models.auto import AutoConfig, AutoTokenizer

from .backbones import (
    HUB_ARGUMENTS,
    BackboneError,
    checksum,
    fingerprint,
    qformer_weights,
    read_weights,
    speech_encoder_weights,
    verify,
)
from .configuration_mser import EmotionQFormerConfig, MSERConfig
from .connector import EmotionQFormer
from .errors import MSERError
from .remote_code import AUTO_MAP, CUSTOM_PIPELINES, write_code

BACKBONES = {"speech": "speech_encoder", "text": "text_model"}


class MSERModelError(MSERError, ValueError):
    """The model was called, loaded or saved in a way that cannot give a meaningful result."""


class MSERPreTrainedModel(PreTrainedModel):
    """What all MSER models share: names, abilities, initial weights, and how they come and go.

    A subclass has the parts `speech_encoder`, `connector` and `text_model`.
    """

    _backbone_checksums: dict[str, dict[str, int]] | None = None  # of the backbones as they were loaded

    config: MSERConfig
    config_class = MSERConfig
    base_model_prefix = ""
    input_modalities = ("audio", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _keep_in_fp32_modules_strict: ClassVar[set[str]] = {"connector"}
    _no_split_modules: ClassVar[list[str]] = ["EmotionQFormer"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, EmotionQFormer):
            init.zeros_(module.layer_weights)
            init.normal_(module.query_tokens, std=self.config.initializer_range)
            for name, buffer in module.named_buffers(recurse=False):
                (init.zeros_ if name.endswith("_mean") else init.ones_)(buffer)

    @classmethod
    def from_backbones(
        cls,
        speech: str | os.PathLike,
        text: str | os.PathLike,
        qformer: str | os.PathLike | None = "bert-base-uncased",
        *,
        qformer_config: dict[str, Any] | None = None,
        labels: list[str] | None = None,
        revisions: dict[str, str] | None = None,
        output_loading_info: bool = False,
        dtype: str | torch.dtype | None = None,
        device_map: Any = None,
        attn_implementation: Any = None,
        quantization_config: Any = None,
        **settings: Any,
    ) -> Any:
        """Put a new model together from a pretrained Whisper, a pretrained LLM and, for the Q-Former, a BERT.

        Args:
            speech (`str`): Id or folder of a Whisper checkpoint; its encoder is used.
            text (`str`): Id or folder of a causal language model with its tokenizer.
            qformer (`str`, *optional*, defaults to `"bert-base-uncased"`):
                Id or folder of the BERT that the Q-Former starts from; `None` starts it at random.
            qformer_config (`dict`, *optional*): Fields of [`EmotionQFormerConfig`] that differ from the BERT's.
            labels (`list[str]`, *optional*): The emotion words; the canonical seven by default.
            revisions (`dict`, *optional*): `{"speech": ..., "text": ..., "qformer": ...}` to pin.
            output_loading_info (`bool`, *optional*):
                Also return which tensors were loaded, and which are new.
            dtype, device_map, attn_implementation, quantization_config: As in `from_pretrained`.
            settings: Further fields of [`MSERConfig`], and the Hub's `token`, `cache_dir`, ...

        Returns:
            The model; with `output_loading_info=True`, a tuple of the model and a report.
        """
        hub = {name: settings.pop(name) for name in HUB_ARGUMENTS if name in settings}
        revisions = revisions or {}
        speech_weights, speech_commit = speech_encoder_weights(speech, revisions.get("speech"), **hub)
        text_weights, text_commit = read_weights(text, revisions.get("text"), **hub)
        sizes = dict(qformer_config or {})
        if qformer is not None:
            sizes = {**_bert_sizes(qformer, revisions.get("qformer"), hub), **sizes}
        if labels is not None:
            settings["id2label"] = dict(enumerate(labels))
        config = cls.config_class(
            speech_config=AutoConfig.from_pretrained(speech, revision=revisions.get("speech"), **hub),
            text_config=AutoConfig.from_pretrained(text, revision=revisions.get("text"), **hub),
            qformer_config=EmotionQFormerConfig(**sizes),
            backbones={
                "speech": _pin(speech, speech_commit, speech_weights),
                "text": _pin(text, text_commit, text_weights),
            },
            **settings,
        )
        tokenizer = AutoTokenizer.from_pretrained(text, revision=revisions.get("text"), **hub)
        config.set_words(tokenizer)
        weights = _join(speech_weights, text_weights)
        if qformer is not None:
            with torch.device("meta"):
                empty = EmotionQFormer(config.qformer_config, 1).qformer.state_dict()
            found = qformer_weights(qformer, empty, revisions.get("qformer"), **hub)
            weights |= {f"connector.qformer.{name}": tensor for name, tensor in found.items()}
        options = {
            "dtype": dtype,
            "device_map": device_map,
            "attn_implementation": attn_implementation,
            "quantization_config": quantization_config,
        }
        model, report = cls._from_weights(
            config, weights, **{name: value for name, value in options.items() if value is not None}
        )
        return (model, report) if output_loading_info else model

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike | None, *model_args: Any, **kwargs: Any
    ) -> Any:
        """As in every Transformers model. A connector checkpoint fetches its backbones and checks their hash."""
        wants_info = kwargs.pop("output_loading_info", False)
        if "torch_dtype" in kwargs:  # the old name
            kwargs.setdefault("dtype", kwargs.pop("torch_dtype"))
        if pretrained_model_name_or_path is None:
            return super().from_pretrained(None, *model_args, output_loading_info=wants_info, **kwargs)
        hub = {name: kwargs[name] for name in (*HUB_ARGUMENTS, "revision", "subfolder") if name in kwargs}
        config = kwargs.get("config")
        if not isinstance(config, PreTrainedConfig):  # remote code may load its config class twice
            # Not for the config, which would take "auto" for the name of a type.
            dtype = {"dtype": kwargs.pop("dtype")} if "dtype" in kwargs else {}
            config, kwargs = cls.config_class.from_pretrained(
                config or pretrained_model_name_or_path, return_unused_kwargs=True, **{**kwargs, **hub}
            )
            kwargs |= hub | dtype
        kwargs["config"] = config
        if config.connector_only:
            connector, _ = read_weights(pretrained_model_name_or_path, **hub)
            weights = {**_fetch_backbones(config, hub), **connector}
            options = {name: value for name, value in kwargs.items() if name not in hub and name != "config"}
            model, report = cls._from_weights(config, weights, *model_args, **options)
            model.name_or_path = model.config._name_or_path = os.fspath(pretrained_model_name_or_path)
        else:
            model, report = super().from_pretrained(
                pretrained_model_name_or_path, *model_args, output_loading_info=True, **kwargs
            )
            model._settle()
        missing = report["missing_keys"]
        if missing:
            raise MSERModelError(
                f"{pretrained_model_name_or_path} lacks {len(missing)} weights of this model, such as "
                f"{sorted(missing)[0]!r}: it would answer at random. Fetch the checkpoint again, or use the config "
                "that it was saved with."
            )
        return (model, report) if wants_info else model

    @classmethod
    def _from_weights(cls, config: MSERConfig, weights: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> Any:
        model, report = super().from_pretrained(
            None, *args, config=config, state_dict=weights, output_loading_info=True, **kwargs
        )
        lost = sorted(key for key in report["missing_keys"] if key.startswith(tuple(BACKBONES.values())))
        if lost:
            raise BackboneError(
                f"{len(lost)} backbone weights did not come from a checkpoint, such as {lost[0]!r}. They would be "
                "random; check that the checkpoint is complete and of the architecture that its config names."
            )
        report["loaded_keys"] = sorted(set(model.state_dict()) - set(report["missing_keys"]))
        model._settle()
        return model, report

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        *args: Any,
        full: bool = False,
        state_dict: dict[str, torch.Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        """As in every Transformers model, with the code that runs the checkpoint without this package.

        Args:
            save_directory: Where to.
            full (`bool`, *optional*): Write the backbones too. By default the file holds the connector alone if
                the config names the backbones and nobody changed them.
            state_dict (*optional*): Weights to save instead of the model's own.
        """
        can_be_fetched = self._backbones_can_be_fetched()
        connector_only = not full and can_be_fetched
        if not can_be_fetched:
            self.config.backbones = None  # would name other weights than these
        if connector_only:
            weights = self.state_dict() if state_dict is None else state_dict
            parts = tuple(f"{name}." for name in BACKBONES.values())
            state_dict = {name: tensor for name, tensor in weights.items() if not name.startswith(parts)}
        if kwargs.get("is_main_process", True):
            write_code(save_directory, self.name_or_path)
        self.config.connector_only = connector_only
        self.config.auto_map = dict(AUTO_MAP)
        self.config.custom_pipelines = CUSTOM_PIPELINES
        super().save_pretrained(save_directory, *args, state_dict=state_dict, **kwargs)

    def _is_frozen(self, part: str) -> bool:
        return not any(parameter.requires_grad for parameter in getattr(self, part).parameters())

    def _freeze(self) -> None:
        self.speech_encoder.requires_grad_(not self.config.freeze_speech)
        self.text_model.requires_grad_(not self.config.freeze_text)

    def _settle(self) -> None:
        """After loading, which replaces parameters: freeze again, and remember what the backbones look like."""
        self._freeze()
        if self.config.backbones:
            self._backbone_checksums = {
                part: checksum(getattr(self, name).state_dict()) for part, name in BACKBONES.items()
            }

    def _backbones_can_be_fetched(self) -> bool:
        """Whether the config names backbones that are, bit by bit, the ones in memory."""
        loaded = self._backbone_checksums
        return loaded is not None and all(
            loaded[part] == checksum(getattr(self, name).state_dict()) for part, name in BACKBONES.items()
        )


def _bert_sizes(model_id: str | os.PathLike, revision: str | None, hub: dict[str, Any]) -> dict[str, Any]:
    bert = AutoConfig.from_pretrained(model_id, revision=revision, **hub)
    shared = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "hidden_act",
        "layer_norm_eps",
    )
    return {name: getattr(bert, name) for name in shared}


def _pin(model_id: str | os.PathLike, commit: str | None, weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {"id": os.fspath(model_id), "revision": commit, "sha256": fingerprint(weights)}


def _join(speech: dict[str, torch.Tensor], text: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    joined = {f"speech_encoder.{name}": tensor for name, tensor in speech.items()}
    return joined | {f"text_model.{name}": tensor for name, tensor in text.items()}


def _fetch_backbones(config: MSERConfig, hub: dict[str, Any]) -> dict[str, torch.Tensor]:
    hub = {name: value for name, value in hub.items() if name in HUB_ARGUMENTS}
    named = config.backbones or {}
    if set(named) != set(BACKBONES):
        raise BackboneError("This checkpoint holds a connector alone, but its config does not name the backbones.")
    speech, _ = speech_encoder_weights(named["speech"]["id"], named["speech"]["revision"], **hub)
    text, _ = read_weights(named["text"]["id"], named["text"]["revision"], **hub)
    verify("speech", speech, named["speech"])
    verify("text", text, named["text"])
    return _join(speech, text)
