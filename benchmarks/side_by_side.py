"""Fair timing on a machine that does other things too: contestants take turns, and only ratios are believed.

In every round each contestant runs once, in an order that rotates, so that other load on the machine hits all
of them alike. A ratio is taken within a round; the median over the rounds is reported, with its quartiles.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

Contestant = Callable[[], Any]

PACKAGES = ("torch", "transformers", "numpy", "soundfile", "soxr")


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""What the clock on the wall says, or what this process was charged: on a crowded machine only the second is fair."""


def take_turns(
    contestants: Mapping[str, Contestant], rounds: int, warmup: int = 1, clock: str = "wall"
) -> dict[str, list[float]]:
    """Seconds of every contestant in every round.

    Example:
        >>> times = take_turns({"short": lambda: sum(range(10)), "long": lambda: sum(range(1000))}, rounds=3)
        >>> {name: len(seconds) for name, seconds in times.items()}
        {'short': 3, 'long': 3}
    """
    for _ in range(warmup):
        for run in contestants.values():
            run()
    now = CLOCKS[clock]
    names = list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start = now()
            contestants[name]()
            seconds[name].append(now() - start)
    return seconds


def compare(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """How many times as long as `ours` `theirs` takes, round by round: median and quartiles; medians in seconds.

    Example:
        >>> compare([1.0, 2.0, 1.0], [3.0, 8.0, 3.0])["ratio"]
        3.0
    """
    ratios = [other / own for own, other in zip(ours, theirs, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return {
        "seconds": statistics.median(ours),
        "against_seconds": statistics.median(theirs),
        "ratio": middle,
        "ratio_low": low,
        "ratio_high": high,
    }


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code: processor, threads, versions."""
    import torch

    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "load_average": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
