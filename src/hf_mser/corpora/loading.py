"""`load_corpus`: an audio folder with `metadata.jsonl` becomes a `datasets.Dataset` in the one schema.

Nothing is dropped on the way. A row that names a missing file, a label that the corpus does not have, a
speaker of two genders: every such fault is collected and the whole list ends in one `CorpusError`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..emotions import EMOTIONS, UnknownLabelError, emotion_of
from .definition import Corpus, View
from .metadata import CHECKSUMS, read_metadata, verify_checksums
from .reading import files
from .schema import COLUMNS, METADATA, SPLITS, CorpusError, CorpusNotFoundError, CorpusWarning, features

if TYPE_CHECKING:
    from datasets import Dataset

SPLIT_KINDS = ("speaker", "official")
_SHOWN = 10


def corpora_root() -> Path:
    """Where prepared corpora live: `$HF_MSER_CORPORA`, or `~/.cache/hf_mser/corpora`.

    Example:
        >>> corpora_root().is_absolute()
        True
    """
    return Path(os.environ.get("HF_MSER_CORPORA") or "~/.cache/hf_mser/corpora").expanduser().absolute()


def load_corpus(
    name_or_dir: str | Path,
    *,
    split: str | None = None,
    splits: str = "speaker",
    view: str | None = None,
    classes: Sequence[str] | None = None,
    columns: Sequence[str] = (),
    root: str | Path | None = None,
    verify: bool = False,
) -> Dataset:
    """A corpus as a `datasets.Dataset` in the schema of `hf_mser.corpora.schema.COLUMNS`.

    Args:
        name_or_dir: A folder with `metadata.jsonl`, or the name of a corpus prepared under `root`.
        split: Keep the clips of one split (`train`, `validation`, `test`).
        splits: `"speaker"` for our fixed speaker-independent split, `"official"` for the authors' own.
        view: Keep the classes of a view of the corpus (`"4-class"`, `"7-class"`).
        classes: Class names of your own folder, where they are not the seven emotions.
        columns: Further columns of `metadata.jsonl` to keep (`"sentence_id"` ...).
        root: Where prepared corpora live, by default `corpora_root()`.
        verify: Also compare every file with the checksums that `prepare` wrote.

    Samples are read by `hf_mser.audio.load_audio(row["audio"])`; no decoder library is needed.

    Example:
        >>> dataset = load_corpus("emodb", split="test", view="4-class")  # doctest: +SKIP
        >>> dataset.features["emotion"].names  # doctest: +SKIP
        ['neutral', 'happy', 'sad', 'angry']
    """
    if splits not in SPLIT_KINDS:
        raise CorpusError(f"splits={splits!r} is not one of {SPLIT_KINDS}.")
    folder = _find(name_or_dir, root)
    rows = list(read_metadata(folder))
    corpus = _definition_of(rows)
    chosen_view = _view(corpus, view)
    names = tuple(chosen_view.classes) if chosen_view else tuple(classes or EMOTIONS)
    if (folder / CHECKSUMS).is_file() or verify:
        # The list itself is always checked: a list cut short would pass for a smaller corpus.
        verify_checksums(folder, only=None if verify else METADATA)
    _warn_of_unlisted(folder, rows)

    faults: list[str] = []
    records = [_record(row, folder, corpus, splits, names, chosen_view, columns, faults) for row in rows]
    faults += _conflicting_genders(records)
    if faults:
        shown = "\n  ".join(faults[:_SHOWN])
        more = f"\n  ... and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise CorpusError(f"{folder}: {len(faults)} faults; mend {METADATA} or the files.\n  {shown}{more}")

    if chosen_view is not None:
        records = [record for record in records if record["emotion"] is not None]
    if split is not None:
        records = _of_split(records, split, splits, corpus, folder)
    return _dataset(records, names, columns)


def _find(name_or_dir: str | Path, root: str | Path | None) -> Path:
    folder = Path(name_or_dir).expanduser()
    if folder.is_dir():
        return folder.absolute()
    if isinstance(name_or_dir, Path) or os.sep in str(name_or_dir):
        raise CorpusNotFoundError(f"{folder} is not a folder.")
    from . import get  # the registry imports this module

    corpus = get(str(name_or_dir))
    prepared = (Path(root) if root is not None else corpora_root()).absolute() / corpus.name
    if not prepared.is_dir():
        raise CorpusNotFoundError(
            f"{corpus.title} is not prepared: {prepared} does not exist. Get it from {corpus.homepage}, "
            f"then run `mser corpora prepare {corpus.name} --source DIR --output {prepared}`."
        )
    return prepared


def _warn_of_unlisted(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    listed = {os.path.normpath(row["file_name"]).replace(os.sep, "/") for row in rows}
    left = [path for path in files(folder) if path not in listed]
    if left:
        message = f"{folder}: {len(left)} sound files are not in {METADATA} and stay out, the first: {left[0]}."
        warnings.warn(message, CorpusWarning, stacklevel=3)


def _definition_of(rows: Sequence[Mapping[str, Any]]) -> Corpus | None:
    """The definition of a folder whose rows all name one known corpus; else it is somebody's own folder."""
    from . import get

    named = {row.get("corpus") for row in rows}
    if len(named) != 1:
        return None
    try:
        return get(str(named.pop()))
    except CorpusNotFoundError:
        return None


