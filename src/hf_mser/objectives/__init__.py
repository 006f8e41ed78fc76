"""What training minimises. Objectives add up: `2.0 * EmotionContrastive() + CrossEntropy()`."""

from .base import UNLABELLED, Objective, ObjectiveError, WeightedSum
from .contrastive import EmotionContrastive, IdleObjectiveWarning
from .cross_entropy import CrossEntropy
from .registry import build, names, register

__all__ = [
    "UNLABELLED",
    "CrossEntropy",
    "EmotionContrastive",
    "IdleObjectiveWarning",
    "Objective",
    "ObjectiveError",
    "WeightedSum",
    "build",
    "names",
    "register",
]
