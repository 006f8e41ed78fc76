"""LoRA on the frozen backbones, as a switch: put in place, trained with the connector, folded in at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ..errors import MSERError
from .recipe import LoraSection, LoraTarget

PARTS = {"text": "text_model", "speech": "speech_encoder"}


class AdapterError(MSERError, ValueError):
    """Adapters that fit no layer of the backbone."""


def add_lora(model: Any, section: LoraSection) -> int:
    """Put low-rank adapters into the backbones that the section names; returns how many weights they have.

    Example:
        >>> add_lora(model, LoraSection(text=LoraTarget(r=4)))  # doctest: +SKIP
        4096
    """
    for part, module_name in PARTS.items():
        target = getattr(section, part)
        if target is not None:
            backbone = getattr(model, module_name)
            for flag in ("is_loaded_in_4bit", "is_loaded_in_8bit"):  # peft asks for the right kind of layer by these
                if getattr(model, flag, False):
                    setattr(backbone, flag, True)
            _inject(backbone, target, part)
    return sum(weight.numel() for name, weight in model.named_parameters() if "lora_" in name)


def has_adapters(model: nn.Module) -> bool:
    """True when a LoRA layer is in place that is not the model's own.

    Example:
        >>> has_adapters(nn.Linear(2, 2))
        False
    """
    return not getattr(model, "keeps_adapters", False) and any("lora_" in name for name, _ in model.named_parameters())


@contextlib.contextmanager
def counted_as_adapter(model: Any) -> Iterator[None]:
    """`Trainer` refuses a quantised model that brings no adapter of peft's; the connector, in full precision, is one.

    Example:
        >>> with counted_as_adapter(model):  # doctest: +SKIP
        ...     trainer = Trainer(model=model)
    """
    applies = getattr(model, "is_quantized", False) and any(weight.requires_grad for weight in model.parameters())
    known = getattr(model, "_hf_peft_config_loaded", False)
    if applies:
        model._hf_peft_config_loaded = True
    try:
        yield
    finally:
        if applies:
            model._hf_peft_config_loaded = known


def what_learns(model: nn.Module, weights: Mapping[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
    """The connector and the adapters, of the model or among `weights`: what a checkpoint of a run with adapters holds.

    Example:
        >>> sorted(what_learns(model))[0]  # doctest: +SKIP
        'connector.emotion_head.bias'
    """
    return {
        name: tensor.contiguous()
        for name, tensor in (model.state_dict() if weights is None else weights).items()
        if name.startswith("connector.") or "lora_" in name
    }


def merge_lora(model: Any) -> Any:
    """Fold the adapters into the weights, so that the model is a plain one again.

    Example:
        >>> has_adapters(merge_lora(model))  # doctest: +SKIP
        False
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module_name in PARTS.values():
        backbone = getattr(model, module_name)
        for name, layer in list(backbone.named_modules()):
            if isinstance(layer, BaseTunerLayer):
                layer.merge()
                parent, _, child = name.rpartition(".")
                setattr(backbone.get_submodule(parent), child, layer.get_base_layer())
        if hasattr(backbone, "peft_config"):
            del backbone.peft_config
    return model


def _inject(backbone: nn.Module, target: LoraTarget, part: str) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=target.r,
        lora_alpha=target.alpha,  # type: ignore[arg-type]  # a float is as good as an int
        lora_dropout=target.dropout,
        target_modules=list(target.targets),
    )
    try:
        inject_adapter_in_model(config, backbone)
    except ValueError as error:
        linear = sorted({name.rpartition(".")[2] for name, m in backbone.named_modules() if isinstance(m, nn.Linear)})
        raise AdapterError(
            f"lora.{part}: no layer is called {', '.join(target.targets)}. Its linear layers: {', '.join(linear)}."
        ) from error
