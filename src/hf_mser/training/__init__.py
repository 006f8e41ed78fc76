"""Training: the Trainer, its arguments, batches, the frozen-feature cache and recipes.

Names are imported when they are first used, so that the command line starts quickly.
"""

import importlib
from typing import TYPE_CHECKING, Any

_HOME_OF = {
    "Augmentation": "augmentation",
    "EmotionBatchSampler": "sampler",
    "EmotionCollator": "collator",
    "FrozenFeatureCache": "features",
    "MSERTrainer": "trainer",
    "MSERTrainingArguments": "arguments",
    "Recipe": "recipe",
    "clip_key": "feature_keys",
    "emotion_metrics": "metrics",
    "encoder_key": "feature_keys",
    "gather_rows": "gather",
    "load_recipe": "recipe",
    "train_recipe": "run",
}

__all__ = [
    "Augmentation",
    "EmotionBatchSampler",
    "EmotionCollator",
    "FrozenFeatureCache",
    "MSERTrainer",
    "MSERTrainingArguments",
    "Recipe",
    "clip_key",
    "emotion_metrics",
    "encoder_key",
    "gather_rows",
    "load_recipe",
    "train_recipe",
]

if TYPE_CHECKING:
    from .arguments import MSERTrainingArguments
    from .augmentation import Augmentation
    from .collator import EmotionCollator
    from .feature_keys import clip_key, encoder_key
    from .features import FrozenFeatureCache
    from .gather import gather_rows
    from .metrics import emotion_metrics
    from .recipe import Recipe, load_recipe
    from .run import train_recipe
    from .sampler import EmotionBatchSampler
    from .trainer import MSERTrainer


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value
