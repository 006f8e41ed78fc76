"""Windows of a file of three hours: how long they take and how much memory.

    python benchmarks/audio_long_file.py                 # writes benchmarks/results/audio_long_file.json

Each measurement runs in a process of its own, so that its peak memory is its own (Linux tells it in /proc). A
short file is measured beside the long one: bounded memory means that both need the same. The sound is
generated: a minute of tones in noise, repeated.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr

from hf_mser.audio import iter_windows, load_audio

RESULTS = Path(__file__).resolve().parent / "results" / "audio_long_file.json"
FORMS = {  # name: (container, coding, rate, channels)
    "flac 44.1 kHz stereo": ("FLAC", "PCM_16", 44_100, 2),
    "wav 48 kHz mono": ("WAV", "PCM_16", 48_000, 1),
    "mp3 44.1 kHz mono": ("MP3", "MPEG_LAYER_III", 44_100, 1),
}
WINDOW_S, HOP_S = 10.0, 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
    else:
        write(arguments.output, compare(arguments.hours))


def compare(hours: float) -> dict:
    rows = []
    for name, form in FORMS.items():
        for minutes in (max(1, round(hours * 60 / 18)), round(hours * 60)):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "long"
                generate(path, minutes, *form)
                for what in ("windows", "whole") if minutes == round(hours * 60) else ("windows",):
                    row = {"file": name, "minutes": minutes, "file_mb": path.stat().st_size / 1e6, "what": what}
                    row |= measured_apart(what, path)
                    row["times_real_time"] = minutes * 60 / row["seconds"]
                    rows.append(row)
                    print(row, file=sys.stderr)
    versions = {package.__name__: package.__version__ for package in (np, soundfile, soxr)}
    versions |= {"python": platform.python_version(), "libsndfile": soundfile.__libsndfile_version__}
    return {"window_s": WINDOW_S, "hop_s": HOP_S, "cpus": os.cpu_count(), "versions": versions, "rows": rows}


def generate(path: Path, minutes: int, container: str, coding: str, rate: int, channels: int) -> None:
    random = np.random.default_rng(0)
    clock = np.arange(60 * rate) / rate
    minute = 0.2 * np.sin(2 * np.pi * 220 * clock)[:, None] + 0.02 * random.standard_normal((60 * rate, channels))
    pcm = (minute * 32767).astype(np.int16)
    with soundfile.SoundFile(path, "w", rate, channels, format=container, subtype=coding) as file:
        for _ in range(minutes):
            file.write(pcm)


def measured_apart(what: str, path: Path) -> dict:
    command = [sys.executable, __file__, "--measure", what, str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(what: str, file: str) -> dict:
    """Seconds, and megabytes of peak memory beyond what the process held before it opened the file."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak of the imports
    before, begin = memory_mb("VmRSS"), time.perf_counter()
    found = {"windows": count_windows, "whole": count_samples}[what](file)
    return {**found, "seconds": time.perf_counter() - begin, "peak_mb": memory_mb("VmHWM") - before}


def count_windows(file: str) -> dict[str, int]:
    return {"windows": sum(1 for _ in iter_windows(file, WINDOW_S, HOP_S))}


def count_samples(file: str) -> dict[str, int]:
    return {"samples": len(load_audio(file))}


def memory_mb(field: str) -> float:
    """VmRSS is the memory held now, VmHWM the most that was held."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError(f"/proc/self/status has no {field}: this benchmark needs Linux")


def write(path: Path, result: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, path)


if __name__ == "__main__":
    main()
