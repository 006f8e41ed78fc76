"""When somebody speaks: a contour of loudness becomes stretches of speech and pauses."""

from __future__ import annotations

import numpy as np

from ..audio import SAMPLING_RATE

FRAME_S = 0.005
_SHORTEST_PAUSE_S, _SHORTEST_SOUND_S = 0.15, 0.05
_WINDOW_S = 0.025


def loudness(samples: np.ndarray) -> np.ndarray:
    """dB of full scale for every 5 ms.

    Example:
        >>> loudness(np.full(1600, 0.1)).round().tolist()[:2]
        [-20.0, -20.0]
    """
    hop, window = round(FRAME_S * SAMPLING_RATE), round(_WINDOW_S * SAMPLING_RATE)
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, max(1, len(samples) - window), hop)
    ends = np.minimum(starts + window, len(samples))
    return np.asarray(10 * np.log10((energy[ends] - energy[starts]) / (ends - starts) + 1e-12))


def speech_frames(energy: np.ndarray) -> np.ndarray:
    """Which frames of a contour in dB are speech: louder than a third of the way from the quiet to the loud ones.

    Example:
        >>> int(speech_frames(np.repeat([-60.0, -20.0, -60.0], 100)).sum()) // 10
        10
    """
    contour = smooth(energy, 0.03)
    low, high = np.percentile(contour, (10, 95))
    if high - low < 3 or high < -90:  # without movement it is noise or silence
        return np.zeros(len(energy), bool)
    speech = contour > max(min(low + 0.3 * (high - low), high - 20), high - 40)
    for first, last in pauses(speech):
        speech[first:last] = (last - first) * FRAME_S < _SHORTEST_PAUSE_S
    for first, last in _runs(speech):
        if (last - first) * FRAME_S < _SHORTEST_SOUND_S:
            speech[first:last] = False
    return np.asarray(speech)


def pauses(speech: np.ndarray) -> list[tuple[int, int]]:
    """The gaps between stretches of speech, without what lies before the first and behind the last.

    Example:
        >>> pauses(np.array([0, 1, 0, 0, 1, 0], bool))
        [(2, 4)]
    """
    return [(first, last) for first, last in _runs(~speech) if first > 0 and last < len(speech)]


def smooth(values: np.ndarray, seconds: float) -> np.ndarray:
    """Values of successive frames (first axis) without movements shorter than `seconds`."""
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(values, seconds / FRAME_S / 2.5, axis=0, mode="nearest"))


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]
