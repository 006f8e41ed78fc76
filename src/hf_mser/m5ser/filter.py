"""Which clips stay: the paper's two rules, and optional ones. What goes is listed with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..audio import SAMPLING_RATE, is_silent
from .activity import loudness, speech_frames

PAPER_MIN_SECONDS = 0.5
PAPER_MIN_KILOBYTES: Mapping[str, int] = {
    "iemocap": 20,
    "meld": 20,
    "mead": 50,
    "cmu_mosei": 50,
    "msp_podcast": 50,
}
"""Smallest file by source corpus [paper]; other corpora have no such rule."""
BYTES_PER_KILOBYTE = 1000
_HEADER_BYTES, _BYTES_PER_SAMPLE = 44, 2
_FULL_SCALE = 32767 / 32768


@dataclass(frozen=True)
class FilterRules:
    """The rules; those that default to `None` or `False` are ours and off.

    Sizes are those of a WAV file of 16-bit samples at 16 kHz, 44 bytes of header, a KB of 1000 bytes [ours: the paper
    names neither format nor unit]: 20 KB is 0.62 s and 50 KB is 1.56 s, whatever the stored format.
    """

    min_seconds: float = PAPER_MIN_SECONDS
    min_kilobytes: Mapping[str, int] = field(default_factory=lambda: dict(PAPER_MIN_KILOBYTES))
    drop_silence: bool = False
    max_clipped: float | None = None
    """The largest share of samples at full scale."""
    min_ratio: float | None = None
    """The shortest translation, as a share of its source's duration."""
    max_ratio: float | None = None
    min_speech: float | None = None
    """The smallest share of a clip in which somebody speaks."""

    def reason(self, samples: np.ndarray, source_corpus: str, source_seconds: float | None = None) -> str | None:
        """Why a clip goes, or `None` when it stays.

        Example:
            >>> FilterRules().reason(np.ones(6400, np.float32), "crema_d")
            'too short: 0.400 s, at least 0.5 s'
            >>> FilterRules().reason(np.ones(9600, np.float32), "iemocap")
            'too small: 19244 bytes as 16-bit PCM, at least 20000 for iemocap'
        """
        if not len(samples) or not np.isfinite(samples).all():
            return "failed synthesis: no samples" if not len(samples) else "failed synthesis: not finite"
        seconds = len(samples) / SAMPLING_RATE
        if seconds < self.min_seconds:
            return f"too short: {seconds:.3f} s, at least {self.min_seconds} s"
        size = pcm_bytes(len(samples))
        least = BYTES_PER_KILOBYTE * self.min_kilobytes.get(source_corpus, 0)
        if size < least:
            return f"too small: {size} bytes as 16-bit PCM, at least {least} for {source_corpus}"
        return self._optional(samples, seconds, source_seconds)

    def _optional(self, samples: np.ndarray, seconds: float, source_seconds: float | None) -> str | None:
        if self.drop_silence and is_silent(samples):
            return "silent"
        if self.max_clipped is not None:
            share = float((np.abs(samples) >= _FULL_SCALE).mean())
            if share > self.max_clipped:
                return f"clipped: {100 * share:.2f} % of the samples, at most {100 * self.max_clipped:g} %"
        if source_seconds:
            ratio = seconds / source_seconds
            if self.min_ratio is not None and ratio < self.min_ratio:
                return f"duration: {ratio:.2f} of the source's, at least {self.min_ratio:g}"
            if self.max_ratio is not None and ratio > self.max_ratio:
                return f"duration: {ratio:.2f} of the source's, at most {self.max_ratio:g}"
        if self.min_speech is not None:
            share = float(speech_frames(loudness(samples)).mean())
            if share < self.min_speech:
                return f"speech: {100 * share:.0f} % of the clip, at least {100 * self.min_speech:g} %"
        return None


def pcm_bytes(samples: int) -> int:
    """The size of a clip as a 16-bit WAV file.

    Example:
        >>> pcm_bytes(16_000)
        32044
    """
    return _HEADER_BYTES + _BYTES_PER_SAMPLE * samples
