"""What carries emotion across corpora: layers, statistics and standardisation, measured with a linear probe.

    python benchmarks/accuracy/pooled_probe.py --corpora ../shared/corpora --encoder openai/whisper-base \\
        --work runs/probe --output benchmarks/results/accuracy_probe.json

Each of the four training corpora is left out in turn; what is chosen from this table never saw another corpus.
Every clip becomes the mean and deviation of a layer's frames. UA among the classes that the probe has seen.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_mser.training.balance import balanced_weights
from hf_mser.training.tiny.clips import Clip, Spectra, emotions_of, prepare_spectra, read_clips
from hf_mser.training.tiny.hearing import listening
from hf_mser.training.tiny.teacher import Teacher

CORPORA = ("crema_d", "emodb", "nemo", "emotiontts_ko")
LAYERS = (1, 2, 3, 4)
STEPS, BATCH, RATE = 400, 512, 2e-3
SEEDS = (0, 1, 2)

# name -> layers, which statistics, and the domains that training draws from
ARMS: dict[str, tuple[tuple[int, ...], tuple[str, ...], str]] = {
    **{f"layer {layer}": ((layer,), ("mean", "std"), "world") for layer in LAYERS},
    "layers 1+2": ((1, 2), ("mean", "std"), "world"),
    "layers 2+3": ((2, 3), ("mean", "std"), "world"),
    "layers 1+2+3": ((1, 2, 3), ("mean", "std"), "world"),
    "layers 2+3+4": ((2, 3, 4), ("mean", "std"), "world"),
    "layers 1+2+3, mean alone": ((1, 2, 3), ("mean",), "world"),
    "layers 1+2+3, deviation alone": ((1, 2, 3), ("std",), "world"),
    "layers 1+2+3, corpus domain": ((1, 2, 3), ("mean", "std"), "corpus"),
    "layers 1+2+3, world and corpus": ((1, 2, 3), ("mean", "std"), "world+corpus"),
    "layers 1+2+3, world, corpus and speaker": ((1, 2, 3), ("mean", "std"), "world+corpus+speaker"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--encoder", required=True, help="id or folder of a Whisper checkpoint")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips, means, stds, frames = pooled(arguments.corpora, arguments.encoder, arguments.work)
    results: dict[str, Any] = {}
    for name, arm in ARMS.items():
        results[name] = leave_one_out(clips, means, stds, frames, arm)
        print(name, json.dumps(results[name]), flush=True)
        part = arguments.output.with_suffix(".part")
        part.write_text(json.dumps({"protocol": __doc__, "arms": results}, indent=1), encoding="utf-8")
        os.replace(part, arguments.output)


def pooled(corpora: Path, encoder: str, work: Path) -> tuple[list[Clip], Tensor, Tensor, Tensor]:
    """Mean and deviation of every clip's frames (clips, layers, width), and how many frames."""
    prepare_spectra([corpora / name for name in CORPORA], work)
    spectra, path = Spectra(work), work / "pooled.pt"
    if not path.exists():
        rows: dict[int, tuple[Tensor, Tensor]] = {}
        for batch, heard in listening(Teacher(encoder, LAYERS).encoder, spectra):
            for row, clip in enumerate(batch):
                own = heard[row, :, : spectra.frames[clip]]
                rows[int(clip)] = (own.mean(1), (own.var(1, correction=0) + 1e-5).sqrt())
        ordered = [rows[clip] for clip in range(len(rows))]
        torch.save([torch.stack(part) for part in zip(*ordered, strict=True)], path)
    means, stds = torch.load(path, weights_only=True)
    return read_clips(work), means, stds, torch.from_numpy(spectra.frames).float()


