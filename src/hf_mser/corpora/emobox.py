"""EmoBox manifests: lists of clips in JSON lines, one folder a fold, read, written and checked.

    iemocap/iemocap.jsonl                      the corpus
    iemocap/label_map.json                     its labels
    iemocap/fold_1/iemocap_train_fold_1.jsonl  one side of a fold: train, valid (not everywhere), test

The manifests name no speakers. They stand in the file names, and reading them there shows that about
half of the published folds have the same people on both sides: `check_fold` says who.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..emotions import UnknownLabelError, emotion_of_label
from .schema import CorpusError, CorpusNotFoundError

SIDES = {"train": "train", "validation": "valid", "test": "test"}
_FIELDS = ("key", "dataset", "wav", "emo")

# Where the paths of EmoBox name the speaker; several groups are put together. MELD and RESD name none.
_SPEAKERS = {
    "aesdd": r"\((\d)\)\.wav$",
    "cafe": r"/(\d\d)-[A-Z]-\d-\d\.wav$",
    "casia": r"casia/(\w+)/",
    "cremad": r"/(\d{4})_[A-Z]{3}_",
    "emodb": r"/(\d\d)[ab]\d\d\w+\.wav$",
    "emovdb": r"/([a-z]+)_[A-Za-z]+/[^/]+$",
    "emovo": r"emovo/([fm]\d)/",
    "enterface": r"/subject ?(\d+)/",
    "esd": r"/(\d{4})_\d{6}\.wav$",
    "iemocap": r"/(Ses\d\d)[^/]*_([FM])\d+\.wav$",
    "jlcorpus": r"/((?:fe)?male\d)_[a-z]+_",
    "mead": r"/([MW]\d{3})/",
    "ravdess": r"-(\d\d)\.wav$",
    "savee": r"/(DC|JE|JK|KL)_",
    "shemo": r"/([FM]\d\d)[A-Z]\d+\.wav$",
    "subesco": r"/([FM]_\d\d)_",
    "tess": r"/(OAF?|YAF)_",
    "turevdb": r"/(\d+)_[a-z]+_",
    "urdu": r"/(S[FM]\d+)_F\d+_",
}


@dataclass(frozen=True)
class ManifestEntry:
    """One line of a manifest. `extra` keeps every field that this class does not name, for writing it back."""

    key: str
    dataset: str
    wav: str
    emo: str
    length: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def speaker(self) -> str | None:
        """The speaker by the file's name, or `None` where names do not tell."""
        pattern = _SPEAKERS.get(self.dataset)
        match = re.search(pattern, self.wav) if pattern else None
        return "".join(match.groups()) if match else None


@dataclass(frozen=True)
class FoldReport:
    """What a fold shares between its sides. `speakers_known` is false where file names tell no speakers."""

    dataset: str
    clips: Mapping[str, int]
    speakers: Mapping[str, int]
    shared_speakers: tuple[str, ...]
    shared_keys: tuple[str, ...]
    speakers_known: bool

    @property
    def ok(self) -> bool:
        """Nothing stands on two sides, and the speakers are known to say so."""
        return self.speakers_known and not self.shared_speakers and not self.shared_keys

    def __str__(self) -> str:
        sizes = ", ".join(f"{side} {count}" for side, count in self.clips.items())
        if not self.speakers_known:
            return f"{self.dataset} ({sizes}): the file names do not tell the speakers"
        shared = f"{len(self.shared_speakers)} of {self.speakers['test']} test speakers stand in train or validation"
        return f"{self.dataset} ({sizes}): {shared}; {len(self.shared_keys)} clips on two sides"


def read_manifest(path: str | Path) -> list[ManifestEntry]:
    """The entries of one `.jsonl` file; a broken line or a missing field is an error that names the line.

    Example:
        >>> read_manifest("emobox/emodb/emodb.jsonl")[0].speaker  # doctest: +SKIP
        '03'
    """
    path = Path(path)
    if not path.is_file():
        raise CorpusNotFoundError(f"There is no manifest {path}.")
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise CorpusError(f"{path}, line {number}: not JSON ({error}).") from error
        absent = [name for name in _FIELDS if name not in row]
        if absent:
            raise CorpusError(f"{path}, line {number}: no field {', '.join(absent)}.")
        known = {name: row.pop(name) for name in (*_FIELDS, "length") if name in row}
        entries.append(ManifestEntry(**known, extra=row))
    if not entries:
        raise CorpusError(f"{path}: the manifest is empty.")
    return entries


