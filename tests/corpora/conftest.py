"""Sound for miniature corpora: short, real, and different for every seed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

WriteClip = Callable[..., Path]


@pytest.fixture
def write_clip() -> WriteClip:
    """Writes a wav of 0.2 s, whatever the ending: decoders look at the content."""

    def write(path: Path, seed: int = 0, *, rate: int = 16_000, seconds: float = 0.2, channels: int = 1) -> Path:
        rng = np.random.default_rng(seed)
        time = np.arange(round(rate * seconds)) / rate
        voice = 0.3 * np.sin(2 * np.pi * (120 + seed % 97) * time) + 0.05 * rng.standard_normal(time.size)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.stack([voice] * channels, axis=1), rate, format="WAV", subtype="PCM_16")
        return path

    return write
