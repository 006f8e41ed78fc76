"""One clip through the pipeline: what the page shows, or an error that is a sentence."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..audio import SAMPLING_RATE, AudioError, is_silent, iter_windows
from ..commands.predict import as_record
from ..errors import MSERError
from .limits import Limits

TIMELINE_FROM_S = 8.0
"""Longer audio gets a time line; what is shorter is heard as a whole, as the pipeline does by itself."""

BATCH_SIZE = 8


class DemoError(MSERError, ValueError):
    """Something that a visitor can mend; the message is the sentence on the page."""


@dataclass(frozen=True)
class Hearing:
    """What was heard in a clip.

    Args:
        record: as `mser predict` writes it; with `segments` if the clip is long.
        labels: the words that were weighed.
        samples: the clip, mono at 16 kHz.
    """

    record: dict[str, Any]
    labels: list[str]
    samples: np.ndarray

    @property
    def seconds(self) -> float:
        """The clip's length."""
        return len(self.samples) / SAMPLING_RATE

    @property
    def is_silent(self) -> bool:
        """Whether nothing is to be heard."""
        return is_silent(self.samples)


def hear(pipe: Any, path: str | os.PathLike, words: str = "", limits: Limits | None = None) -> Hearing:
    """Listen to a file, with the model's own labels or a visitor's comma-separated words.

    Raises:
        MSERError: the file is damaged, too large or too long, or the words cannot be weighed. Messages name the file
            alone and never a folder of the machine.

    Example:
        >>> from hf_mser.commands.predict import load_pipeline
        >>> hearing = hear(load_pipeline(None), "examples/clips/it_happy.flac", words="joyful, bored")
        >>> hearing.record["input"], sorted(hearing.record["scores"])
        ('it_happy.flac', ['bored', 'joyful'])
    """
    limits = limits or Limits()
    own = _own_words(words, limits)
    name = os.path.basename(path)
    samples = _read(path, name, limits)
    options: dict[str, Any] = {"candidate_labels": own} if own else {}
    is_long = len(samples) > TIMELINE_FROM_S * SAMPLING_RATE
    answer = pipe(
        {"array": samples, "sampling_rate": SAMPLING_RATE}, return_timestamps=is_long, batch_size=BATCH_SIZE, **options
    )
    return Hearing(as_record(name, answer), own or list(pipe.model.config.labels), samples)


def _own_words(text: str, limits: Limits) -> list[str]:
    words = list(dict.fromkeys(filter(None, (word.strip() for word in (text or "").split(",")))))
    if len(words) == 1:
        raise DemoError(f"One word alone always wins: give at least two, as in “{words[0]}, calm”.")
    if len(words) > limits.words:
        raise DemoError(f"These are {len(words)} words: give at most {limits.words}.")
    for word in words:
        if len(word) > limits.letters:
            raise DemoError(f"“{word[: limits.letters]}…” is long for a word: use at most {limits.letters} letters.")
    return words


def _read(path: str | os.PathLike, name: str, limits: Limits) -> np.ndarray:
    """The whole clip; stops as soon as it turns out to be too long."""
    if os.path.exists(path) and os.path.getsize(path) > limits.bytes:
        raise DemoError(
            f"{name} is larger than {limits.megabytes} MB. Send a part of it, or encode it as mp3, ogg or opus."
        )
    pieces, read = [], 0
    try:
        for window in iter_windows(path, 30.0, 30.0):
            fresh = window.samples[read - round(window.start * SAMPLING_RATE) :]  # a tiny last window reaches back
            pieces.append(fresh)
            read += len(fresh)
            if read > limits.seconds * SAMPLING_RATE:
                minutes = f"{limits.minutes:g} minute{'' if limits.minutes == 1 else 's'}"
                raise DemoError(
                    f"{name} lasts longer than {minutes}. Send a part of it; `mser predict` on your "
                    "own machine takes any length."
                )
    except AudioError as error:
        raise DemoError(f"{name}: {error.cause}. {error.cure}.") from error
    return np.concatenate(pieces)
