"""What a run will cost, before it costs anything: parameters, memory, operations and time.

The model is built without memory (on the meta device), so that its parameters are counted and not guessed.
Activations and time are estimates, good to a factor of two.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from .arguments import MSERTrainingArguments
from .data import RecipeData
from .recipe import ModelSection, Recipe

FRAMES_PER_SECOND = 50
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "auto": 2}
USED_SHARE_OF_PEAK = 0.4  # of a matrix product's rate; what training loops reach in practice


@dataclass
class Estimate:
    """Sizes of a run. `None` where a backbone's config cannot be read."""

    parameters: dict[str, int]
    trainable: int
    weights_bytes: int
    optimizer_bytes: int
    activation_bytes: int
    cache_bytes: int
    steps: int
    flops_per_step: float
    seconds: float

    @property
    def memory_bytes(self) -> int:
        """Weights, gradients, optimiser and activations on one device."""
        return self.weights_bytes + self.optimizer_bytes + self.activation_bytes

    def lines(self) -> list[str]:
        """For people."""
        sizes = ", ".join(f"{name} {_count(number)}" for name, number in self.parameters.items())
        return [
            f"parameters   {sizes}; {_count(self.trainable)} learn",
            f"memory       {_bytes(self.memory_bytes)} on each device: weights {_bytes(self.weights_bytes)}, gradients "
            f"and optimiser {_bytes(self.optimizer_bytes)}, activations {_bytes(self.activation_bytes)} (estimate)",
            f"cache        {_bytes(self.cache_bytes)} of frozen frames on disk",
            f"compute      {self.steps} steps of {self.flops_per_step / 1e12:.3g} TFLOP, about "
            f"{_duration(self.seconds)} here (estimate)",
        ]


