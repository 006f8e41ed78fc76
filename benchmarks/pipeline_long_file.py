"""Files of hours through the whole pipeline, with a time line: is time linear in their length, and memory flat?

    python benchmarks/pipeline_long_file.py [--hours 1 3 10]      # writes benchmarks/results/pipeline_long_file.json

Each length runs in a process of its own, with the embedded checkpoint. Memory is what the process needs beyond what it
held when the model was loaded and had heard a minute. A length that stands in the results already is not run again, so
that a stopped run goes on. The sound is generated: a minute of tones in noise, repeated, in flac.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from audio_long_file import generate, memory_mb, write
from side_by_side import CLOCKS, machine

from hf_mser.commands.predict import load_pipeline
from hf_mser.evaluation.files import write_text

RESULTS = Path(__file__).resolve().parent / "results" / "pipeline_long_file.json"
FORM = ("FLAC", "PCM_16", 16_000, 1)
WINDOW_S, HOP_S, BATCH = 4.0, 4.0, 16


def main() -> None:
    """Measure what is missing and write after each length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 3.0, 10.0])
    parser.add_argument("--clock", choices=CLOCKS, default="cpu", help="cpu stays fair on a crowded machine")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--measure", nargs=2, metavar=("FILE", "CLOCK"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return
    rows = json.loads(arguments.output.read_text(encoding="utf-8"))["rows"] if arguments.output.exists() else []
    for hours in arguments.hours:
        if any(row["hours"] == hours for row in rows):
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "long.flac"
            generate(path, round(60 * hours), *FORM)
            command = [sys.executable, __file__, "--measure", str(path), arguments.clock]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        rows.append({"hours": hours, **found, "times_real_time": 3600 * hours / found["seconds"]})
        print(rows[-1], file=sys.stderr)
        options = {"window_s": WINDOW_S, "hop_s": HOP_S, "batch_size": BATCH, "clock": arguments.clock}
        results = {**options, "machine": machine(), "rows": sorted(rows, key=lambda row: row["hours"])}
        write(arguments.output, results)
        write_text(arguments.output.with_suffix(".md"), table(results))


def table(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = ["| hours | windows | seconds | times real time | memory, MB |", "|---:|---:|---:|---:|---:|"]
    lines += [
        f"| {row['hours']:g} | {row['segments']} | {row['seconds']:.1f} | {row['times_real_time']:.0f} "
        f"| {row['peak_mb']:.0f} |"
        for row in results["rows"]
    ]
    on = results["machine"]
    told = f"mser-tiny, windows of {results['window_s']:g} s, batches of {results['batch_size']}; one run each."
    where = f"{on['cpu']}, {on['threads']} thread(s), {results['clock']} clock, torch {on['torch']}."
    return "\n".join([*lines, "", f"{told} {where}", ""])


def measure(file: str, clock: str) -> dict[str, float]:
    """Seconds and memory of one file, and proof that the time line covers it."""
    pipe = load_pipeline(None)
    options = {"return_timestamps": True, "window_s": WINDOW_S, "hop_s": HOP_S, "batch_size": BATCH}
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder) / "minute.flac", 1, *FORM)
        pipe([os.path.join(folder, "minute.flac")] * 2, **options)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak so far
    before, now = memory_mb("VmRSS"), CLOCKS[clock]
    begin, wall = now(), time.perf_counter()
    (answer,) = pipe([file], **options)
    segments = answer["segments"]
    return {
        "segments": len(segments),
        "last_end_s": segments[-1]["end"],
        "seconds": now() - begin,
        "wall_seconds": time.perf_counter() - wall,
        "peak_mb": memory_mb("VmHWM") - before,
    }


if __name__ == "__main__":
    main()
