"""What a frozen Whisper encoder hears of every clip, computed once for the whole study.

    python benchmarks/accuracy/study_features.py --data ../shared/corpora --encoder openai/whisper-base \\
        --cache runs/study/cache

All frames of layers 1 to 6 (float16), mean and deviation of each layer, and once more through random recording
conditions (rooms, microphones, lines, noises). A clip is heard for up to 12 s.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hf_mser.training.tiny.clips import Clip, Spectra, prepare_spectra, read_clips
from hf_mser.training.tiny.hearing import HeardClips, hear
from hf_mser.training.tiny.teacher import Teacher

CORPORA = ("casia", "crema_d", "emodb", "emotiontts_ko", "emovo", "nemo", "spanish_uem", "tess", "urdu")
LAYERS = (1, 2, 3, 4, 5, 6)
VERSIONS: dict[str, int | None] = {"clean": None, "recorded": 0}  # name -> seed of the recording conditions
WIDTH = 512


@dataclass
class Heard:
    """All clips, and what was heard of them in each version."""

    clips: list[Clip]
    versions: dict[str, HeardClips]


def heard(cache: Path) -> Heard:
    """The features in the cache that `main` fills: all versions that are there."""
    found = [name for name in VERSIONS if (cache / f"{name}.pt").exists()]
    return Heard(read_clips(cache), {name: _read(cache, name) for name in found})


def _read(cache: Path, version: str) -> HeardClips:
    index = torch.load(cache / f"{version}.pt", weights_only=False)
    shape = (int(index["lengths"].sum()), len(LAYERS), WIDTH)
    frames = np.memmap(cache / f"{version}.f16", np.float16, "r", shape=shape)
    return HeardClips(frames, index["starts"], index["lengths"], index["means"], index["stds"])


def main() -> None:
    """Fill the cache; what is there already stays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the prepared corpora")
    parser.add_argument("--encoder", required=True, help="id or folder of a Whisper checkpoint")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--versions", nargs="+", choices=list(VERSIONS), default=list(VERSIONS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    prepare_spectra([arguments.data / name for name in CORPORA], arguments.cache)
    spectra = Spectra(arguments.cache)
    for name in arguments.versions:
        index = arguments.cache / f"{name}.pt"
        if index.exists():
            continue
        encoder = Teacher(arguments.encoder, LAYERS).encoder
        own = hear(encoder, spectra, arguments.cache / f"{name}.f16", VERSIONS[name])
        part = index.with_suffix(".part")
        torch.save({key: getattr(own, key) for key in ("starts", "lengths", "means", "stds")}, part)
        os.replace(part, index)
        print(name, len(own.lengths), "clips", flush=True)


if __name__ == "__main__":
    main()
