"""Does `mser predict` bear many clips, of which some are damaged, under a memory cap and a kill?

    python benchmarks/soak.py --clips 20000        # writes benchmarks/results/soak.json

A folder of short clips of noise is made, one in twenty of them damaged (cut short, garbage, empty, NaN). The command
runs on it under a cap on its address space, is killed half-way and run again. Counted: lines lost or out of order, good
clips with an error, damaged ones without, and the memory at the beginning and at the end.
"""

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

RESULTS = Path(__file__).resolve().parent / "results" / "soak.json"


def main() -> None:
    """Run, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--cap-mb", type=int, default=4_000, help="of address space")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = soak(Path(folder), options.clips, options.cap_mb)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


def soak(folder: Path, count: int, cap_mb: int) -> dict:
    """Make clips, predict, kill, go on, and compare."""
    damaged = write_clips(folder / "clips", count)
    output = folder / "out.jsonl"
    journal = folder / "out.jsonl.partial"
    command = [sys.executable, "-m", "hf_mser.cli", "predict", str(folder / "clips"), "--format", "jsonl"]
    command = ["bash", "-c", f'ulimit -v {cap_mb * 1024}; exec "$@"', "-", *command, "--output", str(output)]
    begin = time.perf_counter()
    first = watch(command, journal, count // 2)
    second = watch(command, journal, None)
    records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    names = [str(path) for path in sorted((folder / "clips").iterdir())]
    wrong = [record["input"] for record in records if ("error" in record) != (Path(record["input"]).name in damaged)]
    return {
        "clips": count,
        "damaged": len(damaged),
        "lines": len(records),
        "in_order_and_complete": [record["input"] for record in records] == names,
        "wrongly_answered": wrong,
        "first_run": first,
        "run_after_the_kill": second,
        "seconds": time.perf_counter() - begin,
        "address_space_cap_mb": cap_mb,
    }


def write_clips(folder: Path, count: int) -> set[str]:
    """Clips of 0.2 to 1 s; the names of those that are damaged."""
    folder.mkdir()
    random = np.random.default_rng(0)
    damaged = set()
    for number in range(count):
        path = folder / f"{number:06d}.wav"
        samples = random.normal(0, 0.1, int(random.uniform(3_200, 16_000))).astype(np.float32)
        kind = number // 20 % 4 if number % 20 == 7 else None
        if kind == 3:
            samples[100] = np.nan
        soundfile.write(path, samples, 16_000, subtype="FLOAT")
        if kind is not None:
            damaged.add(path.name)
        if kind == 0:
            path.write_bytes(path.read_bytes()[:1_000])
        elif kind == 1:
            path.write_bytes(random.bytes(5_000))
        elif kind == 2:
            path.write_bytes(b"")
    return damaged


def watch(command: list[str], journal: Path, enough: int | None) -> dict:
    """Run until the end, or until so many clips are done and then SIGKILL; memory and pace early on and at the end."""
    memory, done = [], [(0.0, 0)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            memory.append(_resident_mb(process.pid))
            if journal.exists():
                done.append((cpu_seconds(process.pid), journal.read_bytes().count(b"\n")))
            if enough is not None and done[-1][1] > enough:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.5)
    held = [value for value in memory if value > 200]  # before that it still imports
    quarter = max(1, len(held) // 4)
    return {
        "status": process.returncode,
        "peak_mb": max(held, default=0.0),
        "second_quarter_mb": float(np.median(held[quarter : 2 * quarter] or [0.0])),
        "last_quarter_mb": float(np.median(held[-quarter:] or [0.0])),
        "clips_per_cpu_second_by_third": _paces([entry for entry in done if entry[0] and entry[1]]),
    }


def _paces(done: list[tuple[float, int]]) -> list[float]:
    """Clips per CPU second in the first, second and last third of a run, from times and counts."""
    done = [entry for entry in done if entry[1] > done[0][1]]  # before that it loaded the model
    if len(done) < 4:
        return []
    marks = [done[round(part * (len(done) - 1) / 3)] for part in range(4)]
    return [(end[1] - start[1]) / (end[0] - start[0]) for start, end in itertools.pairwise(marks)]


def cpu_seconds(pid: int) -> float:
    """What a process was charged; fair on a crowded machine."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
