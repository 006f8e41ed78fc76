"""The two figures of the paper: what is in the dataset, and where its mean spectrograms lie."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ..emotions import EMOTIONS
from ..evaluation.plots import COLOURS, new_figure, save_figure
from .measures import Measured
from .survival import cell_means

_MARKERS = "osD^vP*XdhH<>p"


def distributions(clips: Measured, path: Path) -> None:
    """Figure 1: clips by emotion and by language, each divided by the other."""
    languages = sorted(set(clips.languages.tolist()))
    emotions = [emotion for emotion in EMOTIONS if emotion in set(clips.emotions.tolist())]
    counts = Counter(zip(clips.emotions.tolist(), clips.languages.tolist(), strict=True))
    table = np.array([[counts[emotion, language] for language in languages] for emotion in emotions])
    shades = _shades(len(languages))
    figure, axes = new_figure(9.5, 3.4, 1, 2)
    _stacked(axes[0, 0], emotions, table, languages, shades)
    _stacked(axes[0, 1], languages, table.T, emotions, [COLOURS[emotion] for emotion in emotions])
    axes[0, 0].set_title("emotions, by language", size=9)
    axes[0, 1].set_title("languages, by emotion", size=9)
    save_figure(figure, path)


def spectrogram_map(clips: Measured, path: Path) -> None:
    """Figure 2: the mean spectrogram of each (corpus, emotion, language) in two dimensions (principal components).

    Left as it is; right with each language's own mean taken out, so that what is left is emotion.
    """
    means = cell_means(clips)
    keys = list(means)
    plain = np.stack(list(means.values()))
    groups = np.array([f"{corpus} {language}" for corpus, _, language in keys])
    centred = plain.copy()
    for group in set(groups.tolist()):
        centred[groups == group] -= plain[groups == group].mean(0)
    figure, axes = new_figure(11, 5, 1, 2)
    for axis, table, title in (
        (axes[0, 0], plain, "mean spectrograms"),
        (axes[0, 1], centred, "each language's own mean taken out"),
    ):
        points, shares = _two_dimensions(table)
        _scatter(axis, points, keys)
        axis.set_xlabel(f"first component, {100 * shares[0]:.0f} % of the variance", size=8)
        axis.set_ylabel(f"second component, {100 * shares[1]:.0f} %", size=8)
        axis.set_title(title, size=9)
    _legend(axes[0, 1], keys)
    save_figure(figure, path)


def _stacked(axis: Any, names: list[str], table: np.ndarray, parts: list[str], colours: list[str]) -> None:
    floor = np.zeros(len(names))
    for values, part, colour in zip(table.T, parts, colours, strict=True):
        axis.bar(names, values, bottom=floor, label=part, color=colour, width=0.72, edgecolor="white", linewidth=0.5)
        floor += values
    axis.set_ylabel("clips", size=8)
    axis.tick_params(labelsize=8)
    axis.margins(y=0.12)
    axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=len(parts), columnspacing=0.9)


def _shades(count: int) -> list[Any]:
    """Greys for the languages: colours are the emotions'."""
    from matplotlib import colormaps

    return [colormaps["Greys"](share) for share in np.linspace(0.25, 0.95, count)]


def _two_dimensions(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows in their first two principal components, and the share of the variance that each shows."""
    centred = table - table.mean(0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(left[np.abs(left).argmax(0), np.arange(left.shape[1])])
    points = (left * scale * signs)[:, :2]
    missing = 2 - points.shape[1]
    shares = scale[:2] ** 2 / max(float((scale**2).sum()), 1e-12)
    return np.pad(points, ((0, 0), (0, missing))), np.pad(shares, (0, missing))


def _scatter(axis: Any, points: np.ndarray, keys: list[tuple[str, str, str]]) -> None:
    languages = sorted({language for *_, language in keys})
    for point, (_, emotion, language) in zip(points, keys, strict=True):
        marker = _MARKERS[languages.index(language) % len(_MARKERS)]
        axis.scatter(*point, color=COLOURS[emotion], marker=marker, s=60, alpha=0.85, linewidths=0)
    axis.set(xticks=[], yticks=[])


def _legend(axis: Any, keys: list[tuple[str, str, str]]) -> None:
    from matplotlib.lines import Line2D

    languages = sorted({language for *_, language in keys})
    emotions = [emotion for emotion in EMOTIONS if any(key[1] == emotion for key in keys)]
    style: dict[str, Any] = {"linestyle": "", "markersize": 7}
    entries = [Line2D([], [], marker="s", color=COLOURS[emotion], label=emotion, **style) for emotion in emotions]
    entries += [
        Line2D([], [], marker=_MARKERS[position % len(_MARKERS)], color="#555555", label=language, **style)
        for position, language in enumerate(languages)
    ]
    axis.legend(handles=entries, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
