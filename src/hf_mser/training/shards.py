"""The files of the feature cache: a shard of raw frames, an index beside it, and who is writing."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

INDEX, FRAMES = ".index.jsonl", ".frames"

# NumPy has no bfloat16; its bits travel as integers.
STORED_AS = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}


@dataclass(frozen=True)
class Entry:
    """Where the frames of one clip lie."""

    shard: Path
    offset: int
    shape: tuple[int, ...]
    dtype: str
    checksum: int

    @property
    def bytes(self) -> int:
        return int(np.prod(self.shape)) * np.dtype(STORED_AS[self.dtype]).itemsize


def index_of(shard: Path) -> Path:
    """The index beside a shard."""
    return shard.with_name(shard.name.removesuffix(FRAMES) + INDEX)


def shard_of(index: Path) -> Path:
    """The shard beside an index."""
    return index.with_name(index.name.removesuffix(INDEX) + FRAMES)


def writer() -> str:
    """This process, as the name of a shard says it."""
    return f"{platform.node()}-{os.getpid()}"


def size_of(path: Path) -> int:
    """The size of a file; 0 where another process has removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def trim_abandoned(root: Path) -> None:
    """Give back what processes of this host had claimed that ended without a word."""
    host = platform.node()
    for shard in root.glob(f"*/*{FRAMES}"):
        name, _, _ = shard.name.rpartition("-")
        owner, _, process = name.rpartition("-")
        if owner == host and process.isdigit() and not _is_alive(int(process)):
            os.truncate(shard, min(max([0, *_ends_of_entries(index_of(shard))]), size_of(shard)))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it lives, and belongs to somebody else
        return True
    return True


def _ends_of_entries(index: Path) -> Iterator[int]:
    if index.exists():
        for line in index.read_bytes().splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                record = json.loads(line)
                width = np.dtype(STORED_AS[record["dtype"]]).itemsize
                yield record["offset"] + int(np.prod(record["shape"])) * width
