"""Predictions for the tasks of a protocol: resumable after any kill, shared out over processes.

The clips of a task are cut into parts that depend on nothing but the task and the batch size. A part is
a file that appears whole (written aside, then renamed), so a killed run continues at the first part that is
not there, several processes share the parts by number, and the joined result is the same, byte for byte, in
every case.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MSERError
from .clips import Clip
from .files import remove_leftovers, write_array, write_json, write_text
from .predictors import Prediction, PredictionError, Predictor, PredictorFactory, restricted
from .tasks import Task

BATCHES_PER_PART = 4
PARTS = "parts"
PREDICTIONS = "predictions.jsonl"
EMBEDDINGS = "embeddings.npy"
RUN = "run.json"
_POLL_SECONDS = 0.2


class OutputFolderError(MSERError, FileExistsError):
    """The output folder holds another run."""


@dataclass(frozen=True)
class Share:
    """Which process this is and how many there are, as `torchrun` and `accelerate launch` say it."""

    rank: int = 0
    world: int = 1

    @classmethod
    def from_environment(cls) -> Share:
        """`RANK` and `WORLD_SIZE`; one process where they are not set."""
        share = cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
        if not 0 <= share.rank < share.world:
            raise MSERError(f"RANK={share.rank} does not fit WORLD_SIZE={share.world}. Launch with torchrun.")
        return share

    @property
    def first(self) -> bool:
        """Whether this process joins the parts and writes the report."""
        return self.rank == 0


@dataclass(frozen=True)
class Part:
    """Some consecutive clips of a task's test side."""

    task: Task
    index: int
    clips: tuple[Clip, ...]

    def path(self, output: Path, suffix: str = ".jsonl") -> Path:
        """The file of this part."""
        return output / PARTS / self.task.name / f"{self.index:05d}{suffix}"


def predict(
    tasks: Sequence[Task],
    predictor_for: PredictorFactory,
    output: Path,
    identity: Mapping[str, Any],
    batch_size: int = 16,
    share: Share | None = None,
    quiet: bool = False,
) -> list[dict[str, Any]] | None:
    """Predict every test clip; the lines of `predictions.jsonl` in the first process, `None` in others.

    `identity` says what predicts (`Predictor.identity`). A folder that holds another run is an error.

    Example:
        >>> lines = predict(tasks, lambda task: predictor, Path("out"), predictor.identity)  # doctest: +SKIP
    """
    share = share or Share.from_environment()
    output = Path(output)
    _claim(output, _fingerprint(tasks, identity, batch_size))
    if not (output / PREDICTIONS).is_file():
        parts = list(cut(tasks, batch_size))
        _predict_parts(parts, predictor_for, output, batch_size, share, quiet)
        if share.first:
            _wait_for_others(parts, output, share, quiet)
            _join(parts, output)
    if not share.first:
        return None
    shutil.rmtree(output / PARTS, ignore_errors=True)
    remove_leftovers(output)
    return [json.loads(line) for line in (output / PREDICTIONS).read_text(encoding="utf-8").splitlines()]


def cut(tasks: Sequence[Task], batch_size: int) -> Iterator[Part]:
    """The parts of all tasks, in order."""
    size = batch_size * BATCHES_PER_PART
    for task in tasks:
        for index, start in enumerate(range(0, len(task.test), size)):
            yield Part(task, index, task.test[start : start + size])


