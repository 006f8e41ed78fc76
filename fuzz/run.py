"""Coverage-guided fuzzing of every door, by atheris, for a fixed time each.

    pip install 'hf-mser[fuzz]'
    python fuzz/run.py --seconds 60            # writes benchmarks/results/fuzzing.json

Each target runs in a process of its own and goes on after a finding: findings of one kind (exception and place) count
once, and the first input of each kind is kept in --findings DIR.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "fuzzing.json"
PROGRESS = re.compile(r"#(\d+).*?cov: (\d+) ft: (\d+) corp: (\d+)")


def main() -> None:
    """Run all targets, or in a process of its own one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--targets", nargs="+")
    parser.add_argument("--findings", type=Path, default=ROOT / "runs" / "fuzz")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        fuzz(options.one, options.seconds, options.findings)
        return
    sys.path.insert(0, str(ROOT / "fuzz"))
    from targets import TARGETS

    rows = [run_apart(name, options.seconds, options.findings) for name in options.targets or TARGETS]
    result = {"atheris": version("atheris"), "python": sys.version.split()[0], "targets": rows}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def run_apart(name: str, seconds: int, findings: Path) -> dict[str, Any]:
    """Fuzz one target and read libFuzzer's account of it."""
    command = [sys.executable, __file__, "--one", name, "--seconds", str(seconds), "--findings", str(findings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    reports = PROGRESS.findall(done.stderr)
    found = sorted({line for line in done.stdout.splitlines() if line.startswith("finding: ")})
    crashed = done.returncode != 0
    row = {"target": name, "seconds": seconds, "crashed": crashed, "findings": [f.partition(" ")[2] for f in found]}
    if reports:
        executions, coverage, features, corpus = map(int, reports[-1])
        row |= {"executions": executions, "coverage_edges": coverage, "features": features, "corpus": corpus}
    else:
        row["output"] = done.stderr[-800:]
    print(row, file=sys.stderr)
    return row


def fuzz(name: str, seconds: int, findings: Path) -> None:
    """Hand one target to atheris."""
    import atheris

    with atheris.instrument_imports(include=["hf_mser"]):
        sys.path.insert(0, str(ROOT / "fuzz"))
        from targets import TARGETS, allowed, seeds
    known: set[str] = set()

    def one(data: bytes) -> None:
        try:
            TARGETS[name](data)
        except Exception as error:
            if allowed(error):
                return
            place = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{name}: {type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
            if kind not in known:
                known.add(kind)
                (findings / f"{name}-{len(known)}").write_bytes(data)
                print(f"finding: {kind}", flush=True)

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds(name)):
            (Path(corpus) / str(number)).write_bytes(seed)
        findings.mkdir(parents=True, exist_ok=True)
        options = [
            f"-artifact_prefix={findings}/",
            f"-max_total_time={seconds}",
            "-max_len=8192",
            "-rss_limit_mb=6000",
            "-timeout=60",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], corpus, *options], one, enable_python_coverage=True)
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        atheris.Fuzz()


if __name__ == "__main__":
    main()
