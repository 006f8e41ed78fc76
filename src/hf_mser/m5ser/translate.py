"""Translators: a clip in one language becomes a clip in another, and says what it now says.

One small interface, one file for each translator. A translator gets batches, gives one result for each clip in the
same order, and an error for a clip takes nothing from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from ..audio import SAMPLING_RATE
from ..errors import MSERError

LANGUAGES: tuple[str, ...] = ("fr", "de", "it", "zh", "es")
"""The five target languages of M5SER [paper]; English, the source, is the sixth."""

LANGUAGE_NAMES = {
    "en": "English",
    "fr": "French",
    "de": "German",
    "it": "Italian",
    "zh": "Mandarin",
    "es": "Spanish",
}


class TranslationError(MSERError):
    """One clip cannot be translated; the others can."""


class PreflightError(MSERError):
    """A translator cannot work here; the message lists all that is missing and how to get it."""


@dataclass(frozen=True)
class SourceClip:
    """A clip to translate: mono float32 samples at 16 kHz and what is known of them."""

    id: str
    samples: np.ndarray
    language: str
    text: str | None = None
    gender: str | None = None
    speaker: str | None = None


@dataclass(frozen=True)
class Translation:
    """The clip in the other language, at 16 kHz, and its words where the translator knows them."""

    samples: np.ndarray
    text: str | None = None

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / SAMPLING_RATE


class Translator:
    """What every translator is: a subclass writes `translate`, or `translate_batch` where batches pay.

    Example:
        >>> class Backwards(Translator):
        ...     name = "backwards"
        ...     def translate(self, clip, language):
        ...         return Translation(clip.samples[::-1])
        >>> clip = SourceClip("a", np.arange(3, dtype=np.float32), "en")
        >>> Backwards().translate_batch([clip], "fr")[0].samples.tolist()
        [2.0, 1.0, 0.0]
    """

    name: ClassVar[str]
    """How the command line and the column `translator` call it."""
    terms: ClassVar[str | None] = None
    """The licence that its outputs carry, beside that of the source; `None` where they carry none."""
    batch_size: int = 1

    @property
    def version(self) -> str:
        """All that decides the result: own revision, programs, weights. Equal versions give equal clips."""
        return "1"

    def preflight(self, languages: Sequence[str], device: str | None = None) -> None:
        """Raise a `PreflightError` that lists everything that is missing; check before long work."""

    def translate(self, clip: SourceClip, language: str) -> Translation:
        """One clip; what cannot be translated is a `TranslationError`."""
        result = self.translate_batch([clip], language)[0]
        if isinstance(result, Exception):
            raise result
        return result

    def translate_batch(self, clips: Sequence[SourceClip], language: str) -> list[Translation | Exception]:
        """Several clips, each with its translation or the error that prevented it."""
        return [one_by_one(self.translate, clip, language) for clip in clips]


class BatchTranslator(Translator):
    """A translator that generates batches in one pass."""

    def translate_batch(self, clips: Sequence[SourceClip], language: str) -> list[Translation | Exception]:
        """A batch in one pass; if it fails as a whole, each clip alone, so that one clip spoils one clip."""
        try:
            return list(self.generate(clips, language))
        except (RuntimeError, ValueError, IndexError, MSERError) as error:
            if len(clips) == 1:
                return [TranslationError(f"{type(error).__name__}: {error}")]
            return [result for clip in clips for result in self.translate_batch([clip], language)]

    def generate(self, clips: Sequence[SourceClip], language: str) -> list[Translation]:
        """The translations of a batch, all or none."""
        raise NotImplementedError


def one_by_one(
    translate: Callable[[SourceClip, str], Translation], clip: SourceClip, language: str
) -> Translation | Exception:
    """The translation, or the error in its place.

    Whatever a vocoder or a model throws at one odd clip must not end a build of a hundred thousand.
    """
    try:
        return translate(clip, language)
    except Exception as error:
        return error


_HOME_OF: Mapping[str, str] = {
    "prosody": "prosody_transfer:ProsodyTransfer",
    "seamless-expressive": "seamless_expressive:SeamlessExpressive",
    "seamless-m4t": "seamless_m4t:SeamlessM4Tv2",
}
TRANSLATORS: tuple[str, ...] = tuple(_HOME_OF)


def translator(name: str, **options: Any) -> Translator:
    """The translator of that name, made with its options; `module:Class` names one of your own.

    Example:
        >>> translator("prosody").name
        'prosody'
    """
    if name not in _HOME_OF and ":" not in name:
        raise TranslationError(f"There is no translator {name!r}. Known: {', '.join(TRANSLATORS)}, or module:Class.")
    module, _, attribute = _HOME_OF.get(name, name).partition(":")
    try:
        home = import_module(f".{module}", __package__) if name in _HOME_OF else import_module(module)
        made: Translator = getattr(home, attribute)(**options)
    except (ImportError, AttributeError, TypeError) as error:
        raise PreflightError(f"The translator {name!r} cannot be made: {error}.") from error
    return made
