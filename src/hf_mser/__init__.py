"""Speech emotion recognition in any language, compatible with Hugging Face Transformers.

Importing the package registers its classes with Transformers; after that, what a Transformers user types works:

    >>> import hf_mser
    >>> from transformers import pipeline
    >>> pipe = pipeline("speech-emotion")
    >>> len(pipe("examples/clips/de_angry.flac"))
    7

Names are imported when they are first used, so that `import hf_mser` stays as quick as Transformers itself.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .registration import register

__version__ = "0.1.0"

_HOME_OF = {
    "AudioError": "audio",
    "load_audio": "audio",
    "iter_windows": "audio",
    "MSERClassificationConfig": "configuration_classification",
    "EmotionQFormerConfig": "configuration_mser",
    "MSERConfig": "configuration_mser",
    "EmotionQFormer": "connector",
    "EMOTIONS": "emotions",
    "MSERError": "errors",
    "load_embedded": "embedded",
    "MSERClassifierOutput": "modeling_classification",
    "MSERForEmotionClassification": "modeling_classification",
    "MSERForEmotionGeneration": "modeling_mser",
    "MSEROutput": "modeling_mser",
    "SpeechEmotionPipeline": "pipeline_mser",
    "MSERSpeechProcessor": "processing_classification",
    "MSERProcessor": "processing_mser",
    "load_corpus": "corpora",
    "load_m5ser": "m5ser",
}

__all__ = sorted(_HOME_OF)

if TYPE_CHECKING:
    from .audio import AudioError, iter_windows, load_audio
    from .configuration_classification import MSERClassificationConfig
    from .configuration_mser import EmotionQFormerConfig, MSERConfig
    from .connector import EmotionQFormer
    from .corpora import load_corpus
    from .embedded import load_embedded
    from .emotions import EMOTIONS
    from .errors import MSERError
    from .m5ser import load_m5ser
    from .modeling_classification import MSERClassifierOutput, MSERForEmotionClassification
    from .modeling_mser import MSERForEmotionGeneration, MSEROutput
    from .pipeline_mser import SpeechEmotionPipeline
    from .processing_classification import MSERSpeechProcessor
    from .processing_mser import MSERProcessor


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register()
