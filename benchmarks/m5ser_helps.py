"""Does M5SER-mini help? A second stage on it, on real languages that were never heard.

    python benchmarks/m5ser_helps.py --corpora ../shared/corpora --m5ser runs/m5ser/mini --cache runs/m5ser/features

Three arms, three seeds each, one small network on the frozen whisper-base encoder (mean and deviation over time of
layer 3), with cross-entropy and the contrastive loss of the paper:

- stage 1: the English recordings that M5SER-mini was made of, STEPS steps;
- stage 1 + English: as many steps again on the same recordings;
- stage 1 + M5SER: as many steps again on M5SER-mini (six languages, the recordings among them).

Tested on whole corpora of other languages; UA among the emotions that training and corpus have in common. Nothing was
chosen on these corpora: width, rates and steps are fixed beforehand.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from baseline_features import ENCODER, features
from torch import Tensor, nn
from torch.nn import functional as F

from hf_mser.evaluation.clips import Clip, read_clips
from hf_mser.evaluation.files import write_json, write_text
from hf_mser.evaluation.metrics import confusion_matrix, measure
from hf_mser.m5ser.loading import finished_folder
from hf_mser.m5ser.shards import read_shard

RESULTS = Path(__file__).resolve().parent / "results"
TESTED = ("emodb", "emovo", "casia", "nemo", "spanish_uem", "urdu", "emotiontts_ko")
LAYER, WIDTH, EMBEDDING, STEPS, BATCH, RATE, MARGIN = 3, 256, 128, 400, 96, 1e-3, 0.2
SEEDS = (0, 1, 2)


class Connector(nn.Module):
    """Statistics of the frames -> an embedding and scores of the emotions."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(width, WIDTH), nn.GELU(), nn.Dropout(0.2), nn.Linear(WIDTH, EMBEDDING))
        self.head = nn.Linear(EMBEDDING, classes)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.body(values)
        return F.normalize(hidden, dim=-1), self.head(F.gelu(hidden))


def contrastive(embeddings: Tensor, emotions: Tensor) -> Tensor:
    """Equation 1, as a mean over pairs."""
    similar = embeddings @ embeddings.T
    same = emotions[:, None] == emotions[None]
    losses = torch.where(same, 1 - similar, F.relu(similar - MARGIN))
    return losses[~torch.eye(len(emotions), dtype=torch.bool)].mean()


def train(model: Connector, values: Tensor, emotions: Tensor, seed: int) -> None:
    """One stage: batches with as many clips of each emotion."""
    random = np.random.default_rng(seed)
    cells = [np.flatnonzero(emotions.numpy() == emotion) for emotion in np.unique(emotions.numpy())]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    model.train()
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        rows = torch.from_numpy(np.concatenate([random.choice(cell, BATCH // len(cells)) for cell in cells]))
        embeddings, scores = model(values[rows])
        loss = F.cross_entropy(scores, emotions[rows]) + contrastive(embeddings, emotions[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def m5ser_clips(folder: Path) -> list[Clip]:
    """The clips of the dataset, their sound as encoded bytes."""
    paths = sorted(finished_folder(folder).glob("data/*/*.parquet"))
    return [
        Clip(f"m5ser-{row['language']}", row["audio"]["path"], row["audio"]["bytes"], row["emotion"])
        for path in paths
        for row in read_shard(path)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--m5ser", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, default=ENCODER)
    options = parser.parse_args()
    torch.set_num_threads(1)

    def heard(clips: Sequence[Clip]) -> Tensor:
        return torch.from_numpy(features("whisper", clips, options.cache, options.encoder)[:, LAYER])

    made = m5ser_clips(options.m5ser)
    values = heard(made)
    classes = sorted({clip.emotion for clip in made if clip.emotion})
    emotions = torch.tensor([classes.index(str(clip.emotion)) for clip in made])
    english = torch.tensor([clip.corpus == "m5ser-en" for clip in made])
    middle, spread = values[english].mean(0), values[english].std(0) + 1e-5
    values = (values - middle) / spread
    tests: dict[str, tuple[Tensor, list[Clip]]] = {}
    for name in TESTED:
        clips = read_clips(options.corpora / name)
        known = [clip.emotion in classes for clip in clips]
        tests[name] = (
            (heard(clips)[torch.tensor(known)] - middle) / spread,
            [clip for clip, one in zip(clips, known, strict=True) if one],
        )
    results: dict[str, dict[str, list[float]]] = {}
    for seed in SEEDS:
        for arm in ("stage 1", "stage 1 + English", "stage 1 + M5SER"):
            torch.manual_seed(seed)
            model = Connector(values.shape[1], len(classes))
            train(model, values[english], emotions[english], seed)
            if arm == "stage 1 + English":
                train(model, values[english], emotions[english], seed + 100)
            elif arm == "stage 1 + M5SER":
                train(model, values, emotions, seed + 100)
            model.eval()
            for name, (sound, clips) in tests.items():
                results.setdefault(arm, {}).setdefault(name, []).append(answers(model, sound, clips, classes))
    write_json(RESULTS / "m5ser_helps.json", {"protocol": __doc__, "m5ser_clips": len(made), "UA": results})
    write_text(RESULTS / "m5ser_helps.md", table(results))
    print(table(results))


def answers(model: Connector, values: Tensor, clips: Sequence[Clip], classes: Sequence[str]) -> float:
    """UA among the emotions of the corpus."""
    own = [name for name in classes if name in {clip.emotion for clip in clips}]
    with torch.no_grad():
        scores = model(values)[1][:, [classes.index(name) for name in own]]
    said = [own[number] for number in scores.argmax(1).tolist()]
    return measure(confusion_matrix([str(clip.emotion) for clip in clips], said, own))["UA"]


def table(results: dict[str, dict[str, list[float]]]) -> str:
    """UA in per cent, mean and deviation over the seeds."""
    rows: list[list[Any]] = [["UA, % (± over 3 seeds)", *TESTED, "mean"], ["---"] * (len(TESTED) + 2)]
    for arm, scores in results.items():
        means = np.mean([scores[name] for name in TESTED], axis=0)
        cells = [f"{100 * np.mean(part):.1f} ± {100 * np.std(part):.1f}" for part in [*scores.values(), means]]
        rows.append([arm, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
