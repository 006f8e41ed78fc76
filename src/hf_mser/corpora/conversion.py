"""One recording in, its clips out as 16 kHz FLAC: the part of `prepare` that runs in many processes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np

from ..audio import MIN_SECONDS, SAMPLING_RATE, AudioError, SilenceWarning, load_audio
from .schema import CorpusError

_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class Piece:
    """One clip of a recording: where it goes and, for a part of the recording, from when to when."""

    id: str
    target: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Job:
    """One recording with all its clips, so that a long recording is decoded once."""

    source: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Done:
    """What became of a clip. `fingerprint` ties it to the bytes it was made from."""

    id: str
    fingerprint: str
    sha256: str | None = None
    audio_sha256: str | None = None
    duration: float | None = None
    silent: bool = False
    error: str | None = None


def fingerprint(source: str, piece: Piece) -> str:
    """Changes when the recording or the cut changes: its place, size, time of change, start and end."""
    try:
        state = os.stat(source)
    except FileNotFoundError as error:
        raise _vanished(source) from error
    return f"{source}|{state.st_size}|{state.st_mtime_ns}|{piece.start}|{piece.end}"


def convert(job: Job) -> list[Done]:
    """Decode one recording and write its clips; a recording that cannot be used gives errors, not gaps."""
    marks = [fingerprint(job.source, piece) for piece in job.pieces]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SilenceWarning)
            samples = load_audio(job.source)
    except AudioError as error:
        if not os.path.exists(job.source):
            raise _vanished(job.source) from error
        return [Done(piece.id, mark, error=str(error)) for piece, mark in zip(job.pieces, marks, strict=True)]
    return [_write(job.source, piece, mark, samples) for piece, mark in zip(job.pieces, marks, strict=True)]


def _vanished(source: str) -> CorpusError:
    """No damage, which would go into the report: what has vanished since it was listed may come back with its disk."""
    return CorpusError(
        f"{source} vanished while the corpus was prepared. Bring it back, or leave it out for good; the same command "
        "then goes on where this one stopped."
    )


def _write(source: str, piece: Piece, mark: str, samples: np.ndarray) -> Done:
    import soundfile

    first = round((piece.start or 0.0) * SAMPLING_RATE)
    last = len(samples) if piece.end is None else round(piece.end * SAMPLING_RATE)
    cut = samples[first:last]
    if len(cut) < MIN_SECONDS * SAMPLING_RATE:
        length = len(samples) / SAMPLING_RATE
        cause = f"{piece.start} s to {piece.end} s is outside of the {length:.2f} s recording or too short"
        return Done(piece.id, mark, error=f"{source}: {cause}. Compare the corpus' times with its recordings.")
    # 32768 and not 32767: sixteen-bit recordings at 16 kHz pass through unchanged.
    pcm = np.clip(np.round(cut * 32768.0), _INT16.min, _INT16.max).astype(np.int16)
    target = Path(piece.target)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    flac = io.BytesIO()  # libsndfile does not say that a disk is full
    soundfile.write(flac, pcm, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    try:
        partial.write_bytes(flac.getbuffer())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return Done(
        piece.id,
        mark,
        sha256=hashlib.sha256(flac.getbuffer()).hexdigest(),
        audio_sha256=hashlib.sha256(pcm.tobytes()).hexdigest(),
        duration=len(pcm) / SAMPLING_RATE,
        silent=not pcm.any(),
    )


def convert_all(jobs: Sequence[Job], workers: int) -> Iterator[list[Done]]:
    """The results of all jobs, in the order in which they finish."""
    if workers <= 1:
        yield from map(convert, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=worker_context(__name__), initializer=die_with_parent) as pool:
        waiting = {pool.submit(convert, job) for job in jobs}
        try:
            for finished in as_completed(waiting):
                yield finished.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def worker_context(module: str) -> BaseContext:
    """How to start workers that run `module`.

    Never a fork of this process: it may hold threads of numpy or torch, and a fork would copy their locks.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([module])  # the imports are paid once, not by every worker
    return context


def die_with_parent() -> None:
    """A killed parent must not leave workers behind: they would wait for work for ever."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Journal:
    """Finished clips, one line each, so that a killed preparation goes on where it was.

    The last line may be torn by a kill; it is ignored, and its clip is made again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def finished(self, jobs: Iterable[Job]) -> dict[str, Done]:
        """Clips that need no more work: made from the same bytes, and the file is as it was written."""
        entries = {done.id: done for done in self._lines()}
        kept: dict[str, Done] = {}
        for job in jobs:
            for piece in job.pieces:
                done = entries.get(piece.id)
                if done is None or done.sha256 is None or done.fingerprint != fingerprint(job.source, piece):
                    continue
                target = Path(piece.target)
                if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == done.sha256:
                    kept[piece.id] = done
        return kept

    def add(self, finished: Iterable[Done]) -> None:
        """Append finished clips; a line begins on its own even after a torn one."""
        torn = self.path.exists() and self.path.stat().st_size and not self.path.read_bytes().endswith(b"\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" if torn else "")
            file.writelines(json.dumps(asdict(done), ensure_ascii=False) + "\n" for done in finished)

    def _lines(self) -> Iterator[Done]:
        if not self.path.is_file():
            return
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                yield Done(**json.loads(line))
            except (json.JSONDecodeError, TypeError):
                continue
