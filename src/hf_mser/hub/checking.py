"""The check before a checkpoint is published: it must answer alike where this package is not installed."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from .errors import HubError

TOLERANCE = 1e-4
WITHOUT_THE_PACKAGE = """
import json, sys
sys.modules["hf_mser"] = None
from transformers import pipeline
pipe = pipeline("speech-emotion", model=sys.argv[1], trust_remote_code=True)
print(json.dumps(pipe(sys.argv[2])))
"""


def check_checkpoint(folder: Path, source: str | os.PathLike) -> float:
    """Run a clip through `folder` by its own code, in a fresh process, and compare with what `source` says here.

    Returns the largest difference of a score. The clip is synthetic; its answer means nothing, but it must be the
    same. A connector checkpoint fetches its backbones, from the cache or the Hub.
    """
    with tempfile.TemporaryDirectory() as place:
        clip = Path(place) / "clip.wav"
        soundfile.write(clip, _clip(), 16_000)
        expected = _answer_here(source, clip)
        found = _answer_without_the_package(folder, clip, Path(place) / "modules")
    if found.keys() != expected.keys():
        raise HubError(f"{folder}: its own code answers with {sorted(found)}, not with {sorted(expected)}.")
    difference = max(abs(found[label] - expected[label]) for label in expected)
    if not difference <= TOLERANCE:
        raise HubError(
            f"{folder}: its own code gives scores that differ by {difference:.2g} from those of {source} with hf_mser. "
            "Save the checkpoint again with the installed version."
        )
    return difference


def _answer_here(source: str | os.PathLike, clip: Path) -> dict[str, float]:
    from transformers import pipeline

    task: Any = "speech-emotion"
    return _scores(pipeline(task, model=os.fspath(source))(str(clip)))


def _answer_without_the_package(folder: Path, clip: Path, modules: Path) -> dict[str, float]:
    environment = {**os.environ, "HF_MODULES_CACHE": str(modules)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_PACKAGE, str(folder.resolve()), str(clip)],
        cwd=clip.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise HubError(f"{folder}: it does not work without hf_mser: {reason[0]}")
    return _scores(json.loads(done.stdout.splitlines()[-1]))


def _scores(answer: list[dict[str, Any]]) -> dict[str, float]:
    return {entry["label"]: entry["score"] for entry in answer}


def _clip() -> np.ndarray:
    """Two seconds of a swelling tone with overtones and a little noise."""
    time = np.arange(32_000) / 16_000
    pitch = 2 * np.pi * (180 * time + 20 * np.sin(2 * np.pi * 2 * time))
    voice = sum(np.sin(number * pitch) / number for number in (1, 2, 3, 4))
    noise = np.random.default_rng(0).normal(size=time.size)
    return (0.15 * voice * np.sin(np.pi * time / 2) + 0.005 * noise).astype(np.float32)
