"""A checkpoint on whole corpora that it never heard: as it is, and after adaptation to unlabelled clips.

    python benchmarks/accuracy/zero_shot.py ../shared/corpora/{casia,emovo,spanish_uem,tess,urdu} \\
        --output benchmarks/results/accuracy_mser_tiny.json

UA twice: among the corpus' own classes (what `candidate_labels` gives) and among all of the model's. Adaptation
is repeated with random handfuls of clips. Intervals are bootstrapped over speakers.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_mser import MSERForEmotionGeneration, MSERProcessor
from hf_mser.adaptation import adapt
from hf_mser.audio import load_audio
from hf_mser.corpora import load_corpus
from hf_mser.registration import EMBEDDED_CHECKPOINT

HANDFULS = (10, 30, 100, 300)
DRAWS = 3
RESAMPLED = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", type=Path, help="folders of prepared corpora")
    parser.add_argument("--model", default=str(EMBEDDED_CHECKPOINT))
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    model = MSERForEmotionGeneration.from_pretrained(arguments.model, dtype=torch.float32).eval()
    processor = MSERProcessor.from_pretrained(arguments.model)
    results = {}
    for folder in arguments.corpora:
        results[folder.name] = measure(model, processor, folder)
        print(folder.name, json.dumps(results[folder.name]["UA"]), flush=True)
        part = arguments.output.with_suffix(".part")
        part.write_text(json.dumps({"protocol": __doc__, "corpora": results}, indent=1), encoding="utf-8")
        os.replace(part, arguments.output)


def measure(model: Any, processor: Any, folder: Path) -> dict[str, Any]:
    """All figures of one corpus."""
    rows = list(load_corpus(folder))
    samples = [load_audio(row["audio"])[: 30 * 16_000] for row in rows]
    labelled = [number for number, row in enumerate(rows) if row["emotion"] is not None]
    truth = np.array([int(rows[number]["emotion"]) for number in labelled])
    speakers = np.array([str(rows[number]["speaker"]) for number in labelled])
    heard = encode(model, processor, [samples[number] for number in labelled])
    own = np.unique(truth)

    def figures(scores: np.ndarray) -> dict[str, Any]:
        chosen = own[scores[:, own].argmax(1)]
        return {
            "own_classes": round(recall(chosen, truth), 1),
            "all_classes": round(recall(scores.argmax(1), truth), 1),
            "interval_95": interval(chosen, truth, speakers),
        }

    plain = score(model, heard)
    adapted = copy.deepcopy(model)
    adapt(adapted, processor, samples, sampling_rate=16_000)
    after = score(adapted, heard)
    few: dict[str, Any] = {}
    random = np.random.default_rng(0)
    for count in HANDFULS:
        values = []
        for _ in range(DRAWS):
            chosen = random.choice(len(samples), min(count, len(samples)), replace=False)
            other = copy.deepcopy(model)
            adapt(other, processor, [samples[i] for i in chosen], sampling_rate=16_000)
            scores = score(other, heard)
            values.append(recall(own[scores[:, own].argmax(1)], truth))
        few[str(count)] = round(float(np.mean(values)), 1)
    confusion = np.zeros((len(model.config.labels), len(model.config.labels)), int)
    np.add.at(confusion, (truth, after.argmax(1)), 1)
    return {
        "clips": len(labelled),
        "classes": [model.config.labels[number] for number in own],
        "UA": {"without": figures(plain), "with_all_clips": figures(after), "with_n_clips": few},
        "confusion_adapted": confusion.tolist(),
    }


@torch.no_grad()
def encode(model: Any, processor: Any, samples: list[np.ndarray]) -> list[tuple[list[int], Any, Any]]:
    """The encoder's frames in batches of similar length; they are the same before and after adaptation."""
    order = sorted(range(len(samples)), key=lambda number: len(samples[number]))
    batches = []
    for start in range(0, len(order), 32):
        rows = order[start : start + 32]
        features, mask = processor.extract_features([samples[row] for row in rows])
        frames, frames_mask = model.encode_speech(features, mask)
        batches.append((rows, frames.half(), frames_mask))
    return batches


@torch.no_grad()
def score(model: Any, heard: list[tuple[list[int], Any, Any]]) -> np.ndarray:
    """Log-likelihood of every label: (clips, labels)."""
    scores = np.zeros((sum(len(rows) for rows, _, _ in heard), len(model.config.labels)))
    for rows, frames, mask in heard:
        scores[rows] = model.score_emotions(speech_frames=frames.float(), speech_frames_mask=mask).numpy()
    return scores


def recall(predicted: np.ndarray, truth: np.ndarray) -> float:
    """UA in per cent: the mean over classes of the share that was found."""
    return float(100 * np.mean([(predicted[truth == kind] == kind).mean() for kind in np.unique(truth)]))


def interval(predicted: np.ndarray, truth: np.ndarray, speakers: np.ndarray) -> list[float]:
    """95 % of the UA when speakers are drawn anew."""
    random = np.random.default_rng(0)
    names = np.unique(speakers)
    members = {name: np.flatnonzero(speakers == name) for name in names}
    values = []
    for _ in range(RESAMPLED):
        rows = np.concatenate([members[name] for name in random.choice(names, len(names))])
        values.append(recall(predicted[rows], truth[rows]))
    low, high = np.percentile(values, [2.5, 97.5])
    return [round(float(low), 1), round(float(high), 1)]


if __name__ == "__main__":
    main()
