"""Training runs that differ in one thing, several seeds each: run, resumed, summarised, compared.

A run that is done is not run again and a run that was interrupted goes on from its last checkpoint, so that a command
over many runs can be stopped at any moment and given again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_mser.evaluation.intervals import mean_interval, percentile_interval, resampled, speaker_weights
from hf_mser.evaluation.metrics import MEASURES
from hf_mser.training.answers import Line, counts_of
from hf_mser.training.checkpoints import last_complete
from hf_mser.training.recipe import load_recipe
from hf_mser.training.run import train_recipe
from hf_mser.training.run_folder import ANSWERS

Answers = dict[str, list[Line]]
"""The lines of a run, by set."""

UA = MEASURES["UA"]


def run(recipe: Path, folder: Path, overrides: Sequence[str]) -> Answers:
    """Follow a recipe into a folder, or read what an earlier run of it left there."""
    if not (folder / "results.json").exists():
        resume = "true" if last_complete(folder) else "false"
        quiet = ["report_to=none", "disable_tqdm=true"]
        train_recipe(load_recipe(recipe, [*overrides, *quiet, f"output_dir={folder}", f"resume={resume}"]))
    return read_answers(folder)


def read_answers(folder: Path) -> Answers:
    """What a finished run has answered."""
    answers: Answers = {}
    for text in (folder / ANSWERS).read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        answers.setdefault(line["set"], []).append(line)
    return answers


class Budget:
    """Says when no further run should be started; without minutes, never."""

    def __init__(self, minutes: float | None) -> None:
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def is_spent(self) -> bool:
        return self._end is not None and time.monotonic() > self._end


def accuracy(runs: Sequence[Answers], sets: Sequence[str]) -> dict[str, Any]:
    """UA of each seed (the mean over the sets), their mean and deviation, and the 95 % interval over speakers."""
    seeds = [float(np.mean([UA(counts_of(answers[name]).confusion) for name in sets])) for answers in runs]
    interval = mean_interval([[counts_of(answers[name]) for answers in runs] for name in sets])
    return {
        "UA": float(np.mean(seeds)),
        "deviation": float(np.std(seeds, ddof=1)) if len(seeds) > 1 else None,
        "interval": interval,
        "seeds": seeds,
    }


def difference(first: Sequence[Answers], second: Sequence[Answers], sets: Sequence[str]) -> dict[str, Any]:
    """How much better the second is: both answered the same clips, so speakers are drawn once for both.

    The interval is over speakers, seeds averaged.
    """
    drawn = []
    for position, name in enumerate(sets):
        of_first, of_second = ([counts_of(answers[name]) for answers in runs] for runs in (first, second))
        weights = speaker_weights(of_first[0].strata, seed=position)
        means = [np.mean([UA(resampled(c, weights)) for c in counts], axis=0) for counts in (of_first, of_second)]
        drawn.append(means[1] - means[0])
    return {
        "UA": accuracy(second, sets)["UA"] - accuracy(first, sets)["UA"],
        "interval": percentile_interval(np.mean(drawn, axis=0)),
    }


def cell(entry: Mapping[str, Any]) -> str:
    """UA in per cent, with the deviation over seeds and the interval over speakers.

    Example:
        >>> cell({"UA": 0.5, "deviation": 0.012, "interval": (0.45, 0.551)})
        '50.0 ± 1.2 (45.0–55.1)'
    """
    text = f"{100 * entry['UA']:.1f}"
    if entry["deviation"] is not None:
        text += f" ± {100 * entry['deviation']:.1f}"
    if entry["interval"] is not None:
        low, high = entry["interval"]
        text += f" ({100 * low:.1f}–{100 * high:.1f})"
    return text


def points(entry: Mapping[str, Any]) -> str:
    """A difference in points, with its interval.

    Example:
        >>> points({"UA": 0.015, "interval": (-0.01, 0.04)})
        '+1.5 (-1.0 to +4.0)'
    """
    low, high = entry["interval"]
    return f"{100 * entry['UA']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
