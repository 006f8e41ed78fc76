"""Does `mser predict` keep all cores busy, and does its cost grow with the clips alone?

    python benchmarks/predict_folder.py            # writes benchmarks/results/predict_folder.json and .md

Folders of clips of 4 s, cut from examples/call.ogg, are given to the command as a user would. `busy` is the CPU time of
the process over wall time and cores: of the whole run, imports and the model's loading included, and from the first
answers on. Wants a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from side_by_side import machine
from soak import cpu_seconds
from speed_mser_tiny import SECONDS, write_clips

from hf_mser.evaluation.files import write_json, write_text

ROOT = Path(__file__).resolve().parents[1]
LOOKED_EVERY = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "predict_folder.json")
    arguments = parser.parse_args()
    results: dict[str, Any] = {"protocol": __doc__, "runs": [], "environment": machine()}
    for count in arguments.clips:
        with tempfile.TemporaryDirectory() as folder:
            clips = Path(folder) / "clips"
            clips.mkdir()
            write_clips(clips, count)
            results["runs"].append({"clips": count, **watch(clips, Path(folder) / "out.jsonl")})
        write_json(arguments.output, results)
        write_text(arguments.output.with_suffix(".md"), table(results))
        print(results["runs"][-1], flush=True)


def watch(clips: Path, output: Path) -> dict[str, float]:
    """Run the command; its seconds and how busy it kept the cores."""
    journal, cores = output.with_name(f"{output.name}.partial"), os.cpu_count() or 1
    command = [sys.executable, "-m", "hf_mser.cli", "predict", str(clips), "--format", "jsonl", "--output", str(output)]
    began, first, last = time.perf_counter(), None, (0.0, 0.0)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            last = (time.perf_counter(), max(last[1], cpu_seconds(process.pid)))
            if first is None and journal.exists() and journal.stat().st_size:
                first = last
            time.sleep(LOOKED_EVERY)
    if process.returncode or first is None:
        raise SystemExit(f"mser predict ended with {process.returncode}")
    seconds, listening = last[0] - began, last[0] - first[0]
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(last[1], 1),
        "busy": round(100 * last[1] / seconds / cores, 1),
        "seconds_from_first_answers": round(listening, 1),
        "busy_from_first_answers": round(100 * (last[1] - first[1]) / listening / cores, 1),
    }


def table(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    names = ("clips", "seconds", "clips a second", "busy, %", "from the first answers on, %")
    lines = [f"| {' | '.join(names)} |", "|---:" * len(names) + "|"]
    for run in results["runs"]:
        figures = (f"{run['clips']:,}", f"{run['seconds']:.0f}", f"{run['clips'] / run['seconds']:.0f}")
        lines.append(f"| {' | '.join(figures)} | {run['busy']} | {run['busy_from_first_answers']} |")
    cpu = results["environment"]["cpu"]
    return "\n".join([*lines, "", f"mser-tiny, clips of {SECONDS} s, {os.cpu_count()} cores ({cpu}).", ""])


if __name__ == "__main__":
    main()
