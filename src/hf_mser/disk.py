"""What a disk refuses, said so that it can be mended; and files that one process alone may write."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from .errors import MSERError

REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO})
"""Errors that speak of the disk and not of the program."""


class OutputError(MSERError, OSError):
    """The results cannot be written where they should go."""


def refusal(error: OSError, path: str | os.PathLike | None = None) -> str:
    """What a person is told.

    Example:
        >>> refusal(OSError(errno.ENOSPC, "No space left on device"), "out.json").partition(". ")[0]
        'out.json cannot be written (No space left on device)'
    """
    where = os.fspath(path or error.filename or "The output")
    return (
        f"{where} cannot be written ({error.strerror or error}). Free space or choose another --output; the same "
        "command then goes on where this one stopped."
    )


@contextmanager
def writing(path: str | os.PathLike) -> Iterator[None]:
    """Whatever the disk refuses within becomes an [`OutputError`] that names `path`.

    Example:
        >>> with writing("out.json"):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        hf_mser.disk.OutputError: out.json cannot be written (No space left on device). Free space ...
    """
    try:
        yield
    except MSERError:  # has been named already
        raise
    except OSError as error:
        raise OutputError(refusal(error, path)) from error


def claim(file: IO[Any], output: str | os.PathLike) -> None:
    """Make an open file this process' own until it is closed; a kill gives it back.

    Two programs with one output would undo each other's work: the second gets an [`OutputError`] that names `output`.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(f"{os.fspath(output)}: another process is writing here; wait for it to end.") from error
