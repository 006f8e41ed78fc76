"""The train x test matrix of a protocol: sources by row, targets by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Matrix:
    """A measure for every (source, target); NaN where the protocol has no such task."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: np.ndarray
    measure: str

    def markdown(self) -> str:
        """The matrix as a table, in per cent, with the mean of each row."""
        head = f"| train \\ test ({self.measure}) | " + " | ".join(self.targets) + " | mean |"
        rule = "|---|" + "---:|" * (len(self.targets) + 1)
        rows = [
            f"| {source} | " + " | ".join([*map(_cell, row), _cell(_mean(row))]) + " |"
            for source, row in zip(self.sources, self.values, strict=True)
        ]
        return "\n".join([head, rule, *rows])


def matrix_of(results: Mapping[str, Any], measure: str = "UA") -> Matrix:
    """The matrix of the content of a `results.json`; several seeds are averaged.

    Example:
        >>> matrix_of({"results": [{"source": "en", "corpus": "emodb", "UA": 0.5}]}).values.tolist()
        [[0.5]]
    """
    cells: dict[tuple[str, str], list[float]] = {}
    for entry in results["results"]:
        cells.setdefault((entry["source"], entry["corpus"]), []).append(entry[measure])
    sources = tuple(dict.fromkeys(source for source, _ in cells))
    targets = tuple(dict.fromkeys(target for _, target in cells))
    values = np.full((len(sources), len(targets)), np.nan)
    for (source, target), found in cells.items():
        values[sources.index(source), targets.index(target)] = sum(found) / len(found)
    return Matrix(sources, targets, values, measure)


def _mean(row: np.ndarray) -> float:
    known = row[np.isfinite(row)]
    return float(known.mean()) if known.size else float("nan")


def _cell(value: float) -> str:
    return f"{100 * value:.1f}" if np.isfinite(value) else ""