def _fingerprint(tasks: Sequence[Task], identity: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    """What decides every byte of the predictions."""
    listing = json.dumps([task.summary() for task in tasks], sort_keys=True)
    digest = hashlib.sha256(listing.encode()).hexdigest()
    fingerprint = {"model": dict(identity), "tasks": digest, "batch_size": batch_size}
    return dict(json.loads(json.dumps(fingerprint)))  # as it reads back from a file: lists for tuples


def _claim(output: Path, fingerprint: Mapping[str, Any]) -> None:
    """Make the folder this run's own, or find that it is."""
    path = output / RUN
    if not path.is_file():
        if (output / PREDICTIONS).exists():
            raise OutputFolderError(f"{output} holds predictions of an unknown run. Choose another --output.")
        write_json(path, fingerprint)
        return
    held = json.loads(path.read_text(encoding="utf-8"))
    if held != fingerprint:
        differing = sorted(key for key in {*held, *fingerprint} if held.get(key) != fingerprint.get(key))
        raise OutputFolderError(
            f"{output} holds another run (different {', '.join(differing)}). Choose another --output, or remove it."
        )


def _predict_parts(
    parts: Sequence[Part],
    predictor_for: PredictorFactory,
    output: Path,
    batch_size: int,
    share: Share,
    quiet: bool,
) -> None:
    mine = [part for number, part in enumerate(parts) if number % share.world == share.rank]
    missing = [part for part in mine if not part.path(output).is_file()]
    done = sum(len(part.clips) for part in mine) - sum(len(part.clips) for part in missing)
    predictor: Predictor | None = None
    task: Task | None = None
    with _progress(sum(len(part.clips) for part in mine), done, share, quiet) as progress:
        for part in missing:
            if predictor is None or part.task is not task:
                task, predictor = part.task, predictor_for(part.task)
            progress.set_description(part.task.target)
            predictions: list[Prediction] = []
            for start in range(0, len(part.clips), batch_size):
                batch = part.clips[start : start + batch_size]
                predictions += _predicted(predictor, batch)
                progress.update(len(batch))
            _write_part(part, predictions, output)


def _predicted(predictor: Predictor, batch: Sequence[Clip]) -> list[Prediction]:
    predictions = predictor(batch)
    if len(predictions) != len(batch):
        raise PredictionError(f"{len(batch)} clips, but {len(predictions)} predictions came back.")
    return predictions


def _write_part(part: Part, predictions: Sequence[Prediction], output: Path) -> None:
    embeddings = [p.embedding for p in predictions if p.embedding is not None]
    if embeddings:
        # Before the lines: their presence means that the part is complete.
        write_array(part.path(output, ".npy"), np.stack(embeddings).astype(np.float32))
    lines = [line_of(part.task, clip, p) for clip, p in zip(part.clips, predictions, strict=True)]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_text(part.path(output), text)


def line_of(task: Task, clip: Clip, prediction: Prediction) -> dict[str, Any]:
    """One line of `predictions.jsonl`."""
    scores = restricted(prediction.scores, task.classes)
    label = max(scores, key=scores.__getitem__)  # the first class, in the task's order, among equals
    return {
        "task": task.name,
        "clip": clip.key,
        "corpus": clip.corpus,
        "speaker": clip.speaker_key,
        "gender": clip.gender,
        "language": clip.language,
        "reference": clip.emotion,
        "label": label,
        "score": scores[label],
        "scores": scores,
    }


def _wait_for_others(parts: Sequence[Part], output: Path, share: Share, quiet: bool) -> None:
    """The file system is the barrier; a process that dies takes the launcher, and with it this one, along."""
    missing = [part for part in parts if not part.path(output).is_file()]
    if missing and share.world == 1:
        raise MSERError(f"{output}: {len(missing)} parts vanished after they were written. Start again.")
    if missing and not quiet:
        print(f"waiting for {len(missing)} parts of other processes", file=sys.stderr)
    while missing:
        time.sleep(_POLL_SECONDS)
        missing = [part for part in missing if not part.path(output).is_file()]


def _join(parts: Sequence[Part], output: Path) -> None:
    arrays = [part.path(output, ".npy") for part in parts]
    if all(path.is_file() for path in arrays):
        write_array(output / EMBEDDINGS, np.concatenate([np.load(path) for path in arrays]))
    text = "".join(part.path(output).read_text(encoding="utf-8") for part in parts)
    write_text(output / PREDICTIONS, text)


def _progress(total: int, done: int, share: Share, quiet: bool) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=total,
        initial=done,
        unit="clip",
        file=sys.stderr,
        disable=quiet or not share.first,
        mininterval=0.5,
    )