def _view(corpus: Corpus | None, view: str | None) -> View | None:
    if view is None:
        return None
    views = corpus.views if corpus else {}
    if view not in views:
        known = ", ".join(views) or "none, as it is not a known corpus (use `classes`)"
        raise CorpusError(f"There is no view {view!r} of this corpus. Its views: {known}.")
    return views[view]


def _record(
    row: Mapping[str, Any],
    folder: Path,
    corpus: Corpus | None,
    splits: str,
    classes: Sequence[str],
    view: View | None,
    columns: Sequence[str],
    faults: list[str],
) -> dict[str, Any]:
    name = row["file_name"]
    path = os.path.join(folder, name)
    try:
        if not os.stat(path).st_size:
            faults.append(f"{name}: the file is empty")
    except FileNotFoundError:
        faults.append(f"{name}: the file is missing")
    speaker = None if row.get("speaker") is None else str(row["speaker"])
    record = {
        "audio": {"bytes": None, "path": path},
        "emotion": _emotion(row, corpus, classes, view, faults),
        "original_label": row.get("original_label", row.get("emotion")),
        "speaker": speaker,
        "gender": {"m": "male", "f": "female"}.get(str(row.get("gender")).lower(), row.get("gender")),
        "language": row.get("language") or (corpus.language if corpus else None),
        "text": row.get("text"),
        "duration": row["duration"] if "duration" in row else _duration(path),
        "corpus": corpus.name if corpus else str(row.get("corpus") or folder.name),
        "split": _split(row, corpus, speaker, splits),
        "licence": row.get("licence") or (corpus.licence if corpus else None),
    }
    return record | {column: row.get(column) for column in columns}


def _emotion(
    row: Mapping[str, Any],
    corpus: Corpus | None,
    classes: Sequence[str],
    view: View | None,
    faults: list[str],
) -> int | None:
    """The index of a row's class; what the row says itself must agree with the corpus' label table."""
    stated = row.get("emotion")
    if corpus is None:
        if stated is None or stated in classes:
            emotion = stated
        else:
            emotion = emotion_of(str(stated))
            if emotion not in classes:
                known = ", ".join(classes)
                raise UnknownLabelError(
                    f"{row['file_name']}: the label {stated!r} is none of the classes: {known}. "
                    "Name your own by load_corpus(..., classes=[...])."
                )
        return None if emotion is None else list(classes).index(emotion)
    label = row.get("original_label")
    if label is None:
        faults.append(f"{row['file_name']}: no original_label")
        return None
    emotion = corpus.emotion(str(label))
    if "emotion" in row and stated != emotion:
        faults.append(f"{row['file_name']}: emotion {stated!r}, but in {corpus.name} {label!r} is {emotion!r}")
    if view is not None:
        emotion = view.emotion(corpus.name, str(label))
    return classes.index(emotion) if emotion is not None and emotion in classes else None


def _duration(path: str) -> float | None:
    """Seconds by the file's header, for folders whose metadata leaves `duration` out."""
    import soundfile

    try:
        return float(soundfile.info(path).duration)
    except (RuntimeError, OSError):  # no such file, or a container that only another decoder knows
        return None


def _split(row: Mapping[str, Any], corpus: Corpus | None, speaker: str | None, splits: str) -> str | None:
    if splits == "official":
        return row.get("official_split")
    if corpus is None:
        return row.get("split")
    return corpus.split_of(speaker, row.get("official_split"))


def _conflicting_genders(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """One id for a woman and a man is two people: their clips would stand on one side by accident."""
    genders: dict[str, set[str]] = {}
    for record in records:
        if record["speaker"] is not None and record["gender"] is not None:
            genders.setdefault(record["speaker"], set()).add(record["gender"])
    return [
        f"speaker {speaker}: listed as {' and as '.join(sorted(found))}; two people under one id"
        for speaker, found in sorted(genders.items())
        if len(found) > 1
    ]


def _of_split(
    records: list[dict[str, Any]], split: str, splits: str, corpus: Corpus | None, folder: Path
) -> list[dict[str, Any]]:
    kept = [record for record in records if record["split"] == split]
    if not kept:
        present = sorted({str(record["split"]) for record in records})
        note = f" {corpus.title}: {' '.join(corpus.notes)}" if corpus and corpus.notes else ""
        known = "" if split in SPLITS else f" Splits are {', '.join(SPLITS)}."
        raise CorpusError(f"{folder}: no clip of the {splits} split {split!r}, only {present}.{known}{note}")
    return kept


def _dataset(records: Sequence[Mapping[str, Any]], classes: Sequence[str], columns: Sequence[str]) -> Dataset:
    """Built from an Arrow table: `Dataset.from_list` would ask for a decoder library that is not needed."""
    import pyarrow
    from datasets import Dataset, Features
    from datasets.table import InMemoryTable

    extra = pyarrow.Table.from_pydict({column: [record[column] for record in records] for column in columns})
    schema = Features(features(classes) | Features.from_arrow_schema(extra.schema)).arrow_schema
    rows = [{column: record[column] for column in (*COLUMNS, *columns)} for record in records]
    return Dataset(InMemoryTable(pyarrow.Table.from_pylist(rows, schema=schema)))
