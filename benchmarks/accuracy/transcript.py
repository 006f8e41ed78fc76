"""What `mser predict` says of a few clips of natural speech, drawn blindly: a transcript, failures included.

    python benchmarks/accuracy/transcript.py ../shared/corpora/{casia,emovo,spanish_uem,tess,urdu}

Three clips of each corpus, the same for every checkpoint; answered as it is, and by a copy that `mser adapt` fitted to
all clips of the corpus without labels. Among all of the checkpoint's labels.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from hf_mser.cli import main as mser
from hf_mser.corpora import load_corpus
from hf_mser.evaluation.files import write_json, write_text
from hf_mser.evaluation.report import markdown_table

CLIPS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", type=Path, help="folders of prepared corpora")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/transcript_mser_tiny.json"))
    arguments = parser.parse_args()
    rows = []
    for folder in arguments.corpora:
        dataset = load_corpus(folder)
        words = dataset.features["emotion"].names
        known = [row for row in dataset if row["emotion"] is not None]
        chosen = [known[place] for place in np.random.default_rng(0).choice(len(known), CLIPS, replace=False)]
        paths = [row["audio"]["path"] for row in chosen]
        with tempfile.TemporaryDirectory() as work:
            plain = predict(paths, work)
            run("adapt", str(folder), "--output", f"{work}/adapted")
            adapted = predict(paths, work, "--model", f"{work}/adapted")
        for row, path, before, after in zip(chosen, paths, plain, adapted, strict=True):
            name, spoken = f"{folder.name}/{Path(path).name}", words[row["emotion"]]
            rows.append({"clip": name, "language": row["language"], "acted": spoken, "plain": before, "adapted": after})
    write_json(arguments.output, {"protocol": __doc__, "clips": rows})
    head = ("clip", "language", "acted", "`mser predict`", "after `mser adapt`")
    lines = [
        (row["clip"], row["language"], row["acted"], *(said(row, kind) for kind in ("plain", "adapted")))
        for row in rows
    ]
    right = [sum(row[kind]["label"] == row["acted"] for row in rows) for kind in ("plain", "adapted")]
    counted = (
        f"Right: {right[0]} of {len(rows)} as it is, {right[1]} adapted. Drawn blindly: so few clips measure nothing."
    )
    write_text(arguments.output.with_suffix(".md"), f"{markdown_table([head, *lines])}\n\n{counted}\n")


def predict(paths: list[str], work: str, *options: str) -> list[Any]:
    """What the command writes for each clip."""
    output = Path(work) / "answers.jsonl"
    run("predict", *paths, "--format", "jsonl", "--output", str(output), *options)
    answers = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    return [{"label": answer["label"], "scores": answer["scores"]} for answer in answers]


def run(*arguments: str) -> None:
    if status := mser(list(arguments)):
        sys.exit(status)


def said(row: dict[str, Any], kind: str) -> str:
    """The two likeliest words; the acted one in bold."""
    likeliest = sorted(row[kind]["scores"].items(), key=lambda entry: -entry[1])[:2]
    return ", ".join(
        f"**{word}** {score:.2f}" if word == row["acted"] else f"{word} {score:.2f}" for word, score in likeliest
    )


if __name__ == "__main__":
    main()
