"""How fast mser-tiny is, and how large: the whole pipeline, from files of 4 s to probabilities.

    python benchmarks/speed_mser_tiny.py

Files of 4 s are cut from examples/call.ogg. Batch sizes take turns; medians over the rounds, and their quartiles.
Writes benchmarks/results/speed_mser_tiny.json and .md; the card of mser-tiny quotes the table.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import soundfile
from side_by_side import CLOCKS, machine, take_turns

from hf_mser import load_audio
from hf_mser.commands.predict import load_pipeline
from hf_mser.evaluation.files import write_json, write_text
from hf_mser.registration import EMBEDDED_CHECKPOINT

ROOT = Path(__file__).resolve().parents[1]
RATE, SECONDS = 16_000, 4
BATCH_SIZES = (1, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "speed_mser_tiny.json")
    arguments = parser.parse_args()
    pipe = load_pipeline(None)
    with tempfile.TemporaryDirectory() as folder:
        files = write_clips(Path(folder), arguments.clips)
        contestants = {f"batch {size}": (lambda size=size: pipe(files, batch_size=size)) for size in BATCH_SIZES}
        contestants["one clip at a time"] = lambda: [pipe(file) for file in files]
        seconds = take_turns(contestants, arguments.rounds, clock=arguments.clock)
    results: dict[str, Any] = {
        "protocol": __doc__,
        "clips": arguments.clips,
        "rounds": arguments.rounds,
        "clock": arguments.clock,
        "bytes": sum(file.stat().st_size for file in EMBEDDED_CHECKPOINT.iterdir()),
        "parameters": sum(parameter.numel() for parameter in pipe.model.parameters()),
        "clips_per_second": {name: _spread([arguments.clips / one for one in own]) for name, own in seconds.items()},
        "environment": machine(),
    }
    write_json(arguments.output, results)
    write_text(arguments.output.with_suffix(".md"), table(results))


def table(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    rows = [
        f"| {name} | {own['median']:.0f} ({own['low']:.0f}–{own['high']:.0f}) | {1000 / own['median']:.0f} |"
        for name, own in results["clips_per_second"].items()
    ]
    where = results["environment"]
    size = f"{results['parameters'] / 1e6:.1f} M parameters, {results['bytes'] / 1e6:.1f} MB on disk."
    what = f"Clips of {SECONDS} s, from file to probabilities; medians of {results['rounds']} rounds, and quartiles."
    machine_said = f"{where['cpu']}, {where['threads']} threads, float32, {results['clock']} clock."
    said = f"{size} {what} {machine_said}"
    return "\n".join(["| | clips a second | ms a clip |", "|---|---:|---:|", *rows, "", said, ""])


def write_clips(folder: Path, count: int) -> list[str]:
    """So many clips, cut from the call at even distances."""
    call = load_audio(ROOT / "examples" / "call.ogg")
    longest = len(call) - SECONDS * RATE
    files = []
    for number in range(count):
        start = number * longest // count
        files.append(str(folder / f"{number:05d}.wav"))
        soundfile.write(files[-1], call[start : start + SECONDS * RATE], RATE)
    return files


def _spread(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": middle, "low": low, "high": high}


if __name__ == "__main__":
    main()
