"""What `import hf_mser` costs beside `import transformers, torch`, and what it must not bring along.

    python benchmarks/import_time.py

Every import runs in a fresh process, in turns. Results go to benchmarks/results/import_time.json; the exit
status is 1 if the import takes 1.3 times as long or more, or if it imports a forbidden module.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from side_by_side import CLOCKS, compare, machine

from hf_mser.evaluation.files import write_json

RESULTS = Path(__file__).resolve().parent / "results"
LIMIT = 1.3
FORBIDDEN = ("datasets", "evaluate", "peft", "gradio", "matplotlib", "sklearn", "accelerate", "pandas", "scipy")
STATEMENTS = {"hf_mser": "import hf_mser", "transformers": "import transformers, torch"}

PROBE = """
import json, sys, time
now = time.{clock}
start = now()
{statement}
print(json.dumps([now() - start, sorted(set(sys.modules) & set({forbidden!r}))]))
"""


def measure(rounds: int, clock: str) -> dict[str, Any]:
    """Import seconds of both in every round after a warm-up, compared; and the forbidden modules found."""
    seconds: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    found: dict[str, list[str]] = {}
    for turn in range(rounds + 1):
        for name in sorted(STATEMENTS, reverse=bool(turn % 2)):
            taken, found[name] = _import(STATEMENTS[name], CLOCKS[clock].__name__)
            if turn:  # the first round only warms the disk's cache
                seconds[name].append(taken)
    times = compare(seconds["transformers"], seconds["hf_mser"])
    return {
        "machine": machine(),
        "clock": clock,
        "rounds": rounds,
        "seconds": {"transformers": times["seconds"], "hf_mser": times["against_seconds"]},
        **{name: times[name] for name in ("ratio", "ratio_low", "ratio_high")},
        "limit": LIMIT,
        # What transformers and torch import by themselves is not our doing.
        "forbidden_modules": [name for name in found["hf_mser"] if name not in found["transformers"]],
    }


def _import(statement: str, clock: str) -> tuple[float, list[str]]:
    code = PROBE.format(clock=clock, statement=statement, forbidden=FORBIDDEN)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, modules = json.loads(run.stdout.splitlines()[-1])
    return seconds, modules


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: seconds charged to the process")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of import_time.json")
    options = parser.parse_args(arguments)
    results = measure(options.rounds, options.clock)
    write_json(options.output / "import_time.json", results)
    print(f"import hf_mser: {results['ratio']:.2f} × transformers and torch (below {LIMIT} wanted)")
    if results["forbidden_modules"]:
        print(f"forbidden modules imported: {', '.join(results['forbidden_modules'])}")
    return int(results["ratio"] >= LIMIT or bool(results["forbidden_modules"]))


if __name__ == "__main__":
    sys.exit(main())
