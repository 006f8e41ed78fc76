"""Rows on disk: parquet with the sound inside, one file for each language, split and unit of work."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audio import SAMPLING_RATE
from ..corpora.schema import COLUMNS
from ..corpora.schema import features as corpus_features
from ..errors import MSERError
from ..evaluation.files import write_bytes

if TYPE_CHECKING:
    from datasets import Features

SOURCE_COLUMNS = ("source_corpus", "source_id", "source_language", "translator", "translator_version")
"""The columns that M5SER adds; the last two are null for the originals."""
_ROW_GROUP = 100


class M5SERError(MSERError):
    """A build, a filter or a folder of M5SER has a fault that the user can mend."""


def features() -> Features:
    """The features of every configuration of M5SER.

    Example:
        >>> list(features())[-1]
        'translator_version'
    """
    from datasets import Features, Value

    return Features(corpus_features() | {column: Value("string") for column in SOURCE_COLUMNS})


def shard_path(language: str, split: str, number: int) -> str:
    """Where the rows of a unit lie, relative to the dataset.

    Example:
        >>> shard_path("fr", "train", 3)
        'data/fr/train-00003.parquet'
    """
    return f"data/{language}/{split}-{number:05d}.parquet"


def encode(samples: np.ndarray) -> bytes:
    """16-bit FLAC at 16 kHz."""
    import soundfile

    pcm = np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def write_shard(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Write rows (with encoded audio) whole or not at all, and return the bytes; full disks are a clear error."""
    import pyarrow
    from pyarrow import parquet

    schema = features()
    names = schema["emotion"].names
    indexed = [{**row, "emotion": names.index(row["emotion"])} for row in rows]
    buffer = io.BytesIO()
    parquet.write_table(
        pyarrow.Table.from_pylist(indexed, schema=schema.arrow_schema), buffer, row_group_size=_ROW_GROUP
    )
    content = buffer.getvalue()
    write_bytes(folder / name, content)
    return content


def read_shard(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a shard, `emotion` as a word and `audio` as `{"bytes", "path"}`."""
    from pyarrow import parquet

    names = features()["emotion"].names
    try:
        table = parquet.ParquetFile(path)
    except Exception as error:
        raise M5SERError(f"{path}: not a parquet file ({error}). Build the dataset again.") from error
    missing = {*COLUMNS, *SOURCE_COLUMNS} - set(table.schema_arrow.names)
    if missing:
        raise M5SERError(f"{path}: no column {', '.join(sorted(missing))}; this is no shard of M5SER.")
    for batch in table.iter_batches(batch_size=_ROW_GROUP):
        for row in batch.to_pylist():
            yield {**row, "emotion": names[row["emotion"]]}
