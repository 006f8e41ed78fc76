"""What a run needs that may not be installed: missing packages are named before anything is loaded."""

from __future__ import annotations

import importlib.util
import os

from .recipe import Recipe

REPORT_TO = "tensorboard"
"""Where a run reports to unless its recipe says something else."""


def missing_packages(recipe: Recipe) -> list[str]:
    """One line for each missing package: which key of the recipe wants it, and how to get along.

    Example:
        >>> missing_packages(recipe)  # doctest: +SKIP
        ['model.quantization=4bit needs bitsandbytes: pip install bitsandbytes, or give model.quantization=null']
    """
    bits, lora, settings = recipe.model.quantization, recipe.lora, recipe.training
    deepspeed = settings.get("deepspeed") or os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true"
    wanted = (
        (bits is not None, f"model.quantization={bits}", "bitsandbytes", "give model.quantization=null"),
        (lora.text is not None or lora.speech is not None, "lora", "peft", "give lora={}"),
        (
            "tensorboard" in (settings.get("report_to", REPORT_TO) or ""),
            "report_to",
            "tensorboard",
            "give report_to=none",
        ),
        (bool(deepspeed), "DeepSpeed", "deepspeed", "launch with another accelerate config"),
    )
    return [
        f"{key} needs {package}: pip install {package}, or {otherwise}"
        for needed, key, package, otherwise in wanted
        if needed and importlib.util.find_spec(package) is None
    ]
