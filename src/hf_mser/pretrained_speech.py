"""How models on frozen backbones are loaded and saved: whole, or without what can be fetched again."""

import json
import os
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import initialization as init
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_utils import PreTrainedModel
from transformers.utils.hub import cached_file

from .backbones import HUB_ARGUMENTS, BackboneError, checksum, fingerprint, read_weights
from .configuration_mser import EmotionQFormerConfig, SpeechEmotionConfig
from .connector import EmotionQFormer
from .errors import MSERError
from .packing import pack
from .remote_code import write_code


class MSERModelError(MSERError, ValueError):
    """The model was called, loaded or saved in a way that cannot give a meaningful result."""


class SpeechEmotionModel(PreTrainedModel):
    """A model with frozen backbones: its checkpoint holds what was trained, and names the rest by id and hash.

    A subclass names its backbones in `backbone_parts`, the code that its checkpoints carry in `auto_map` and
    `pipelines`, and says in `_fetch_backbones` where their weights come from.
    """

    backbone_parts: ClassVar[dict[str, str]] = {}
    auto_map: ClassVar[dict[str, str]] = {}
    pipelines: ClassVar[dict[str, Any]] = {}
    entry_files: ClassVar[tuple[str, ...]] = ()

    _backbone_checksums: dict[str, int] | None = None  # of the backbones as they were loaded

    config: SpeechEmotionConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _keep_in_fp32_modules_strict: ClassVar[set[str]] = {"connector"}
    # The encoder ends with the last layer that is read: a checkpoint has more, and they are not missed.
    _keys_to_ignore_on_load_unexpected: ClassVar[set[str]] = {r"^speech_encoder\."}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, EmotionQFormer):
            init.zeros_(module.layer_weights)
            init.normal_(module.query_tokens, std=self.config.initializer_range)
            for name, buffer in module.named_buffers(recurse=False):
                (init.ones_ if name.endswith("_std") else init.zeros_)(buffer)

    @classmethod
    def _fetch_backbones(cls, config: Any, hub: dict[str, Any]) -> dict[str, torch.Tensor]:
        """The backbones that a config names, checked, under the names that they have in the model."""
        raise NotImplementedError

    @classmethod
    def _is_backbone(cls, name: str) -> bool:
        """Whether a weight belongs to a backbone, and not to what is trained."""
        return name.startswith(tuple(f"{part}." for part in cls.backbone_parts.values()))

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike | None, *model_args: Any, **kwargs: Any
    ) -> Any:
        """As in every Transformers model. A checkpoint without its backbones fetches them and checks their hash."""
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
        if config.connector_only or config.packed:
            weights, _ = read_weights(pretrained_model_name_or_path, **hub)
            if config.connector_only:
                weights |= cls._fetch_backbones(config, {name: hub[name] for name in hub if name in HUB_ARGUMENTS})
            config.packed = False  # a property of the file, not of the model
            options = {name: value for name, value in kwargs.items() if name not in hub and name != "config"}
            model, report = cls._from_weights(config, weights, *model_args, **options)
            model.name_or_path = model.config._name_or_path = os.fspath(pretrained_model_name_or_path)
        else:
            model, report = super().from_pretrained(
                pretrained_model_name_or_path,
                *model_args,
                output_loading_info=True,
                **{**kwargs, "use_safetensors": True},  # a pickle could run code: none is read
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
    def _from_weights(cls, config: Any, weights: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> Any:
        model, report = super().from_pretrained(
            None, *args, config=config, state_dict=weights, output_loading_info=True, **kwargs
        )
        lost = sorted(key for key in report["missing_keys"] if cls._is_backbone(key))
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
        packed: bool = False,
        state_dict: dict[str, torch.Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        """As in every Transformers model, with the code that runs the checkpoint without this package.

        Args:
            save_directory: Where to.
            full (`bool`, *optional*): Write the backbones too. By default the file holds what is trained alone if
                the config names the backbones and nobody changed them.
            packed (`bool`, *optional*): Write matrices as 8-bit integers: a quarter of the size, slightly rounded.
            state_dict (*optional*): Weights to save instead of the model's own.
        """
        can_be_fetched = self._backbones_can_be_fetched(state_dict)
        connector_only = not full and can_be_fetched
        if not can_be_fetched:
            self.config.backbones = None  # would name other weights than these
        if connector_only:
            weights = self.state_dict() if state_dict is None else state_dict
            state_dict = {name: tensor for name, tensor in weights.items() if not self._is_backbone(name)}
        if packed:
            measured = {name for name, _ in self.named_buffers()}
            state_dict = pack(self.state_dict() if state_dict is None else state_dict, exact=measured)
        if kwargs.get("is_main_process", True):
            write_code(save_directory, self.name_or_path, self.entry_files)
        self.config.connector_only = connector_only
        self.config.auto_map = dict(self.auto_map)
        self.config.custom_pipelines = self.pipelines
        named = self.config.backbones
        if packed and not connector_only:
            self.config.backbones = None  # rounded, they are other weights than the ones it names
        self.config.packed = packed
        super().save_pretrained(save_directory, *args, state_dict=state_dict, **kwargs)
        self.config.packed, self.config.backbones = False, named

    def _is_frozen(self, part: str) -> bool:
        return not any(parameter.requires_grad for parameter in getattr(self, part).parameters())

    def _freeze(self) -> None:
        """Switch gradients off where the config says so."""
        raise NotImplementedError

    def _settle(self) -> None:
        """After loading, which replaces parameters: freeze again, and remember what the backbones look like."""
        self._freeze()
        if self.config.backbones:
            self._backbone_checksums = self._checksums()

    def _checksums(self, weights: dict[str, torch.Tensor] | None = None) -> dict[str, int]:
        weights = self.state_dict() if weights is None else weights
        return checksum({name: weight for name, weight in weights.items() if self._is_backbone(name)})

    def _backbones_can_be_fetched(self, weights: dict[str, torch.Tensor] | None = None) -> bool:
        """Whether the config names backbones that are, bit by bit, the ones in memory, or those among `weights`.

        An engine that has sharded the model saves weights that it gathered: only these are whole.
        """
        known = self._backbone_checksums
        return known is not None and all(known.get(name) == bits for name, bits in self._checksums(weights).items())


def pin(model_id: str | os.PathLike, commit: str | None, weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    """What a config says of a backbone: where it came from, and the proof that it is the same."""
    return {"id": os.fspath(model_id), "revision": commit, "sha256": fingerprint(weights)}


# What a Q-Former brings along to another model; the rest follows from the encoder or is filled in.
_FOLLOWS = ("encoder_hidden_size", "num_speech_layers")


def connector_sizes(checkpoint: str | os.PathLike, **hub: Any) -> dict[str, Any]:
    """The fields of the Q-Former's config in a checkpoint of this package, of either model."""
    path = cached_file(os.fspath(checkpoint), "config.json", **hub)
    with open(path, encoding="utf-8") as file:
        fields = json.load(file).get("qformer_config")
    if not fields:
        raise MSERModelError(
            f"{checkpoint} has no Emotion Q-Former: its frames are pooled. Name a checkpoint with one."
        )
    known = EmotionQFormerConfig().to_dict()
    return {name: value for name, value in fields.items() if name in known and name not in _FOLLOWS}


def connector_weights(checkpoint: str | os.PathLike, **hub: Any) -> dict[str, torch.Tensor]:
    """The weights of the Q-Former in a checkpoint of this package, but for the projection to an LLM's width."""
    weights, _ = read_weights(checkpoint, **hub)
    own = ("connector.text_projection.",)
    return {name: w for name, w in weights.items() if name.startswith("connector.") and not name.startswith(own)}
