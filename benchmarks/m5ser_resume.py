"""Kill a build of M5SER at random moments, resume it each time, and compare it with an undisturbed one, byte for byte.

    python benchmarks/m5ser_resume.py --source ../shared/corpora/crema_d --kills 10

The kill is SIGKILL, at a random time within a random unit of work. ProsodyTransfer makes the clips.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hf_mser.evaluation.files import write_json
from hf_mser.m5ser import Settings, build


def command(options: argparse.Namespace, output: Path) -> list[str]:
    """The build as a process of its own, one source a unit, so that there is something to resume."""
    call = "import sys; from hf_mser.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["--source", str(options.source), "--output", str(output), "--splits", "train", "--workers", "1"]
    arguments += ["--clips-per-unit", "1", "--clips-per-emotion", str(options.clips_per_emotion)]
    return [sys.executable, "-c", call, "m5ser", "build", *arguments]


def chosen(options: argparse.Namespace) -> dict[str, Any]:
    """The same clips, as `build` takes them."""
    return {"splits": ["train"], "clips_per_emotion": options.clips_per_emotion}


def killed(arguments: list[str], output: Path, units: int, seconds: float) -> int:
    """Build until so many units are done and some time longer, then kill. Returns the units done."""
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)

    def done() -> int:
        return len(list(output.glob(".build/units/*.json")))

    while process.poll() is None and done() < units:
        time.sleep(0.02)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    if process.wait() != -signal.SIGKILL:
        raise SystemExit("The build ended before it was killed; give it more clips.")
    return done()


def contents(folder: Path) -> dict[str, str]:
    """Every file with the SHA-256 of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/m5ser_resume.json"))
    parser.add_argument("--clips-per-emotion", type=int, default=2)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        quiet, disturbed = Path(folder) / "quiet", Path(folder) / "disturbed"
        begun = time.perf_counter()
        result = build([options.source], quiet, Settings(clips_per_unit=1), workers=1, **chosen(options))
        units = len(list(quiet.glob("data/en/*.parquet")))
        seconds = (time.perf_counter() - begun) / units
        killed_at = []
        for moment in sorted(chance.choices(range(units - 1), k=options.kills)):
            killed_at.append(killed(command(options, disturbed), disturbed, moment, chance.uniform(0, seconds)))
            print(f"killed with {killed_at[-1]} of {units} units done", flush=True)
        subprocess.run(command(options, disturbed), check=True)
        same = contents(quiet) == contents(disturbed)
        numbers = {
            "clips": result.clips,
            "kills": options.kills,
            "units": units,
            "units_done_at_each_kill": killed_at,
            "files": len(contents(quiet)),
            "equal_byte_for_byte": same,
            "seed": options.seed,
        }
    write_json(options.output, numbers)
    print(numbers)
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
