"""Parallel sentences in six languages, of our own writing: everyday facts in neutral words."""

from __future__ import annotations

import csv
import hashlib
from functools import cache
from importlib.resources import files

_NEAREST = 12
_SECONDS_PER_LETTER = 0.062
"""About what the plain English voice takes; only the order of the sentences by length depends on it."""


@cache
def sentences() -> tuple[dict[str, str], ...]:
    """Every sentence, as language -> text, with its `id`.

    Example:
        >>> sentences()[0]["de"]
        'Die Schlüssel liegen auf dem Tisch.'
    """
    table = files(__package__).joinpath("sentences.tsv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(table.splitlines(), delimiter="\t"))


def choose(clip_id: str, seconds: float) -> dict[str, str]:
    """The sentence for a clip: one of those whose plain reading lasts about `seconds`, by the clip's id.

    The same for all target languages, so that translations of a clip say the same. `seconds` is the length of the
    source's *words*, not of its delivery: the choice of the sentence must not give the emotion away.

    Example:
        >>> choose("crema_d/1001_IEO_ANG_HI", 1.5)["id"] == choose("crema_d/1001_IEO_ANG_HI", 1.5)["id"]
        True
    """
    by_length = sorted(sentences(), key=lambda row: (abs(len(row["en"]) * _SECONDS_PER_LETTER - seconds), row["id"]))
    number = int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:8], "big")
    return by_length[number % _NEAREST]
