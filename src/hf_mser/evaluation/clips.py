"""What evaluation knows of a clip: where its sound is, who speaks, and what a person heard in it.

Protocols, predictors and metrics all speak of clips, so that none of them depends on how a corpus is stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Clip:
    """One recording with its reference label.

    Example:
        >>> clip = Clip(corpus="emodb", name="03a01Fa.ogg", audio="emodb/03a01Fa.ogg", emotion="happy")
        >>> clip.key
        'emodb/03a01Fa.ogg'
    """

    corpus: str
    name: str
    audio: Any
    emotion: str | None
    speaker: str | None = None
    gender: str | None = None
    language: str | None = None
    duration: float | None = None
    split: str | None = None

    @property
    def key(self) -> str:
        """The clip's identity over all corpora."""
        return f"{self.corpus}/{self.name}"

    @property
    def speaker_key(self) -> str:
        """The speaker's identity over all corpora; a clip of an unknown speaker stands for itself."""
        return f"{self.corpus}/{self.speaker}" if self.speaker else f"{self.key}?"


def read_folder(folder: str | Path) -> list[Clip]:
    """The clips of an audio folder, in the order of its `metadata.jsonl`."""
    folder = Path(folder)
    lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return [_clip_of_row(json.loads(line), folder) for line in lines if line.strip()]


def with_emotion(clips: Iterable[Clip]) -> list[Clip]:
    """The clips that carry one of the canonical emotions."""
    return [clip for clip in clips if clip.emotion is not None]


def _clip_of_row(row: dict[str, Any], folder: Path) -> Clip:
    return Clip(
        corpus=row.get("corpus") or folder.name,
        name=row["file_name"],
        audio=str(folder / row["file_name"]),
        emotion=row.get("emotion"),
        speaker=row.get("speaker"),
        gender=row.get("gender"),
        language=row.get("language"),
        duration=row.get("duration"),
        split=row.get("split"),
    )
