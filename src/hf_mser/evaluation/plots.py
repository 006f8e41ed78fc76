"""The figures of a report: confusion, languages, reliability, the embeddings in two dimensions, the matrix.

Every figure is drawn from `results.json` and the predictions, with fixed seeds, so that the same results give
the same picture.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .files import write_bytes
from .matrix import Matrix
from .metrics import ECE_BINS, calibration_bins

COLOURS = {
    "neutral": "#7f7f7f",
    "happy": "#e6a700",
    "sad": "#3b6fb6",
    "angry": "#c8352b",
    "surprise": "#8e5bb5",
    "disgust": "#4d8f3a",
    "fear": "#1f9aa0",
}
MOST_CONFUSIONS = 24
MOST_POINTS = 2000
_DPI = 110


def confusions(entries: Sequence[Mapping[str, Any]], path: Path) -> None:
    """One row-normalised matrix for each result, `MOST_CONFUSIONS` at most."""
    shown = entries[:MOST_CONFUSIONS]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = new_figure(columns * 3.6, rows * 3.6, rows, columns)
    for axis in axes.flat[len(shown) :]:
        axis.axis("off")
    for axis, entry in zip(axes.flat, shown, strict=False):
        counts = np.asarray(entry["confusion"], dtype=float)
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        _label_axes(axis, entry["classes"], entry["classes"])
        for row, column in np.ndindex(*share.shape):
            colour = "white" if share[row, column] > 0.55 else "#333333"
            axis.text(column, row, f"{100 * share[row, column]:.0f}", ha="center", va="center", color=colour, size=7)
        axis.set_title(f"{title_of(entry)}, UA {100 * entry['UA']:.1f}", size=9)
    save_figure(figure, path)


def language_bars(entries: Sequence[Mapping[str, Any]], path: Path) -> None:
    """UA of each result with its interval, ordered by language, beside what guessing would give."""
    ordered = sorted(entries, key=lambda entry: (entry["language"], entry["corpus"], entry["source"]))
    figure, axes = new_figure(7.2, 0.34 * len(ordered) + 1.2)
    axis = axes[0, 0]
    positions = np.arange(len(ordered))
    values = np.array([100 * entry["UA"] for entry in ordered])
    spans = [entry["intervals"]["UA"] or (entry["UA"], entry["UA"]) for entry in ordered]
    errors = np.abs(np.array([[100 * low, 100 * high] for low, high in spans]).T - values)
    axis.barh(positions, values, color="#3b6fb6", height=0.66)
    axis.errorbar(values, positions, xerr=errors, fmt="none", ecolor="#222222", capsize=2, lw=1)
    chance = [100 / len(entry["classes"]) for entry in ordered]
    axis.scatter(chance, positions, marker="|", color="#c8352b", s=90, zorder=3, label="guessing")
    axis.set_yticks(positions, [f"{entry['language']}  {title_of(entry)}" for entry in ordered], size=8)
    axis.invert_yaxis()
    axis.set_xlim(0, 100)
    axis.set_xlabel("UA, per cent (95 % interval over speakers)", size=8)
    axis.legend(fontsize=7, loc="lower right")
    save_figure(figure, path)


def reliability(lines: Sequence[Mapping[str, Any]], path: Path) -> None:
    """How often an answer is right, given how sure the model was, over all clips."""
    correct = [line["label"] == line["reference"] for line in lines]
    bins = calibration_bins([line["score"] for line in lines], correct)
    count = np.array(bins["count"])
    held = count > 0
    figure, axes = new_figure(4.2, 4.2)
    axis = axes[0, 0]
    centres = (np.arange(ECE_BINS) + 0.5) / ECE_BINS
    axis.bar(centres[held], np.array(bins["accuracy"])[held], width=0.9 / ECE_BINS, color="#3b6fb6", label="accuracy")
    axis.bar(centres, count / max(count.sum(), 1), width=0.9 / ECE_BINS, color="#e6a700", alpha=0.7, label="clips")
    axis.plot([0, 1], [0, 1], color="#222222", lw=1, ls="--")
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.set_xlabel("confidence of the answer", size=8)
    axis.set_ylabel("share", size=8)
    axis.legend(fontsize=7, loc="upper left")
    save_figure(figure, path)


def embedding_map(embeddings: np.ndarray, lines: Sequence[Mapping[str, Any]], path: Path) -> None:
    """t-SNE of the embeddings, coloured by emotion and, beside it, by language."""
    from sklearn.manifold import TSNE

    chosen = np.unique(np.linspace(0, len(lines) - 1, MOST_POINTS).astype(int))
    perplexity = min(30.0, (len(chosen) - 1) / 3)
    points = TSNE(init="pca", random_state=0, perplexity=perplexity).fit_transform(embeddings[chosen])
    figure, axes = new_figure(10, 5, 1, 2)
    for axis, key, title in ((axes[0, 0], "reference", "emotion"), (axes[0, 1], "language", "language")):
        values = [str(lines[index][key]) for index in chosen]
        for position, value in enumerate(sorted(set(values), key=_emotion_order)):
            mask = np.array([found == value for found in values])
            colour = COLOURS.get(value, f"C{position % 10}")
            axis.scatter(*points[mask].T, s=7, alpha=0.7, color=colour, label=value, linewidths=0)
        axis.set(xticks=[], yticks=[])
        axis.set_title(title, size=9)
        axis.legend(fontsize=7, markerscale=2)
    save_figure(figure, path)


def heat_map(matrix: Matrix, path: Path) -> None:
    """The train x test matrix."""
    height, width = matrix.values.shape
    figure, axes = new_figure(0.75 * width + 2.4, 0.5 * height + 1.8)
    axis = axes[0, 0]
    axis.imshow(100 * matrix.values, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    _label_axes(axis, matrix.sources, matrix.targets)
    for row, column in np.argwhere(np.isfinite(matrix.values)):
        value = 100 * matrix.values[row, column]
        axis.text(
            column, row, f"{value:.0f}", ha="center", va="center", color="white" if value < 60 else "black", size=8
        )
    axis.set_title(f"{matrix.measure}, trained on (row), tested on (column)", size=9)
    save_figure(figure, path)


def title_of(entry: Mapping[str, Any]) -> str:
    """A result in few words: what was tested and, where it matters, what taught and the seed."""
    source = "" if entry["source"] in ("-", entry["corpus"]) else f"{entry['source']} > "
    seed = f" (seed {entry['seed']})" if entry["seed"] else ""
    return f"{source}{entry['corpus']}{seed}"


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, np.ndarray]:
    """A figure without a display and without global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, np.asarray(figure.subplots(rows, columns, squeeze=False))


def _label_axes(axis: Any, rows: Sequence[str], columns: Sequence[str]) -> None:
    axis.set_xticks(range(len(columns)), columns, rotation=45, ha="right", size=7)
    axis.set_yticks(range(len(rows)), rows, size=7)


def _emotion_order(value: str) -> tuple[int, str]:
    order = list(COLOURS)
    return (order.index(value) if value in order else len(order), value)


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())
