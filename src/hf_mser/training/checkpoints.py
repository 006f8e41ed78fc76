"""Checkpoints that survive: which ones are complete, and what to say when one cannot be written."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers.trainer import TRAINER_STATE_NAME

from ..errors import MSERError

_NAME = re.compile(r"checkpoint-(\d+)")
SAMPLER_STATE = "sampler.json"


class CheckpointError(MSERError, OSError):
    """A checkpoint cannot be written, or none can be resumed from."""


class NonFiniteLossError(MSERError, ArithmeticError):
    """The loss or its gradient is no longer a number."""


class TrainingDataError(MSERError, OSError):
    """A clip of the training data cannot be read any more."""


def is_complete(checkpoint: Path, processes: int = 1) -> bool:
    """True when everything that resuming needs was written, up to the state, which is written last.

    Example:
        >>> is_complete(Path("no/such/checkpoint-10"))
        False
    """
    match = _NAME.fullmatch(checkpoint.name)
    try:
        state = json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    random_states = ["rng_state.pth"] if processes == 1 else [f"rng_state_{rank}.pth" for rank in range(processes)]
    present = all((checkpoint / name).is_file() for name in random_states)
    return match is not None and state.get("global_step") == int(match[1]) and present


def last_complete(folder: str | os.PathLike, processes: int = 1) -> Path | None:
    """The newest complete checkpoint of a run, or `None`.

    Example:
        >>> last_complete("no/such/folder") is None
        True
    """
    found = [path for path in Path(folder).glob("checkpoint-*") if _NAME.fullmatch(path.name)]
    newest_first = sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), reverse=True)
    return next((path for path in newest_first if is_complete(path, processes)), None)


def how_to_resume(folder: str | os.PathLike, processes: int = 1) -> str:
    """The end of every error message that stops a run.

    Example:
        >>> how_to_resume("no/such/folder")
        'No checkpoint was written yet.'
    """
    last = last_complete(folder, processes)
    if last is None:
        return "No checkpoint was written yet."
    return f"The last checkpoint, {last}, is intact: go on from it with resume=true (resume_from_checkpoint=True)."


@contextlib.contextmanager
def whole_or_nothing(checkpoint: Path, run: Path, processes: int) -> Iterator[None]:
    """Remove a checkpoint that could not be written completely, and say so; older ones stay as they are."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if isinstance(error, MSERError):
            raise
        if not is_complete(checkpoint, processes):
            shutil.rmtree(checkpoint, ignore_errors=True)
        free = shutil.disk_usage(run).free if run.exists() else 0
        raise CheckpointError(
            f"{checkpoint} cannot be written: {error} ({free / 1e6:.0f} MB are free on this disk). Make room, or lower "
            f"save_total_limit. {how_to_resume(run, processes)}"
        ) from error


def write_sampler_state(checkpoint: Path, state: dict[str, Any]) -> None:
    """Where the sampler stands at this checkpoint."""
    (checkpoint / SAMPLER_STATE).write_text(json.dumps(state), encoding="utf-8")


def read_sampler_state(checkpoint: Path) -> dict[str, Any] | None:
    """What `write_sampler_state` wrote; `None` in a checkpoint without one."""
    path = checkpoint / SAMPLER_STATE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
