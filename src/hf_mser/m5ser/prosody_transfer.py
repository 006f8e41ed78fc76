"""ProsodyTransfer: the offline default. No weights, no network; made of espeak-ng and WORLD.

It does not translate: the target says a sentence of `sentences.tsv`, the same one in all languages. What carries
over is the delivery (`prosody.py`): pitch, energy, rate, pauses and voice quality of the source clip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import packages_distributions, version
from typing import NamedTuple

from . import prosody, speaking
from .sentences import choose, sentences
from .translate import PreflightError, SourceClip, Translation, TranslationError, Translator

_REVISION = 1
"""To be raised with every change that changes samples."""


class _Source(NamedTuple):
    delivery: prosody.Delivery
    nominal: float
    sentence: dict[str, str]


class ProsodyTransfer(Translator):
    """Speaks a parallel sentence in the target language with the source clip's prosody.

    Example:
        >>> from hf_mser.audio import load_audio
        >>> clip = SourceClip("en_neutral", load_audio("examples/clips/en_neutral.flac"), "en")
        >>> ProsodyTransfer().translate(clip, "fr").seconds > 0.5
        True
    """

    name = "prosody"

    def __init__(self) -> None:
        self._last: tuple[SourceClip, _Source] | None = None

    @property
    def version(self) -> str:
        """Revision, espeak-ng, WORLD."""
        import pyworld  # whichever distribution brings it

        return f"{_REVISION}; espeakng-loader {speaking.espeak_version()}; pyworld {_distribution(pyworld.__name__)}"

    def preflight(self, languages: Sequence[str], device: str | None = None) -> None:
        """Check the packages and that every language has sentences."""
        prosody.world()
        speaking.espeak_version()
        known = [name for name in sentences()[0] if name != "id"]
        strangers = [language for language in languages if language not in known]
        if strangers:
            raise PreflightError(
                f"ProsodyTransfer has no sentences in {', '.join(strangers)}. It has: {', '.join(known)}."
            )

    def translate(self, clip: SourceClip, language: str) -> Translation:
        """One clip; the analysis of the last source is kept for its other languages."""
        source = self._source(clip)
        text = source.sentence.get(language)
        if text is None:
            raise TranslationError(f"no sentence in {language!r}")
        reading = speaking.speak(text, language, variant(clip))
        return Translation(prosody.perform(reading, source.delivery, source.nominal, language), text)

    def _source(self, clip: SourceClip) -> _Source:
        if self._last is None or self._last[0].id != clip.id or self._last[0].samples is not clip.samples:
            delivery = prosody.deliver(clip.samples)
            nominal = _nominal(clip, delivery)
            self._last = (clip, _Source(delivery, nominal, choose(clip.id, nominal)))
        return self._last[1]


def variant(clip: SourceClip) -> str:
    """The variant of the voice that stands for a speaker: the same one in all of the speaker's clips.

    Example:
        >>> import numpy as np
        >>> variant(SourceClip("a", np.zeros(1), "en", gender="female", speaker="1002")) in speaking.VARIANTS["female"]
        True
    """
    variants = speaking.VARIANTS.get(clip.gender or "", sum(speaking.VARIANTS.values(), ()))
    return variants[hashlib.sha256((clip.speaker or clip.id).encode()).digest()[0] % len(variants)]


def _nominal(clip: SourceClip, delivery: prosody.Delivery) -> float:
    if clip.text and speaking.speaks(clip.language):
        return speaking.reading_seconds(clip.text, clip.language)
    return prosody.nominal_seconds(delivery)


@cache
def _distribution(module: str) -> str:
    return version(packages_distributions()[module][0])
