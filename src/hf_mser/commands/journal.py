"""A run that writes a file can be killed at any moment: what it has finished is kept beside the file.

`OUTPUT.partial` holds a line of JSON per finished clip. A run with the same inputs, model and options goes on from
there. Clips are heard in parts that share no batch, and a run goes on at the beginning of a part: the model then
sees the very batches that it would have seen, and the file comes out the same to the last byte.
"""

import contextlib
import hashlib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..disk import claim, writing
from .inputs import NamedClip

Record = dict[str, Any]


def write_resumably(
    path: str | os.PathLike,
    clips: Sequence[NamedClip],
    predict: Callable[[Sequence[NamedClip]], Iterable[Record]],
    run: dict[str, Any],
    part_size: int,
    render: Callable[[Any, Iterable[Record]], None],
) -> None:
    """Predict all clips and write the results to `path`, which appears when it is complete.

    A device or a pipe takes them as they come: it must stay what it is, and nothing can go on from it.

    Args:
        path: The file to write.
        clips: What to predict.
        predict: Gives a record for each of some clips, in order.
        run: What else decides the results; must be JSON. Unfinished work of another run is thrown away.
        part_size: How many clips are given to `predict` at once.
        render: Writes records to an open file.
    """
    target = Path(path)
    if target.exists() and not target.is_file() and not target.is_dir():
        with writing(target), open(target, "w", encoding="utf-8", newline="") as file:
            render(file, predict(clips))
        return
    journal = _Journal(target.with_name(f"{target.name}.partial"), clips, run)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        done = journal.open(part_size)
        if done:
            print(f"mser: {target}: {done} of {len(clips)} clips were finished before; going on.", file=sys.stderr)
    try:
        for start in range(done, len(clips), part_size):
            part = clips[start : start + part_size]
            for clip, record in zip(part, predict(part), strict=True):
                with writing(journal.path):
                    journal.write(clip, record)
        _write_whole(target, lambda file: render(file, journal.records()))
    finally:
        journal.close()
    with writing(target):
        journal.path.unlink()


def _write_whole(target: Path, write: Callable[[Any], None]) -> None:
    aside = target.with_name(f".{target.name}.part")
    with writing(target):
        try:
            with open(aside, "w", encoding="utf-8", newline="") as file:
                write(file)
            os.replace(aside, target)
        finally:
            aside.unlink(missing_ok=True)


class _Journal:
    """Finished clips, a line each, under a first line that says whose they are."""

    def __init__(self, path: Path, clips: Sequence[NamedClip], run: dict[str, Any]):
        self.path = path
        self.clips = clips
        self.head = json.dumps({"run": run, "inputs": _digest(clips)}, sort_keys=True)
        self._file: Any = None

    def open(self, part_size: int) -> int:
        """Open for writing behind the whole parts that are there, and say how many clips they hold."""
        mode = "r+b" if self.path.exists() else "w+b"
        self._file = open(self.path, mode)  # noqa: SIM115 - closed by close()
        claim(self._file, self.path)
        if self._file.readline(len(self.head) + 2) != self.head.encode() + b"\n":
            self._file.seek(0)
            self._file.truncate()
            self._file.write(self.head.encode() + b"\n")
            self._file.flush()
            return 0
        done, ends = 0, [self._file.tell()]
        for clip, line in zip(self.clips, self._file, strict=False):
            if not _is_of(clip, line):
                break
            done += 1
            ends.append(ends[-1] + len(line))
        if done < len(self.clips):
            done -= done % part_size
        self._file.seek(ends[done])
        self._file.truncate()
        return done

    def write(self, clip: NamedClip, record: Record) -> None:
        line = json.dumps({"of": _state(clip), "record": record}, ensure_ascii=False)
        self._file.write(line.encode("utf-8", "surrogateescape") + b"\n")
        self._file.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what could not be written has been reported
            self._file.close()

    def records(self) -> Iterator[Record]:
        with open(self.path, encoding="utf-8", errors="surrogateescape") as file:
            for line in itertools.islice(file, 1, None):
                yield json.loads(line)["record"]


def _is_of(clip: NamedClip, line: bytes) -> bool:
    """Whether a line is whole and belongs to a clip as it is now. A clip that has vanished was heard in time."""
    try:
        entry = json.loads(line.decode("utf-8", "surrogateescape"))
        now = _state(clip)
        return line.endswith(b"\n") and entry["record"]["input"] == clip.name and now in (None, entry["of"])
    except (ValueError, KeyError, TypeError):
        return False


def _state(clip: NamedClip) -> list[int] | None:
    """What tells whether a file has been changed."""
    if isinstance(clip.source, bytes):
        return None
    try:
        found = os.stat(clip.source)
    except (OSError, ValueError):
        return None
    return [found.st_size, found.st_mtime_ns]


def _digest(clips: Sequence[NamedClip]) -> str:
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(os.fsencode(clip.name) + b"\0")
        if isinstance(clip.source, bytes):
            digest.update(hashlib.sha256(clip.source).digest())
    return digest.hexdigest()