def estimate(recipe: Recipe, args: MSERTrainingArguments, data: RecipeData) -> Estimate | None:
    """The estimate, or `None` where the model's config cannot be fetched (no network).

    Example:
        >>> estimate(recipe, args, data).memory_bytes  # doctest: +SKIP
        412000000
    """
    try:
        config = model_config(recipe.model)
    except OSError:
        return None
    parameters = count_parameters(config)
    if recipe.model.kind == "classification":
        return _estimate_classifier(recipe, args, data, config, parameters)
    if recipe.model.quantization is not None:
        weight_bytes = {"4bit": 0.5, "8bit": 1.0}[recipe.model.quantization]
    else:
        weight_bytes = BYTES[recipe.model.dtype]
    trainable = parameters["connector"] + _lora_parameters(recipe, config)
    clips, seconds = len(data.train), data.train.seconds()
    mean_seconds = seconds / max(clips, 1)
    frames = mean_seconds * FRAMES_PER_SECOND
    layers = len(config.speech_layer_indices)
    tokens = config.qformer_config.num_speech_tokens + 48  # the prompt and the answer

    steps_per_epoch = max(1, -(-clips // args.global_batch_size))
    steps = args.max_steps if args.max_steps > 0 else int(args.num_train_epochs * steps_per_epoch)
    epochs = steps / steps_per_epoch
    encoder = 2 * parameters["speech encoder"] * frames
    cached = recipe.cache.folder is not None and recipe.lora.speech is None
    per_clip = 4 * parameters["LLM"] * tokens + 6 * parameters["connector"] * config.qformer_config.num_speech_tokens
    per_clip += encoder * (min(1.0, 1 / max(epochs, 1e-9)) if cached else 1.0)
    flops = per_clip * args.global_batch_size

    activation_bytes = BYTES[recipe.model.dtype]
    depth = config.text_config.num_hidden_layers
    width = config.text_config.hidden_size
    saved = 2 if args.activation_checkpointing else 34  # kept numbers for each token, layer and dimension
    activations = args.train_batch_size * tokens * width * depth * saved * activation_bytes
    activations += args.train_batch_size * layers * frames * config.speech_config.hidden_size * activation_bytes
    frozen = parameters["speech encoder"] * BYTES[recipe.model.dtype] + parameters["LLM"] * weight_bytes
    return Estimate(
        parameters=parameters,
        trainable=trainable,
        weights_bytes=int(frozen + parameters["connector"] * 4),
        optimizer_bytes=trainable * 12,  # gradient and AdamW's two moments, in single precision
        activation_bytes=int(activations),
        cache_bytes=int(
            min(
                seconds * FRAMES_PER_SECOND * layers * config.speech_config.hidden_size * activation_bytes,
                recipe.cache.max_gigabytes * 1024**3,
            )
        )
        if cached
        else 0,
        steps=steps,
        flops_per_step=flops,
        seconds=steps * flops / max(args.world_size, 1) / (USED_SHARE_OF_PEAK * matmul_rate(args.device, recipe)),
    )


def _estimate_classifier(
    recipe: Recipe, args: MSERTrainingArguments, data: RecipeData, config: Any, parameters: dict[str, int]
) -> Estimate:
    """The same for a classifier: a frozen part that a cache saves, adapted layers, and what stands on them."""
    clips, seconds = len(data.train), data.train.seconds()
    frames = seconds / max(clips, 1) * FRAMES_PER_SECOND
    width, number_bytes = config.speech_config.hidden_size, BYTES[recipe.model.dtype]
    steps_per_epoch = max(1, -(-clips // args.global_batch_size))
    steps = args.max_steps if args.max_steps > 0 else int(args.num_train_epochs * steps_per_epoch)
    depth = max(config.speech_layer_indices)
    layers = depth - config.first_adapted_layer
    adapted = parameters["speech encoder"] * layers / max(depth, 1)
    cached = recipe.cache.folder is not None
    epochs = max(steps / steps_per_epoch, 1e-9)
    frozen = 2 * (parameters["speech encoder"] - adapted) * (min(1.0, 1 / epochs) if cached else 1.0)
    trainable = parameters["learn"]
    flops = (frozen + 4 * adapted + 6 * trainable) * frames * args.global_batch_size
    cache_bytes = seconds * FRAMES_PER_SECOND * len(config.frozen_layer_indices) * width * 4
    return Estimate(
        parameters={"speech encoder": parameters["speech encoder"], "adapters and head": trainable},
        trainable=trainable,
        weights_bytes=parameters["speech encoder"] * number_bytes + trainable * 4,
        optimizer_bytes=trainable * 12,
        activation_bytes=int(args.train_batch_size * frames * width * (34 * layers + 4) * number_bytes),
        cache_bytes=int(min(cache_bytes, recipe.cache.max_gigabytes * 1024**3)) if cached else 0,
        steps=steps,
        flops_per_step=flops,
        seconds=steps * flops / max(args.world_size, 1) / (USED_SHARE_OF_PEAK * matmul_rate(args.device, recipe)),
    )


def model_config(section: ModelSection) -> Any:
    """The config that the model of a recipe will have, without any weights."""
    from transformers import AutoConfig

    from ..configuration_classification import MSERClassificationConfig
    from ..configuration_mser import EmotionQFormerConfig, MSERConfig
    from ..pretrained_speech import connector_sizes

    kind = MSERClassificationConfig if section.kind == "classification" else MSERConfig
    if section.checkpoint is not None:
        return kind.from_pretrained(section.checkpoint)
    sizes: dict[str, Any] = {}
    if section.connector is not None:
        sizes = connector_sizes(section.connector)
    elif section.qformer is not None and section.kind == "generation":
        bert = AutoConfig.from_pretrained(section.qformer)
        names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        sizes = {name: getattr(bert, name) for name in names}
    labels = {} if section.labels is None else {"id2label": dict(enumerate(section.labels))}
    if section.kind == "classification":
        return MSERClassificationConfig(
            speech_config=AutoConfig.from_pretrained(section.speech),
            qformer_config={**sizes, **section.qformer_config} or None,
            **labels,
            **section.settings,
        )
    return MSERConfig(
        speech_config=AutoConfig.from_pretrained(section.speech),
        text_config=AutoConfig.from_pretrained(section.text),
        qformer_config=EmotionQFormerConfig(**{**sizes, **section.qformer_config}),
        **labels,
        **section.settings,
    )


def count_parameters(config: Any) -> dict[str, int]:
    """Exact numbers of parameters of the three parts."""
    from ..configuration_classification import MSERClassificationConfig
    from ..modeling_classification import MSERForEmotionClassification
    from ..modeling_mser import MSERForEmotionGeneration

    if isinstance(config, MSERClassificationConfig):
        with torch.device("meta"):
            classifier = MSERForEmotionClassification(config)
        learn = sum(weight.numel() for weight in classifier.parameters() if weight.requires_grad)
        encoder = sum(w.numel() for name, w in classifier.named_parameters() if classifier._is_backbone(name))
        return {"speech encoder": encoder, "learn": learn}
    with torch.device("meta"):
        model = MSERForEmotionGeneration(config)
    parts = {"speech encoder": model.speech_encoder, "connector": model.connector, "LLM": model.text_model}
    return {name: sum(weight.numel() for weight in part.parameters()) for name, part in parts.items()}


def matmul_rate(device: torch.device, recipe: Recipe) -> float:
    """Floating-point operations a second of a large matrix product, measured here and now."""
    kind = torch.float32 if recipe.model.dtype == "float32" else torch.bfloat16
    size = 512 if device.type == "cpu" else 4096
    matrix = torch.randn(size, size, device=device, dtype=kind)
    matrix @ matrix
    repetitions, started = 8, time.perf_counter()
    for _ in range(repetitions):
        product = matrix @ matrix
    product.sum().item()  # waits for the device
    return 2 * size**3 * repetitions / (time.perf_counter() - started)


def _lora_parameters(recipe: Recipe, config: Any) -> int:
    total = 0
    for target, sizes in ((recipe.lora.text, config.text_config), (recipe.lora.speech, config.speech_config)):
        if target is not None:
            total += 2 * target.r * sizes.hidden_size * len(target.targets) * sizes.num_hidden_layers
    return total


def _count(number: int) -> str:
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)


def _bytes(number: float) -> str:
    return f"{number / 1024**3:.2f} GiB" if number >= 1024**3 else f"{number / 1024**2:.0f} MiB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
