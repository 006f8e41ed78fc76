"""Files that are there whole or not at all: written aside, forced to disk, renamed."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..disk import writing

_ASIDE = re.compile(r"\..+\.\d+")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically; a kill at any moment leaves the old file, or the new one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the half-written files that killed processes left in a folder."""
    for path in folder.iterdir():
        if path.is_file() and _ASIDE.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; NaN, which JSON does not know, becomes null."""
    write_text(path, json.dumps(without_nan(value), ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an `.npy` file atomically."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_bytes(path, buffer.getvalue())


def without_nan(value: Any) -> Any:
    """The same structure with `None` for every float that is not finite.

    Example:
        >>> without_nan({"recall": [1.0, float("nan")]})
        {'recall': [1.0, None]}
    """
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
