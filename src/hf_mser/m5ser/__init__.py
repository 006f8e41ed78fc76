"""M5SER: a synthetic multilingual corpus of emotional speech, made from labelled recordings.

`build` makes it, `refilter` takes clips out of it, `analyse` says what is left of the emotion, `load_m5ser` reads it.
"""

from .analyse import analyse
from .build import Result, Settings, build
from .filter import FilterRules
from .loading import load_m5ser
from .refilter import refilter
from .shards import M5SERError
from .translate import (
    LANGUAGES,
    TRANSLATORS,
    PreflightError,
    SourceClip,
    Translation,
    TranslationError,
    Translator,
    translator,
)

__all__ = [
    "LANGUAGES",
    "TRANSLATORS",
    "FilterRules",
    "M5SERError",
    "PreflightError",
    "Result",
    "Settings",
    "SourceClip",
    "Translation",
    "TranslationError",
    "Translator",
    "analyse",
    "build",
    "load_m5ser",
    "refilter",
    "translator",
]
