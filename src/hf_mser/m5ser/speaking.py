"""espeak-ng reads a text: the plain voice to which prosody is given.

The program comes with the package `espeakng-loader` (library and voices in one wheel), so pip alone suffices.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from ..audio import SAMPLING_RATE
from .translate import PreflightError, TranslationError

VOICES = {"fr": "fr", "de": "de", "it": "it", "zh": "cmn", "es": "es", "en": "en-us"}
"""Language -> espeak-ng's voice; other languages go by their own code, which espeak-ng mostly shares."""
VARIANTS = {
    "female": ("f1", "f2", "f3", "f4", "f5", "anika", "belinda", "linda"),
    "male": ("m1", "m2", "m3", "m4", "m5", "m7", "michael", "andy"),
}
"""Variants of a voice, so that not all synthetic speakers have one throat."""

_RETRIEVAL, _DONT_EXIT, _UTF8, _RATE = 1, 0x8000, 1, 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_QUIET = 1e-3


def speak(text: str, language: str, variant: str = "m1", words_per_minute: int = 175) -> np.ndarray:
    """The samples of a text at 16 kHz, without silence around; the same text always gives the same samples.

    Example:
        >>> len(speak("Der Zug kommt um neun Uhr an.", "de")) > SAMPLING_RATE
        True
    """
    voice = f"{VOICES.get(language, language)}+{variant}"
    samples, rate = _read(text, voice, words_per_minute)
    sound = soxr.resample(samples.astype(np.float32) / 32768, rate, SAMPLING_RATE)
    moving = np.flatnonzero(np.abs(sound) > _QUIET)
    if not len(moving):
        raise TranslationError(f"espeak-ng gave no sound for {text!r} in {language}. Is the text in that language?")
    return np.asarray(sound[moving[0] : moving[-1] + 1], dtype=np.float64)


def speaks(language: str) -> bool:
    """Whether espeak-ng has a voice of that language.

    Example:
        >>> speaks("pl"), speaks("tlh-unheard-of")
        (True, False)
    """
    try:
        _read("a", f"{VOICES.get(language, language)}+m1", 175)
    except TranslationError:
        return False
    return True


@cache
def reading_seconds(text: str, language: str) -> float:
    """How long the plain voice takes for a text: what fast and slow are measured by."""
    return len(speak(text, language)) / SAMPLING_RATE


def espeak_version() -> str:
    """The version of the package that brings espeak-ng, or a `PreflightError` where it is not installed."""
    _paths()
    return version("espeakng-loader")


@cache
def _paths() -> tuple[str, bytes]:
    try:
        import espeakng_loader
    except ModuleNotFoundError as error:
        raise PreflightError(
            "ProsodyTransfer needs espeak-ng. Install it with: pip install 'hf-mser[m5ser]'"
        ) from error
    return espeakng_loader.get_library_path(), str(Path(espeakng_loader.get_data_path()).parent).encode()


def _read(text: str, voice: str, words_per_minute: int) -> tuple[np.ndarray, int]:
    """One reading by a library loaded for it alone.

    espeak-ng keeps the state of its oscillators and its noise from one text to the next; only a freshly loaded
    library gives the same samples whatever was read before. Loading takes a few milliseconds.
    """
    blocks: list[np.ndarray] = []

    @_CALLBACK
    def collect(samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    path, data = _paths()
    library = ctypes.CDLL(path)
    try:
        rate = library.espeak_Initialize(_RETRIEVAL, 0, data, _DONT_EXIT)
        if rate <= 0:
            raise PreflightError(f"espeak-ng cannot start with its data in {data.decode()}. Install it again.")
        library.espeak_ng_SetRandSeed(1)
        library.espeak_SetSynthCallback(collect)
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise TranslationError(f"espeak-ng has no voice {voice!r}.")
        library.espeak_SetParameter(_RATE, words_per_minute, 0)
        content = text.encode() + b"\0"
        library.espeak_Synth(content, len(content), 0, 1, 0, _UTF8, None, None)
        library.espeak_Synchronize()
    finally:
        # It speaks in a thread of its own, which must have ended before its code is gone.
        library.espeak_Terminate()
        _unload(library)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int16), rate


def _unload(library: ctypes.CDLL) -> None:
    import _ctypes

    unload = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary  # type: ignore[attr-defined]
    unload(library._handle)
