"""Does M5SER-mini help? A second stage on it, on real languages that were never heard.

    python benchmarks/m5ser_helps.py --corpora ../shared/corpora --m5ser runs/m5ser/mini --cache runs/m5ser/features

Three arms, three seeds each, one small network on the frozen whisper-base encoder (mean and deviation over time of
layer 3, each frame normalised), with cross-entropy and the contrastive loss of the paper:

- stage 1: the English recordings that M5SER-mini was made of, STEPS steps;
- stage 1 + English: as many steps again on the same recordings;
- stage 1 + M5SER: as many steps again on M5SER-mini (six languages, the recordings among them).

Tested on whole corpora of other languages; UA among the emotions that training and corpus have in common. "as it is":
everything is standardised by the English recordings; "adapted": every language and every corpus by its own
statistics, without labels. Nothing was chosen on these corpora: width, rates and steps are fixed beforehand.

Writes `m5ser_helps.json` and `m5ser_helps.md`. The features are kept in the cache, a hundred clips a file, so a killed
run goes on where it was; the training itself takes seconds.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from baseline_features import ENCODER, features
from torch import Tensor, nn
from torch.nn import functional as F

from hf_mser.corpora.metadata import CHECKSUMS
from hf_mser.evaluation.clips import Clip, read_clips
from hf_mser.evaluation.files import write_json, write_text
from hf_mser.evaluation.metrics import confusion_matrix, measure
from hf_mser.m5ser.loading import finished_folder
from hf_mser.m5ser.shards import read_shard
from hf_mser.training.run_folder import environment

RESULTS = Path(__file__).resolve().parent / "results"
TESTED = ("emodb", "emovo", "casia", "nemo", "spanish_uem", "urdu", "emotiontts_ko")
WIDTH, EMBEDDING, STEPS, BATCH, RATE, MARGIN = 256, 128, 200, 96, 1e-3, 0.2
SEEDS = (0, 1, 2)
ARMS = {"stage 1": None, "stage 1 + English": "English", "stage 1 + M5SER": "M5SER"}
"""Arm -> what its second stage learns from."""


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

    def heard(clips: Sequence[Clip], cache: Path) -> np.ndarray:
        return features("whisper_layer3", clips, cache, options.encoder)

    made = m5ser_clips(options.m5ser)
    # The names of the clips say nothing of their sound, and the cache goes by names.
    identity = hashlib.sha256((options.m5ser / CHECKSUMS).read_bytes()).hexdigest()[:16]
    sound = heard(made, options.cache / identity)
    classes = sorted({clip.emotion for clip in made if clip.emotion})
    tests: dict[str, tuple[np.ndarray, list[str]]] = {}
    for name in TESTED:
        clips = read_clips(options.corpora / name)
        values = heard(clips, options.cache)
        known = np.array([clip.emotion in classes for clip in clips])
        tests[name] = (values[known], [str(clip.emotion) for clip in clips if clip.emotion in classes])
    content = {
        "protocol": __doc__,
        "m5ser_clips": len(made),
        "steps": STEPS,
        "seeds": SEEDS,
        "classes": {name: len(set(emotions)) for name, (_, emotions) in tests.items()},
        "UA": {
            how: experiment(made, sound, tests, classes, adapted=how == "adapted") for how in ("as it is", "adapted")
        },
        "environment": environment(),
    }
    write_json(RESULTS / "m5ser_helps.json", content)
    write_text(RESULTS / "m5ser_helps.md", table(content))
    print(table(content))


def experiment(
    made: Sequence[Clip],
    sound: np.ndarray,
    tests: Mapping[str, tuple[np.ndarray, Sequence[str]]],
    classes: Sequence[str],
    adapted: bool,
) -> dict[str, dict[str, list[float]]]:
    """UA of each arm on each corpus, one for each seed."""
    languages = np.array([clip.corpus for clip in made])
    english = languages == "m5ser-en"
    values = np.empty_like(sound)
    for language in set(languages.tolist()):
        own = languages == language
        values[own] = standardised(sound[own], sound[own if adapted else english])
    known = torch.from_numpy(values)
    emotions = torch.tensor([classes.index(str(clip.emotion)) for clip in made])
    unheard = {name: standardised(other, other if adapted else sound[english]) for name, (other, _) in tests.items()}
    results: dict[str, dict[str, list[float]]] = {}
    for seed in SEEDS:
        torch.manual_seed(seed)
        first = Connector(known.shape[1], len(classes))
        train(first, known[english], emotions[english], seed)
        for arm, second in ARMS.items():
            model = deepcopy(first)
            if second is not None:
                chosen = english if second == "English" else np.ones_like(english)
                torch.manual_seed(seed + 100)
                train(model, known[chosen], emotions[chosen], seed + 100)
            model.eval()
            for name, (_, truth) in tests.items():
                found = answers(model, torch.from_numpy(unheard[name]), truth, classes)
                results.setdefault(arm, {}).setdefault(name, []).append(found)
    return results


def standardised(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Values less the mean of others, in units of their deviation."""
    return np.asarray((values - by.mean(0)) / (by.std(0) + 1e-5), dtype=np.float32)


def answers(model: Connector, values: Tensor, emotions: Sequence[str], classes: Sequence[str]) -> float:
    """UA among the emotions of the corpus."""
    own = [name for name in classes if name in set(emotions)]
    with torch.no_grad():
        scores = model(values)[1][:, [classes.index(name) for name in own]]
    said = [own[number] for number in scores.argmax(1).tolist()]
    return measure(confusion_matrix(list(emotions), said, own))["UA"]


def table(content: Mapping[str, Any]) -> str:
    """UA in per cent, mean and deviation over the seeds; and what M5SER adds to the same time on English."""
    counts = content["classes"]
    rows: list[list[Any]] = [["UA, %", *(f"{name} ({counts[name]})" for name in TESTED), "mean"]]
    rows.append(["---"] * (len(TESTED) + 2))
    said = []
    for how, results in content["UA"].items():
        means = {arm: np.mean([scores[name] for name in TESTED], axis=0) for arm, scores in results.items()}
        for arm, scores in results.items():
            cells = [_spread(part) for part in [*scores.values(), means[arm]]]
            rows.append([f"{arm}, {how}", *cells])
        gains = 100 * (means["stage 1 + M5SER"] - means["stage 1 + English"])
        better = sum(
            np.mean(results["stage 1 + M5SER"][name]) > np.mean(results["stage 1 + English"][name]) for name in TESTED
        )
        said.append(
            f"{how} {np.mean(gains):+.1f} ({min(gains):+.1f} to {max(gains):+.1f} over the seeds; higher on {better} "
            f"of {len(TESTED)} corpora)"
        )
    lines = [f"| {' | '.join(row)} |" for row in rows]
    note = f"M5SER instead of English in the second stage, mean UA in points: {'; '.join(said)}."
    protocol = (
        f"{content['m5ser_clips']:,} clips of M5SER-mini; {content['steps']} steps a stage; ± is the deviation over "
        f"{len(content['seeds'])} seeds; classes in brackets."
    )
    return "\n".join([*lines, "", note, protocol])


def _spread(scores: Sequence[float]) -> str:
    return f"{100 * np.mean(scores):.1f} ± {100 * np.std(scores):.1f}"


if __name__ == "__main__":
    main()
