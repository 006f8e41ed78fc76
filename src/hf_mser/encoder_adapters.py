"""What adapts a frozen encoder: low-rank adapters in its layers, a gate before and a bottleneck behind each.

At the start none of the three changes what the encoder computes, so training begins at the pretrained model.
"""

import importlib
from typing import Any

import torch
from torch import nn
from transformers.utils import is_peft_available

from .configuration_classification import MSERClassificationConfig
from .errors import MSERError


class EncoderAdapterError(MSERError, ValueError):
    """Adapters that fit no layer of the encoder, or that need a package which is not there."""


class Bottleneck(nn.Module):
    """`x + up(relu(down(normalised x)))`, with `up` at zero in the beginning [ours].

    Args:
        hidden_size (`int`): Width of the encoder.
        width (`int`): Width of the bottleneck.
    """

    def __init__(self, hidden_size: int, width: int):
        super().__init__()
        self.down = nn.Linear(hidden_size, width)
        self.up = nn.Linear(width, hidden_size)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Frames in, frames out."""
        # A few dimensions of a transformer's stream are a hundred times larger than the others.
        normalised = nn.functional.layer_norm(hidden, hidden.shape[-1:])
        return hidden + self.up(torch.relu(self.down(normalised)))


class Gate(nn.Module):
    """Each dimension times twice a sigmoid: 1 in the beginning, 0 to 2 after training [ours].

    Args:
        hidden_size (`int`): Width of the encoder.
    """

    def __init__(self, hidden_size: int):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Frames in, frames out."""
        return hidden * (2.0 * torch.sigmoid(self.logits))


class LayerAdapters(nn.Module):
    """Gates and bottlenecks of all adapted layers, as the encoder's `run` calls them.

    Args:
        config ([`MSERClassificationConfig`]): Says which there are.

    Example:

    ```python
    >>> import torch
    >>> from hf_mser import MSERClassificationConfig
    >>> from hf_mser.encoder_adapters import LayerAdapters

    >>> adapters = LayerAdapters(MSERClassificationConfig(adapted_layers=1))
    >>> frames = torch.ones(1, 2, 384)
    >>> bool((adapters.before(3, frames) == frames).all())
    True

    ```"""

    def __init__(self, config: MSERClassificationConfig):
        super().__init__()
        width = config.speech_config.hidden_size
        self.first = config.first_adapted_layer
        count = max(config.speech_layer_indices) - self.first
        self.gates = nn.ModuleList(Gate(width) for _ in range(count if config.gating else 0))
        bottleneck = config.adapter_width
        self.bottlenecks = nn.ModuleList(Bottleneck(width, bottleneck) for _ in range(count if bottleneck else 0))

    def before(self, layer: int, hidden: torch.Tensor) -> torch.Tensor:
        """What enters a layer."""
        return self.gates[layer - self.first](hidden) if self.gates else hidden

    def after(self, layer: int, hidden: torch.Tensor) -> torch.Tensor:
        """What leaves a layer."""
        return self.bottlenecks[layer - self.first](hidden) if self.bottlenecks else hidden


def inject_lora(encoder: nn.Module, config: MSERClassificationConfig) -> None:
    """Put peft's low-rank adapters into the adapted layers of an encoder."""
    if not is_peft_available():
        raise EncoderAdapterError("This model adapts its encoder by LoRA, which needs peft: pip install peft.")
    peft: Any = importlib.import_module("peft")  # checkpoints that carry this file work without it, unless they use it
    layers = "|".join(map(str, range(config.first_adapted_layer, max(config.speech_layer_indices))))
    names = config.lora_target_names
    lora = peft.LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=rf"(.*\.)?layers\.({layers})\.(.*\.)?({'|'.join(names)})",
    )
    try:
        peft.inject_adapter_in_model(lora, encoder)
    except ValueError as error:
        linear = sorted({name.rpartition(".")[2] for name, part in encoder.named_modules() if type(part) is nn.Linear})
        raise EncoderAdapterError(
            f"lora_targets: no layer is called {', '.join(names)}. The encoder's linear maps: {', '.join(linear)}."
        ) from error


def is_lora(name: str) -> bool:
    """Whether a weight belongs to a low-rank adapter, by its name.

    Example:
        >>> is_lora("speech_encoder.layers.0.self_attn.q_proj.lora_A.default.weight")
        True
    """
    return ".lora_" in name