def leave_one_out(
    clips: list[Clip], means: Tensor, stds: Tensor, frames: Tensor, arm: tuple[tuple[int, ...], tuple[str, ...], str]
) -> dict[str, Any]:
    """UA of one arm on each corpus left out: without and with all of its clips unlabelled."""
    layers, parts, drawn = arm
    chosen = [LAYERS.index(layer) for layer in layers]
    values = torch.stack([{"mean": means, "std": stds}[part][:, chosen] for part in parts], 2).flatten(1)
    corpus = np.array([clip.corpus for clip in clips])
    speaker = np.array([clip.speaker for clip in clips])
    emotion = emotions_of(clips)
    table: dict[str, Any] = {}
    for held in CORPORA:
        seen = np.unique(emotion[(corpus != held) & (emotion >= 0)])
        test = np.flatnonzero((corpus == held) & np.isin(emotion, seen))
        own = np.unique(emotion[test])
        without, adapted = [], []
        for seed in SEEDS:
            probe, world = fit(values, corpus, speaker, emotion, corpus != held, drawn.split("+"), seed)
            here = _domain(values[torch.from_numpy(np.flatnonzero(corpus == held))])
            for domain, scores in ((world, without), (here, adapted)):
                with torch.no_grad():
                    answer = probe(_standard(values[torch.from_numpy(test)], domain))[:, own].argmax(1).numpy()
                truth = emotion[test]
                scores.append(100 * np.mean([(own[answer][truth == kind] == kind).mean() for kind in own]))
        table[held] = {"without": round(float(np.mean(without)), 1), "adapted": round(float(np.mean(adapted)), 1)}
    for kind in ("without", "adapted"):
        table[f"mean_{kind}"] = round(float(np.mean([table[held][kind] for held in CORPORA])), 1)
    return table


def fit(
    values: Tensor,
    corpus: np.ndarray,
    speaker: np.ndarray,
    emotion: np.ndarray,
    allowed: np.ndarray,
    drawn: list[str],
    seed: int,
    steps: int = STEPS,
    batch_size: int = BATCH,
) -> tuple[nn.Linear, tuple[Tensor, Tensor]]:
    """A linear probe on the allowed corpora, and the domain that it calls the world."""
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    world = _domain(values[torch.from_numpy(np.flatnonzero(allowed))])
    rows = np.flatnonzero(allowed & (emotion >= 0))
    views = {"world": _standard(values[torch.from_numpy(rows)], world)}
    around = {
        name: _domain(values[torch.from_numpy(np.flatnonzero(corpus == name))]) for name in np.unique(corpus[rows])
    }
    for name, groups in (("corpus", corpus), ("speaker", speaker)):
        views[name] = torch.zeros_like(views["world"])
        for group in np.unique(groups[rows]):
            own = np.flatnonzero(groups[rows] == group)
            mine = values[torch.from_numpy(rows[own])]
            domain = _domain(mine)
            if name == "speaker":  # a few clips say little about deviations
                weight, own_corpus = len(own) / (len(own) + 10), around[corpus[rows[own[0]]]]
                domain = (domain[0], (weight * domain[1] ** 2 + (1 - weight) * own_corpus[1] ** 2).sqrt())
            views[name][torch.from_numpy(own)] = _standard(mine, domain)
    weights = balanced_weights(corpus[rows], emotion[rows])
    probe = nn.Linear(values.shape[1], 7)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=RATE, weight_decay=0.1)
    truth = torch.from_numpy(emotion[rows])
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 30) * 0.5 * (1 + np.cos(np.pi * step / steps))
        batch = torch.from_numpy(random.choice(len(rows), batch_size, p=weights))
        loss = F.cross_entropy(probe(views[drawn[step % len(drawn)]][batch]), truth[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return probe, world


def _domain(values: Tensor) -> tuple[Tensor, Tensor]:
    mean = values.mean(0)
    return mean, (values - mean).square().mean(0).sqrt() + 1e-5  # `std` over rows is many times as slow


def _standard(values: Tensor, domain: tuple[Tensor, Tensor]) -> Tensor:
    return (values - domain[0]) / domain[1]


if __name__ == "__main__":
    main()
