"""What training minimises. Objectives add up: `2.0 * EmotionContrastive() + CrossEntropy()`."""

from .adversarial import SpeakerAdversary, reverse_gradient
from .base import UNLABELLED, Objective, ObjectiveError, WeightedSum
from .contrastive import EmotionContrastive, IdleObjectiveWarning
from .cross_entropy import CrossEntropy
from .registry import build, names, register
from .resonance import TripleResonance
from .supcon import SupervisedContrastive

__all__ = [
    "UNLABELLED",
    "CrossEntropy",
    "EmotionContrastive",
    "IdleObjectiveWarning",
    "Objective",
    "ObjectiveError",
    "SpeakerAdversary",
    "SupervisedContrastive",
    "TripleResonance",
    "WeightedSum",
    "build",
    "names",
    "register",
    "reverse_gradient",
]
