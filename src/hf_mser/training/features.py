"""The frozen encoder's frames, computed once and read from disk ever after.

A cache is a folder for each encoder (its key is a hash of weights, layers and settings) with *shards*: a file of
raw frames beside an index with one line for each clip. A shard has one writer for life and only grows; a line
enters the index after the frames that it describes. So several processes share a cache without locks on the
way, and a killed process leaves at most bytes that no index mentions. Clips are keyed by the hash of their
content. What does not match its checksum is forgotten and computed again.
"""

from __future__ import annotations

import json
import os
import uuid
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import MSERError
from .shards import FRAMES, INDEX, STORED_AS, Entry, index_of, shard_of, size_of, trim_abandoned, writer

LOCK = "lock"
GIGABYTE = 1024**3


class FeatureCacheError(MSERError, OSError):
    """The cache's folder cannot be used."""


class FeatureCacheWarning(UserWarning):
    """The cache goes on, but slower than it could: it is full, or found damage."""


class FrozenFeatureCache:
    """Frames of clips by their content, memory-mapped, bounded in size, shared by processes.

    Args:
        folder: the cache's root; several encoders and several runs may share it.
        encoder: the key of the encoder, from `encoder_key(model, processor)`.
        max_bytes: the size that all shards under `folder` together never exceed. When it is reached, shards of
            *other* encoders go first, the oldest before the others; then nothing more is stored.
        shard_bytes: the size of one shard.

    Example:
        >>> import tempfile
        >>> cache = FrozenFeatureCache(tempfile.mkdtemp(), encoder="an-encoder")
        >>> cache.put_many({"a-clip": torch.ones(2, 3, 4)})
        >>> cache.get("a-clip").shape, cache.get("another") is None
        (torch.Size([2, 3, 4]), True)
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        encoder: str,
        max_bytes: int = 50 * GIGABYTE,
        shard_bytes: int = GIGABYTE // 4,
    ) -> None:
        self.root = Path(folder)
        self.folder = self.root / encoder
        self.max_bytes = max_bytes
        self.shard_bytes = min(shard_bytes, max_bytes)
        self.hits = self.misses = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FeatureCacheError(
                f"The feature cache {self.folder} cannot be made: {error}. Give feature_cache another folder, or "
                "turn it off."
            ) from error
        self._forget_process()

    def get(self, clip: str) -> Tensor | None:
        """The frames of a clip, or `None` where they are not stored (or damaged)."""
        frames = None
        while frames is None:  # where one copy is damaged, another shard may hold a sound one
            entry = self._entries.get(clip) or self._look_again(clip)
            if entry is None:
                break
            frames = self._read(clip, entry)
        self.hits, self.misses = self.hits + (frames is not None), self.misses + (frames is None)
        return frames

    def put_many(self, frames: Mapping[str, Tensor]) -> None:
        """Store the frames of several clips; all of them become visible at once.

        A cache that is full or a disk that is full stores nothing more, says so once, and is no error: training
        goes on without.
        """
        new = {clip: tensor.detach().cpu().contiguous() for clip, tensor in frames.items()}
        lines: dict[Path, list[dict[str, Any]]] = {}
        try:
            for clip, tensor in new.items():
                if clip in self._entries or not self._room_for(tensor.nbytes):
                    continue
                entry = self._append(tensor)
                self._pending[clip] = entry
                lines.setdefault(entry.shard, []).append(
                    {"clip": clip, **{k: v for k, v in vars(entry).items() if k != "shard"}}
                )
            for shard, entries in lines.items():
                self._publish(shard, entries)
        except OSError as error:
            self._stop_storing(f"it cannot be written ({error})")
        self._pending.clear()

    def __len__(self) -> int:
        self._scan()
        return len(self._entries)

    def __getstate__(self) -> dict[str, Any]:
        """Copies in other processes read the same files, and write shards of their own."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget_process()

    def _forget_process(self) -> None:
        """Everything that belongs to one process: its view of the index, its maps, its shard."""
        self._entries: dict[str, Entry] = {}
        self._pending: dict[str, Entry] = {}
        self._read_up_to: dict[Path, int] = {}
        self._maps: dict[Path, np.memmap] = {}
        self._checked: set[str] = set()
        self._damaged: set[tuple[str, Path, int]] = set()
        self._warned: set[str] = set()
        self._shard: Path | None = None
        self._shard_used = self._shard_size = 0
        self._full = False

    def bytes_on_disk(self) -> int:
        """The size of all shards under the root, of all encoders."""
        return sum(size_of(path) for path in self.root.glob(f"*/*{FRAMES}"))

    # Reading

    def _look_again(self, clip: str) -> Entry | None:
        """Another process may have stored the clip since the index was read."""
        self._scan()
        return self._entries.get(clip)

    def _scan(self) -> None:
        for index in self.folder.glob(f"*{INDEX}"):
            known = self._read_up_to.get(index, 0)
            if size_of(index) <= known:
                continue
            try:
                with index.open("rb") as file:
                    file.seek(known)
                    text = file.read()
            except FileNotFoundError:
                continue  # evicted by another process
            complete = text.rfind(b"\n") + 1  # a last line without its end is still being written
            self._read_up_to[index] = known + complete
            shard = shard_of(index)
            for line in text[:complete].splitlines():
                self._remember(shard, line)

    def _remember(self, shard: Path, line: bytes) -> None:
        try:
            record = json.loads(line)
            clip = record.pop("clip")
            record["shape"] = tuple(record["shape"])
            entry = Entry(shard, **record)
            if entry.dtype in STORED_AS and (clip, shard, entry.offset) not in self._damaged:
                self._entries[clip] = entry
        except (ValueError, TypeError, KeyError):
            self._warn_once("damage", f"{shard.name}: a line of its index is damaged; its clip is computed again.")

    def _read(self, clip: str, entry: Entry) -> Tensor | None:
        try:
            shard = self._maps.get(entry.shard)
            if shard is None or entry.offset + entry.bytes > len(shard):
                shard = self._maps[entry.shard] = np.memmap(entry.shard, dtype=np.uint8, mode="r")
            raw = np.array(shard[entry.offset : entry.offset + entry.bytes])  # a copy: the file may go away
        except (OSError, ValueError):
            raw = np.empty(0, np.uint8)
        if len(raw) != entry.bytes or (clip not in self._checked and zlib.crc32(raw.tobytes()) != entry.checksum):
            self._entries.pop(clip, None)
            self._damaged.add((clip, entry.shard, entry.offset))
            self._read_up_to.clear()
            if entry.shard.exists():
                self._warn_once("damage", f"{entry.shard} is damaged; what it held is computed again.")
            return None
        self._checked.add(clip)
        frames = torch.from_numpy(raw.view(STORED_AS[entry.dtype])).reshape(entry.shape)
        return frames.view(torch.bfloat16) if entry.dtype == "bfloat16" else frames

    # Writing

    def _append(self, tensor: Tensor) -> Entry:
        shard = self._shard
        if shard is None:
            raise FeatureCacheError("No shard is open.")
        bits = tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor
        raw = bits.numpy().tobytes()
        with shard.open("r+b") as file:
            file.seek(self._shard_used)
            file.write(raw)
        entry = Entry(
            shard, self._shard_used, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), zlib.crc32(raw)
        )
        self._shard_used += len(raw)
        return entry

    def _publish(self, shard: Path, entries: Sequence[Mapping[str, Any]]) -> None:
        """One write for all lines, so that a kill leaves all of them or none."""
        index = index_of(shard)
        with index.open("ab", buffering=0) as file:
            file.write("".join(json.dumps(entry) + "\n" for entry in entries).encode("utf-8"))
        for entry in entries:
            self._entries[entry["clip"]] = self._pending[entry["clip"]]

    def _room_for(self, size: int) -> bool:
        if self._full:
            return False
        if self._shard is not None and self._shard_used + size <= self._shard_size:
            return True
        return self._open_shard(max(size, self.shard_bytes))

    def _open_shard(self, size: int) -> bool:
        """Claim the space of a whole shard, under a lock: the sum of claims is what never exceeds the bound."""
        from filelock import FileLock

        with FileLock(self.root / LOCK):
            self._trim_shard()
            trim_abandoned(self.root)
            if not self._make_room(size):
                self._stop_storing(f"its bound of {self.max_bytes / GIGABYTE:.1f} GiB is reached")
                return False
            self._shard = self.folder / f"{writer()}-{uuid.uuid4().hex}{FRAMES}"
            with self._shard.open("wb") as file:
                file.truncate(size)
        self._shard_used, self._shard_size = 0, size
        return True

    def _make_room(self, size: int) -> bool:
        others = [path for path in self.root.glob(f"*/*{FRAMES}") if path.parent != self.folder]
        oldest_first = iter(sorted(others, key=lambda path: path.stat().st_mtime))
        while self.bytes_on_disk() + size > self.max_bytes:
            victim = next(oldest_first, None)
            if victim is None:
                return False
            index_of(victim).unlink(missing_ok=True)
            victim.unlink(missing_ok=True)
        return True

    def _trim_shard(self) -> None:
        """Give back what the last shard claimed and did not use."""
        if self._shard is not None and self._shard.exists():
            os.truncate(self._shard, self._shard_used)

    def close(self) -> None:
        """Give back claimed space; the cache can still be used."""
        self._trim_shard()
        self._shard, self._shard_used, self._shard_size = None, 0, 0

    def _stop_storing(self, reason: str) -> None:
        self._full = True
        self._warn_once("full", f"The feature cache {self.root} stores nothing more: {reason}. Training goes on.")

    def _warn_once(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(message, FeatureCacheWarning, stacklevel=3)
