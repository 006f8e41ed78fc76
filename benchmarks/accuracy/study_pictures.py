"""Confusions and t-SNE of the embeddings for two languages that the model never heard.

    python benchmarks/accuracy/study_pictures.py --results runs/study/real/results/ours-adapted-3 --output docs

Drawn from the results folder that real_stack.py wrote; the first seed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from hf_mser.evaluation.plots import confusions, embedding_map

CORPORA = ("emovo", "casia")


def main() -> None:
    """Write real_stack_confusions.png, and one real_stack_embeddings_CORPUS.png for each corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--corpora", nargs="+", default=list(CORPORA))
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    results = json.loads((arguments.results / "results.json").read_text(encoding="utf-8"))
    first = min(entry["seed"] for entry in results["results"])
    entries = [entry for entry in results["results"] if entry["corpus"] in arguments.corpora and entry["seed"] == first]
    confusions(entries, arguments.output / "real_stack_confusions.png")
    text = (arguments.results / "predictions.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    embeddings = np.load(arguments.results / "embeddings.npy")
    for entry in entries:
        task = entry["tasks"][0]["name"]
        rows = [number for number, line in enumerate(lines) if line["task"] == task]
        path = arguments.output / f"real_stack_embeddings_{entry['corpus']}.png"
        embedding_map(embeddings[rows], [lines[number] for number in rows], path)


if __name__ == "__main__":
    main()
