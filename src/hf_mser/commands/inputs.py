"""What a person names on the command line -> the clips that are meant."""

import glob
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ..audio import AUDIO_SUFFIXES
from ..errors import MSERError

STANDARD_INPUT = "-"


class NoInputError(MSERError, ValueError):
    """A folder or a pattern that stands for no audio at all."""


class NamedClip(NamedTuple):
    """A clip and the name under which its result is reported."""

    name: str
    source: Any


def expand(inputs: Iterable[str]) -> list[NamedClip]:
    """Files, folders (with all below them), patterns, URLs and `-`, in the order given; folders are sorted.

    A file that does not exist stays in the list: it fails when its turn comes, and is reported like any other.

    Example:
        >>> [clip.name for clip in expand(["call.wav", "https://example.org/a.mp3"])]
        ['call.wav', 'https://example.org/a.mp3']
    """
    return [clip._replace(name=_printable(clip.name)) for name in inputs for clip in _expand_one(name)]


def _printable(name: str) -> str:
    """A file's name may hold bytes that are no text; results are text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _expand_one(name: str) -> list[NamedClip]:
    if name == STANDARD_INPUT:
        return [NamedClip(name, sys.stdin.buffer.read())]
    if name.startswith(("http://", "https://")):
        return [NamedClip(name, name)]
    if os.path.isdir(name):
        files = sorted(path for path in Path(name).rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
        if not files:
            raise NoInputError(
                f"{name}: this folder holds no audio file. These endings count: {' '.join(sorted(AUDIO_SUFFIXES))}"
            )
        return [NamedClip(str(path), path) for path in files]
    if glob.has_magic(name) and not os.path.exists(name):
        matches = sorted(path for path in glob.glob(name, recursive=True) if os.path.isfile(path))
        if not matches:
            raise NoInputError(
                f"{name}: this pattern matches no file. Quote it only if the shell should not expand it."
            )
        return [NamedClip(path, path) for path in matches]
    return [NamedClip(name, name)]
