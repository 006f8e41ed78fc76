"""The synthetic clips of `examples/`, for visitors without a microphone."""

import json
from pathlib import Path
from typing import NamedTuple

_FOLDERS = (
    Path(__file__).parent / "examples",  # in the installed package
    Path(__file__).resolve().parents[3] / "examples",  # in a checkout
)
_LANGUAGES = {
    "de": "German", "en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "pl": "Polish", "zh": "Mandarin",
}  # fmt: skip


class ExampleClip(NamedTuple):
    """A clip and what its button says."""

    name: str
    path: Path


def example_clips() -> list[ExampleClip]:
    """The call first, as it shows the time line; an empty list if they are not installed.

    Example:
        >>> example_clips()[0].name
        'A call of 40 s'
    """
    for folder in _FOLDERS:
        if (folder / "call.ogg").is_file():
            return [ExampleClip("A call of 40 s", folder / "call.ogg"), *_short_clips(folder / "clips")]
    return []


def _short_clips(folder: Path) -> list[ExampleClip]:
    lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [
        ExampleClip(f"{_LANGUAGES.get(row['language'], row['language'])}: {row['emotion']}", folder / row["file_name"])
        for row in rows
    ]
