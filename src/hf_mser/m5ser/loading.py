"""`load_m5ser`: a built dataset, from a folder or the Hub, whole or streamed; no decoder library is needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..corpora.metadata import CHECKSUMS, verify_checksums
from .shards import M5SERError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

ALL = "all"


def load_m5ser(
    name_or_dir: str | Path,
    language: str | Sequence[str] | None = None,
    *,
    split: str | None = None,
    streaming: bool = False,
    revision: str | None = None,
    verify: bool = False,
) -> Dataset | DatasetDict | IterableDataset | IterableDatasetDict:
    """M5SER with the columns of every corpus and where each clip comes from.

    Args:
        name_or_dir: A folder that `mser m5ser build` wrote, or the name of a dataset on the Hub.
        language: One language, several, or (default) all.
        split: `train`, `validation` or `test`; by default a dictionary of those that there are.
        streaming: Read rows as they are asked for.
        revision: On the Hub.
        verify: Compare a folder's files with their checksums first.

    Samples are read by `hf_mser.load_audio(row["audio"])`.

    Example:
        >>> rows = load_m5ser("m5ser-mini", "fr", split="train", streaming=True)  # doctest: +SKIP
    """
    from datasets import concatenate_datasets, load_dataset

    options: dict[str, Any] = {"split": split, "streaming": streaming, "revision": revision}
    place = str(name_or_dir)
    if isinstance(name_or_dir, Path) or Path(place).expanduser().is_dir() or place.startswith((".", os.sep)):
        folder = finished_folder(name_or_dir)
        if verify:
            verify_checksums(folder)
        place = str(folder)
    if language is None or isinstance(language, str):
        return _load(load_dataset, place, language or ALL, options)
    if split is None:
        raise M5SERError("Several languages together need a split: load_m5ser(..., split='train').")
    return concatenate_datasets([_load(load_dataset, place, one, options) for one in language])


def finished_folder(name_or_dir: str | Path) -> Path:
    """The folder of a finished build, or an error that says what it lacks."""
    folder = Path(name_or_dir).expanduser().absolute()
    if not folder.is_dir():
        raise M5SERError(f"{folder} is not a folder. Make it with: mser m5ser build --source DIR --output {folder}")
    if not (folder / CHECKSUMS).is_file():
        raise M5SERError(f"{folder} holds no finished dataset. Give the command that builds it (again).")
    return folder


def _load(load_dataset: Any, place: str, language: str, options: dict[str, Any]) -> Any:
    try:
        return load_dataset(place, language, **options)
    except ValueError as error:  # no such configuration or split: `datasets` names those that there are
        raise M5SERError(f"{place}: {error}") from error
