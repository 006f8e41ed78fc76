"""The files that a checkpoint carries, so that it works where this package is not installed.

`trust_remote_code=True` copies them out of the checkpoint and imports them. They are flat, import each other
with `from .module import name` only, and need torch, transformers, numpy, soundfile and soxr.
"""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

ENTRY_FILES = ("configuration_mser.py", "modeling_mser.py", "processing_mser.py", "pipeline_mser.py")
CLASSIFIER_ENTRY_FILES = (
    "configuration_classification.py",
    "modeling_classification.py",
    "processing_classification.py",
    "pipeline_mser.py",
)

AUTO_MAP = {
    "AutoConfig": "configuration_mser.MSERConfig",
    "AutoModel": "modeling_mser.MSERForEmotionGeneration",
    "AutoModelForMultimodalLM": "modeling_mser.MSERForEmotionGeneration",
    "AutoProcessor": "processing_mser.MSERProcessor",
}

CUSTOM_PIPELINES = {
    "speech-emotion": {
        "impl": "pipeline_mser.SpeechEmotionPipeline",
        "pt": ["AutoModelForMultimodalLM"],
        "type": "multimodal",
    }
}

CLASSIFIER_AUTO_MAP = {
    "AutoConfig": "configuration_classification.MSERClassificationConfig",
    "AutoModel": "modeling_classification.MSERForEmotionClassification",
    "AutoModelForAudioClassification": "modeling_classification.MSERForEmotionClassification",
    "AutoProcessor": "processing_classification.MSERSpeechProcessor",
}

CLASSIFIER_PIPELINES = {
    "speech-emotion": {
        "impl": "pipeline_mser.SpeechEmotionPipeline",
        "pt": ["AutoModelForAudioClassification"],
        "type": "multimodal",
    }
}


def write_code(
    folder: str | os.PathLike, checkpoint: str | os.PathLike = "", entry_files: Sequence[str] = ENTRY_FILES
) -> None:
    """Copy the entry files, and what they import, into a checkpoint's folder.

    Args:
        folder: Where to.
        checkpoint: Where the model came from. Code that came from a local checkpoint is kept by Transformers in
            one folder per entry file, none of them complete, so the checkpoint itself is the second place to look.
        entry_files: Those of the kind of model that the checkpoint holds.
    """
    target = Path(folder).resolve()
    target.mkdir(parents=True, exist_ok=True)
    places = (Path(__file__).resolve().parent, Path(checkpoint).resolve())
    for path in _code_files(places, entry_files):
        if path.parent != target:
            # Bytes alone, not times and modes: a checkpoint must come out the same wherever it is written.
            shutil.copyfile(path, target / path.name)


def _code_files(places: Sequence[Path], entry_files: Sequence[str]) -> list[Path]:
    """The entry files and everything that they import from this package, directly or not."""
    found: dict[str, Path] = {}
    waiting = list(entry_files)
    while waiting:
        name = waiting.pop()
        path = next((place / name for place in places if (place / name).is_file()), None)
        if name not in found and path is not None:
            found[name] = path
            source = path.read_text(encoding="utf-8")
            waiting += [f"{module}.py" for module in re.findall(r"^\s*from \.(\w+) import", source, re.MULTILINE)]
    return [found[name] for name in sorted(found)]
