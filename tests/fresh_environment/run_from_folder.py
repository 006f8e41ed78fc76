"""A published folder in an environment that never heard of hf_mser: a transcript, and a check of every score.

    python tests/fresh_environment/run_from_folder.py [CHECKPOINT] [--work DIR] [--output FILE]

Writes the folder with `upload.py checkpoint CHECKPOINT --to`, makes a virtual environment with torch, transformers,
soundfile and soxr alone (in the versions of constraints.txt; a gigabyte, kept in the work folder for the next time),
and lets `pipeline(..., trust_remote_code=True)` answer the example clips there. The exit status is 1 if anything fails
or a score differs from what the package says.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "transformers", "soundfile", "soxr")
TOLERANCE = 1e-5
PROGRAM = """
import importlib.util, json, sys
from transformers import pipeline

assert importlib.util.find_spec("hf_mser") is None
pipe = pipeline("speech-emotion", model=sys.argv[1], trust_remote_code=True)
print(json.dumps([pipe(clip) for clip in sys.argv[2:]]))
"""


def main() -> int:
    """Run the steps and write the transcript."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", type=Path, default=ROOT / "src/hf_mser/checkpoints/mser-tiny")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "hf-mser-fresh")
    parser.add_argument("--output", type=Path, help="where the transcript goes, besides the screen")
    arguments = parser.parse_args()
    transcript = Transcript()
    work = arguments.work.absolute()
    folder = work / "published"
    shutil.rmtree(folder, ignore_errors=True)
    clips = sorted((ROOT / "examples" / "clips").glob("*.flac"))

    upload = ["upload.py", "checkpoint", str(arguments.checkpoint), "--repo", "org/mser-tiny", "--to", str(folder)]
    transcript.run([sys.executable, *upload], "python " + " ".join(upload))
    python = fresh_python(work / "venv", transcript)
    transcript.run([python, "-m", "pip", "list", "--format=freeze"], "pip list --format=freeze")
    said = transcript.run(
        [python, "-c", PROGRAM, str(folder), *map(str, clips)], f"python - <<END{PROGRAM}END", show=False
    )
    answers = json.loads(said.splitlines()[-1])
    largest = max(
        difference(answer, expected)
        for answer, expected in zip(answers, with_the_package(arguments.checkpoint, clips), strict=True)
    )
    for clip, answer in zip(clips, answers, strict=True):
        transcript.add(
            f"{clip.name:<20} " + "  ".join(f"{entry['label']} {entry['score']:.3f}" for entry in answer[:3])
        )
    transcript.add(f"largest difference of a score from the package's: {largest:.1g}")
    if arguments.output:
        arguments.output.write_text(transcript.text(hide=work), encoding="utf-8")
    return int(not largest <= TOLERANCE)


class Transcript:
    """Commands and what they said, as they happen."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        print(line, flush=True)
        self.lines.append(line)

    def run(self, command: list[str], shown: str, show: bool = True) -> str:
        """Run a command outside of the checkout's own packages; a failure ends everything."""
        self.add(f"$ {shown}")
        is_ours = command[0] == sys.executable
        environment = {name: value for name, value in os.environ.items() if is_ours or name != "PYTHONPATH"}
        done = subprocess.run(
            command,
            cwd=ROOT if is_ours else Path(tempfile.gettempdir()),
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            self.add(done.stderr)
            sys.exit(1)
        if show:
            for line in done.stdout.splitlines():
                self.add(line)
        return done.stdout

    def text(self, hide: Path) -> str:
        """The transcript without this machine's folders."""
        return "\n".join(self.lines).replace(str(hide), "WORK").replace(f"{ROOT}/", "") + "\n"


def fresh_python(venv: Path, transcript: Transcript) -> str:
    """The interpreter of an environment that holds the four packages and what they need."""
    python = venv / "bin" / "python"
    if not (venv / "done").is_file():
        shutil.rmtree(venv, ignore_errors=True)
        transcript.run([sys.executable, "-m", "venv", str(venv)], "python -m venv venv")
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        constraints = ["-c", str(ROOT / "constraints.txt")]
        shown = f"venv/bin/pip install -c constraints.txt {' '.join(PACKAGES)}"
        transcript.run([str(python), *install, *constraints, *PACKAGES], shown)
        (venv / "done").touch()
    return str(python)


def with_the_package(checkpoint: Path, clips: list[Path]) -> list[list[dict]]:
    """What the package's own code answers."""
    from transformers import pipeline

    import hf_mser  # noqa: F401

    pipe = pipeline("speech-emotion", model=str(checkpoint))
    return [pipe(str(clip)) for clip in clips]


def difference(answer: list[dict], expected: list[dict]) -> float:
    """The largest difference of a score; infinite if the labels are others."""
    found = {entry["label"]: entry["score"] for entry in answer}
    wanted = {entry["label"]: entry["score"] for entry in expected}
    return max(abs(found[label] - wanted[label]) for label in wanted) if found.keys() == wanted.keys() else float("inf")


if __name__ == "__main__":
    sys.exit(main())
