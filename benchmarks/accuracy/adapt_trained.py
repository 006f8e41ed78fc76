"""What adaptation gives to a checkpoint that was trained by a recipe, with and without the clouds that it keeps.

    mser train training/recipes/debug.yaml output_dir=runs/trained cache.max_gigabytes=12 num_train_epochs=8 \\
        per_device_train_batch_size=48 'model.labels=[neutral, happy, sad, angry, surprise, disgust, fear]' \\
        'data.train=[{corpus: crema_d, split: train, clips_per_emotion: 400}, {corpus: nemo, split: train}, \\
        {corpus: emodb, split: train}]' \\
        'data.validation=[{corpus: crema_d, split: validation, clips_per_emotion: 40}, \\
        {corpus: nemo, split: validation}, {corpus: emodb, split: validation}]' 'data.test=[{corpus: emotiontts_ko}]'
    python benchmarks/accuracy/adapt_trained.py runs/trained \\
        ../shared/corpora/{emotiontts_ko,casia,emovo,spanish_uem,tess,urdu}

UA in per cent among each corpus' own classes, one seed: as it is; adapted to all of its clips without labels as a
checkpoint adapts that keeps no clouds (statistics, and half-way to equal shares); with its clouds and the speakers that
it finds; and told who speaks.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from zero_shot import Heard, recall

from hf_mser import MSERForEmotionGeneration, MSERProcessor
from hf_mser.evaluation.files import write_json, write_text

KINDS = ("as it is", "adapted without clouds", "adapted", "told who speaks")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("corpora", nargs="+", type=Path, help="folders of prepared corpora that it did not learn from")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/accuracy_adapt_trained.json"))
    arguments = parser.parse_args()
    model = MSERForEmotionGeneration.from_pretrained(arguments.checkpoint, dtype=torch.float32).eval()
    processor = MSERProcessor.from_pretrained(arguments.checkpoint)
    results: dict[str, Any] = {}
    for folder in arguments.corpora:
        results[folder.name] = measure(model, processor, folder)
        print(folder.name, results[folder.name], flush=True)
    write_json(arguments.output, {"protocol": __doc__, "UA": results})
    write_text(arguments.output.with_suffix(".md"), table(results))


def measure(model: Any, processor: Any, folder: Path) -> dict[str, float]:
    """The four figures of one corpus."""
    heard = Heard(model, processor, folder)
    emotion = heard.emotion
    labelled, everything = np.flatnonzero(emotion >= 0), np.arange(len(emotion))
    clouds, model.config.label_clouds = model.config.label_clouds, None
    without = heard.scores(everything)
    model.config.label_clouds = clouds
    answers = (heard.scores(None), without, heard.scores(everything), heard.scores(everything, told=True))
    truth, own = emotion[labelled], np.unique(emotion[labelled])
    chosen = [own[scores[labelled][:, own].argmax(1)] for scores in answers]
    return {kind: round(recall(found, truth), 1) for kind, found in zip(KINDS, chosen, strict=True)}


def table(results: dict[str, dict[str, float]]) -> str:
    """The figures as Markdown, with their mean."""
    rows = {**results, "mean": {kind: float(np.mean([own[kind] for own in results.values()])) for kind in KINDS}}
    lines = [f"| corpus | {' | '.join(KINDS)} |", "|---" + "|---:" * len(KINDS) + "|"]
    lines += [f"| {name} | {' | '.join(f'{row[kind]:.1f}' for kind in KINDS)} |" for name, row in rows.items()]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
