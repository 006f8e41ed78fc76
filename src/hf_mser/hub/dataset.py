"""A prepared corpus, or a data set that is built already -> the folder that the Hub will hold.

A corpus becomes sharded parquet with the sound inside, one configuration a language, so that `load_dataset(name,
"fr")` needs neither the original files nor a decoder library.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..corpora.loading import load_corpus
from ..corpora.metadata import CHECKSUMS, verify_checksums
from ..corpora.schema import METADATA
from ..m5ser.build import BUILD
from .errors import HubError

SHARD_BYTES = 500_000_000
ROWS_AT_ONCE = 100


def write_dataset(source: Path, folder: Path, shard_bytes: int = SHARD_BYTES) -> dict[str, Any] | None:
    """Write the data into `folder`; the facts for its card, or nothing if `source` brings its own.

    Args:
        source: A prepared corpus (`mser corpora prepare`), or a folder of parquet files with a card, as
            `mser m5ser build` leaves it.
        folder: Where to.
        shard_bytes: About how large a parquet file may grow.
    """
    if (source / METADATA).is_file():
        return _write_corpus(source, folder, shard_bytes)
    if (source / BUILD).is_file() and not (source / CHECKSUMS).is_file():
        raise HubError(
            f"{source} is not finished: it has no {CHECKSUMS}. Give the same `mser m5ser build` command again."
        )
    if (source / "README.md").is_file() and any(source.rglob("*.parquet")):
        if (source / CHECKSUMS).is_file():
            verify_checksums(source)
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "*.part"))
        return None
    raise HubError(f"{source} is no data set: it holds neither a {METADATA} nor parquet files with a README.md.")


def _write_corpus(source: Path, folder: Path, shard_bytes: int) -> dict[str, Any]:
    dataset = load_corpus(source)
    table = dataset.to_list()
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in table:
        groups.setdefault((row["language"] or "und", row["split"] or "train"), []).append(row)
    configs: dict[str, dict[str, str]] = {}
    for (language, split), rows in sorted(groups.items()):
        place = folder / "data" / language
        _write_shards(rows, dataset.features, place, split, shard_bytes)
        configs.setdefault(language, {})[split] = f"data/{language}/{split}-*.parquet"
    _write_checksums(folder)
    names = dataset.features["emotion"].names
    return {
        "name": source.name,
        "configs": configs,
        "clips": len(table),
        "hours": sum(row["duration"] or 0 for row in table) / 3600,
        "speakers": len({(row["corpus"], row["speaker"]) for row in table if row["speaker"]}),
        "languages": sorted({row["language"] for row in table if row["language"]}),
        "corpora": sorted({row["corpus"] for row in table}),
        "licences": sorted({row["licence"] for row in table if row["licence"]}),
        "emotions": Counter(
            "none" if row["emotion"] is None else names[row["emotion"]]
            for row in sorted(table, key=lambda row: -1 if row["emotion"] is None else row["emotion"])
        ),
    }


def _write_shards(rows: Sequence[Mapping[str, Any]], features: Any, place: Path, split: str, shard_bytes: int) -> None:
    """Each shard holds whole rows; its name says how many there are, so they are counted before they are written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    shards = list(_in_shards(rows, shard_bytes))
    place.mkdir(parents=True, exist_ok=True)
    schema = features.arrow_schema
    for number, shard in enumerate(shards):
        path = place / f"{split}-{number:05d}-of-{len(shards):05d}.parquet"
        with pq.ParquetWriter(path, schema, use_content_defined_chunking=True) as writer:
            for start in range(0, len(shard), ROWS_AT_ONCE):
                part = [_with_sound(row) for row in shard[start : start + ROWS_AT_ONCE]]
                writer.write_table(pa.Table.from_pylist(part, schema=schema))


def _in_shards(rows: Iterable[Mapping[str, Any]], shard_bytes: int) -> Iterator[list[Mapping[str, Any]]]:
    shard: list[Mapping[str, Any]] = []
    filled = 0
    for row in rows:
        size = Path(row["audio"]["path"]).stat().st_size
        if shard and filled + size > shard_bytes:
            yield shard
            shard, filled = [], 0
        shard.append(row)
        filled += size
    yield shard


def _with_sound(row: Mapping[str, Any]) -> dict[str, Any]:
    path = Path(row["audio"]["path"])
    return {**row, "audio": {"bytes": path.read_bytes(), "path": path.name}}


def _write_checksums(folder: Path) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*.parquet"))
    ]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")
