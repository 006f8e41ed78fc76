"""What evaluation knows of a clip: where its sound is, who speaks, and what a person heard in it.

Protocols, predictors and metrics all speak of clips, so that none of them depends on how a corpus is stored.
"""

from __future__ import annotations

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


def read_clips(name_or_dir: str | Path) -> list[Clip]:
    """The clips of a corpus, by the name of a prepared one or by its folder, in the order of its metadata.

    Example:
        >>> clips = read_clips("emodb")  # doctest: +SKIP
    """
    from ..corpora import load_corpus

    dataset = load_corpus(name_or_dir, columns=("file_name",))
    emotions = dataset.features["emotion"].names
    return [_clip_of_row(row, emotions) for row in dataset]


def _clip_of_row(row: dict[str, Any], emotions: list[str]) -> Clip:
    return Clip(
        corpus=row["corpus"],
        name=row["file_name"],
        audio=row["audio"]["path"],
        emotion=None if row["emotion"] is None else emotions[row["emotion"]],
        speaker=row["speaker"],
        gender=row["gender"],
        language=row["language"],
        duration=row["duration"],
        split=row["split"],
    )
