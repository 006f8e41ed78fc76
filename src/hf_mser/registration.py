"""Makes Transformers' Auto classes and `pipeline` know this package, without importing what is heavy.

The config is registered at once: it is light. The models follow with the first config, the processor and
the pipeline when Transformers loads its own modules for them, which take seconds to import.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from transformers.models.auto.configuration_auto import AutoConfig

from .configuration_classification import MSERClassificationConfig
from .configuration_mser import ON_FIRST_CONFIG, MSERConfig

EMBEDDED_CHECKPOINT = Path(__file__).resolve().parent / "checkpoints" / "mser-tiny"
TASK = "speech-emotion"


def register() -> None:
    """Register everything; called when the package is imported."""
    for config in (MSERConfig, MSERClassificationConfig):
        AutoConfig.register(config.model_type, config, exist_ok=True)
    ON_FIRST_CONFIG.append(_register_models)
    _after_import("transformers.models.auto.processing_auto", _register_processor)
    _after_import("transformers.pipelines", _register_pipeline)


def _register_models() -> None:
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES,
        AutoModel,
        AutoModelForAudioClassification,
        AutoModelForMultimodalLM,
    )

    from .modeling_classification import MSERForEmotionClassification
    from .modeling_mser import MSERForEmotionGeneration

    AutoModel.register(MSERConfig, MSERForEmotionGeneration, exist_ok=True)
    AutoModelForMultimodalLM.register(MSERConfig, MSERForEmotionGeneration, exist_ok=True)
    AutoModel.register(MSERClassificationConfig, MSERForEmotionClassification, exist_ok=True)
    AutoModelForAudioClassification.register(MSERClassificationConfig, MSERForEmotionClassification, exist_ok=True)
    # The stock pipeline looks up there which classes it may complain about.
    name = MSERForEmotionClassification.__name__
    MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES[MSERClassificationConfig.model_type] = name


def _register_processor(module: ModuleType) -> None:
    from .processing_classification import MSERSpeechProcessor
    from .processing_mser import MSERProcessor

    module.AutoProcessor.register(MSERConfig, MSERProcessor, exist_ok=True)
    module.AutoProcessor.register(MSERClassificationConfig, MSERSpeechProcessor, exist_ok=True)


def _register_pipeline(module: ModuleType) -> None:
    from transformers.models.auto.modeling_auto import AutoModelForAudioClassification, AutoModelForMultimodalLM

    # Named, not imported: whoever imports the pipeline's own module first gets here half-way through it.
    module.PIPELINE_REGISTRY.supported_tasks[TASK] = {
        "impl": f"{__package__}.pipeline_mser.SpeechEmotionPipeline",
        "pt": (AutoModelForMultimodalLM, AutoModelForAudioClassification),
        "default": {"model": (str(EMBEDDED_CHECKPOINT), "main")},
        "type": "multimodal",
    }


def _after_import(name: str, action: Callable[[ModuleType], None]) -> None:
    """Run `action(module)` as soon as the module is there: now, or right after its first import."""
    if name in sys.modules:
        action(sys.modules[name])
    else:
        sys.meta_path.insert(0, _AfterImport(name, action))


class _AfterImport(importlib.abc.MetaPathFinder):
    """Finds one module as everybody else would, and adds a step to its loading."""

    def __init__(self, name: str, action: Callable[[ModuleType], None]):
        self.name = name
        self.action = action

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute, action = spec.loader.exec_module, self.action

            def execute_then_act(module: ModuleType) -> None:
                execute(module)
                action(module)

            loader: Any = spec.loader
            loader.exec_module = execute_then_act
        return spec
