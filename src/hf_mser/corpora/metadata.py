"""`metadata.jsonl` and `SHA256SUMS`: the two lists of a corpus folder, read with suspicion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from .schema import METADATA, CorpusError, CorpusNotFoundError

CHECKSUMS = "SHA256SUMS"


def read_metadata(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of `metadata.jsonl`, each with a safe `file_name`; a fault in the file is a `CorpusError`.

    Example:
        >>> rows = list(read_metadata(Path("crema_d")))  # doctest: +SKIP
    """
    path = folder / METADATA
    if not path.is_file():
        started = (folder / ".prepare").is_dir()
        cure = (
            "Its preparation was interrupted: run the same `mser corpora prepare` command again."
            if started
            else "Make one from the original files: `mser corpora prepare NAME --source DIR --output DIR`."
        )
        raise CorpusNotFoundError(f"{folder} holds no {METADATA}. {cure}")
    seen: dict[str, int] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            row = _parsed(_text(line, where), where)
            name = row["file_name"]
            if name in seen:
                raise CorpusError(f"{where}: {name} for the second time, first in line {seen[name]}.")
            seen[name] = number
            yield row
    if not seen:
        raise CorpusError(f"{path} is empty: a corpus without clips. Prepare it again.")


def verify_checksums(folder: Path, only: str | None = None) -> None:
    """Compare every file (or `only` one) with `SHA256SUMS`; a difference or a missing file is a `CorpusError`.

    Example:
        >>> verify_checksums(Path("prepared/emodb"))  # doctest: +SKIP
    """
    sums = folder / CHECKSUMS
    if not sums.is_file():
        raise CorpusNotFoundError(f"{folder} holds no {CHECKSUMS}; only prepared corpora can be verified.")
    for line in sums.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if only is not None and name != only:
            continue
        path = folder / name
        if not path.is_file():
            raise CorpusError(f"{path} is missing, {CHECKSUMS} lists it. Prepare the corpus again.")
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise CorpusError(f"{path} differs from its checksum: it was damaged or edited. Prepare the corpus again.")


def _text(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{where}: not UTF-8 ({error}). Write the file again as UTF-8.") from error


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise CorpusError(f"{where}: not JSON ({error}). Every line is one object.") from error
    if not isinstance(row, dict) or not isinstance(row.get("file_name"), str) or not row["file_name"]:
        raise CorpusError(f"{where}: every line is an object with a text `file_name`.")
    name = row["file_name"]
    # Backslashes and drive letters climb out of the folder on Windows though they look harmless elsewhere.
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
        raise CorpusError(f"{where}: file_name {name!r} points outside of the folder; it must be inside.")
    return row