def write_manifest(path: str | Path, entries: Iterable[ManifestEntry]) -> None:
    """Write entries in EmoBox' order of fields; what was read comes out equal.

    Example:
        >>> write_manifest("fold_1/my_test_fold_1.jsonl", entries)  # doctest: +SKIP
    """
    path = Path(path)
    order = ("key", "dataset", "wav", "type", "sample_rate", "num_frame", "task", "length", "emo", "channel")
    lines = []
    for entry in entries:
        fields = {"key": entry.key, "dataset": entry.dataset, "wav": entry.wav, "emo": entry.emo, **entry.extra}
        if entry.length is not None:
            fields["length"] = entry.length
        ordered = {name: fields[name] for name in order if name in fields} | fields
        lines.append(json.dumps(ordered) + "\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text("".join(lines), encoding="utf-8", newline="\n")
    os.replace(partial, path)


def read_fold(folder: str | Path, fold: int = 1) -> dict[str, list[ManifestEntry]]:
    """The sides of a fold (`train`, `test`, and `validation` where it exists) of an EmoBox corpus folder.

    Example:
        >>> sorted(read_fold("emobox/meld"))  # doctest: +SKIP
        ['test', 'train', 'validation']
    """
    folder = Path(folder)
    paths = {side: _fold_path(folder, fold, side) for side in SIDES}
    return {side: read_manifest(path) for side, path in paths.items() if path.is_file() or side != "validation"}


def write_fold(folder: str | Path, fold: int, sides: Mapping[str, Sequence[ManifestEntry]]) -> None:
    """Write the sides of a fold where EmoBox looks for them.

    Example:
        >>> write_fold("emobox/my_corpus", 1, {"train": train, "test": test})  # doctest: +SKIP
    """
    for side, entries in sides.items():
        if side not in SIDES:
            raise CorpusError(f"{side!r} is no side of a fold; the sides are {', '.join(SIDES)}.")
        write_manifest(_fold_path(Path(folder), fold, side), entries)


def check_fold(sides: Mapping[str, Sequence[ManifestEntry]]) -> FoldReport:
    """Who stands on both sides of a fold: test speakers that were trained or validated on, and shared clips.

    Example:
        >>> print(check_fold(read_fold("emobox/emodb")))  # doctest: +SKIP
        emodb (train 428, test 107): 10 of 10 test speakers stand in train or validation; 0 clips on two sides
    """
    speakers = {side: {entry.speaker for entry in entries} for side, entries in sides.items()}
    keys = {side: {entry.key for entry in entries} for side, entries in sides.items()}
    seen: set[str | None] = set().union(*(found for side, found in speakers.items() if side != "test"))
    seen_keys: set[str] = set().union(*(found for side, found in keys.items() if side != "test"))
    test = speakers.get("test", set())
    return FoldReport(
        dataset=next(entry.dataset for entries in sides.values() for entry in entries),
        clips={side: len(entries) for side, entries in sides.items()},
        speakers={side: len(found - {None}) for side, found in speakers.items()},
        shared_speakers=tuple(sorted(str(speaker) for speaker in (test & seen) - {None})),
        shared_keys=tuple(sorted(keys.get("test", set()) & seen_keys)),
        speakers_known=all(None not in found for found in speakers.values()),
    )


def read_label_map(folder: str | Path) -> dict[str, str]:
    """Label -> EmoBox' unified word, from `label_map.json`; empty where a corpus has none."""
    path = Path(folder) / "label_map.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def emotion_of_entry(entry: ManifestEntry, label_map: Mapping[str, str]) -> str | None:
    """The canonical emotion of an entry, through its label map and then our one table of labels.

    Published maps have holes: a key of another case, or no map. Then the label itself must be known.

    Example:
        >>> clip = ManifestEntry("emodb-03a01Nc", "emodb", "wav/03a01Nc.wav", "neutral")
        >>> emotion_of_entry(clip, {"Neutral": "Neutral"})
        'neutral'
    """
    folded = {label.lower(): word for label, word in label_map.items()}
    word = label_map.get(entry.emo) or folded.get(entry.emo.lower(), entry.emo)
    try:
        return emotion_of_label("emobox", word)
    except UnknownLabelError as error:
        raise UnknownLabelError(f"{entry.dataset}, {entry.key}: the label {entry.emo!r} is unknown. {error}") from error


def _fold_path(folder: Path, fold: int, side: str) -> Path:
    return folder / f"fold_{fold}" / f"{folder.name}_{SIDES[side]}_fold_{fold}.jsonl"
