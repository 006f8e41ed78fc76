"""The one shape that every corpus takes: eleven columns, the same for 29 corpora and for your own folder.

A row holds where the sound is, what was felt, who spoke, and under which terms the clip may be used. On
disk it is an audio folder: clips beside a `metadata.jsonl` whose first field is `file_name`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..emotions import EMOTIONS
from ..errors import MSERError

if TYPE_CHECKING:
    from datasets import Features

COLUMNS: tuple[str, ...] = (
    "audio",
    "emotion",
    "original_label",
    "speaker",
    "gender",
    "language",
    "text",
    "duration",
    "corpus",
    "split",
    "licence",
)
"""The columns of `load_corpus`, in order. All but `audio`, `corpus` and `licence` may be null."""

SPLITS: tuple[str, ...] = ("train", "validation", "test")
GENDERS: tuple[str, ...] = ("female", "male")
METADATA = "metadata.jsonl"


class CorpusError(MSERError, ValueError):
    """A corpus, a manifest or a prepared folder is not what it claims to be."""


class CorpusNotFoundError(CorpusError, FileNotFoundError):
    """No corpus of that name, or no folder at that place."""


class CorpusWarning(UserWarning):
    """Something about a corpus that does not stop the work and that its reader should know."""


def features(classes: Sequence[str] = EMOTIONS) -> Features:
    """The `datasets.Features` of the schema; audio stays undecoded, `hf_mser.audio.load_audio` reads it.

    Example:
        >>> list(features())[:3]
        ['audio', 'emotion', 'original_label']
    """
    from datasets import Audio, ClassLabel, Features, Value

    columns = {column: Value("string") for column in COLUMNS}
    columns["audio"] = Audio(sampling_rate=16_000, decode=False)
    columns["emotion"] = ClassLabel(names=list(classes))
    columns["duration"] = Value("float64")
    return Features(columns)
