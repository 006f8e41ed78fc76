"""Does the contrastive objective help? The debug recipe with it and without it, several seeds, one table.

    python benchmarks/contrastive.py --seeds 3 --output benchmarks/results/contrastive.json

Real clips of CREMA-D, the real whisper-base encoder; the test speakers are heard neither in training nor in
validation, and the checkpoint is chosen on the validation speakers. The same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from arms import Answers, Budget, accuracy, cell, difference, points, run

from hf_mser.evaluation.files import write_json, write_text
from hf_mser.training.run_folder import environment

RECIPE = Path(__file__).parents[1] / "training" / "recipes" / "debug.yaml"
ARMS = {
    "cross_entropy": ("cross-entropy alone", ["objective=[{name: cross_entropy}]"]),
    "contrastive": ("contrastive + cross-entropy", []),
}
SETS = {"test/crema_d": "unseen speakers", "validation": "validation speakers (the checkpoint was chosen on them)"}


def curve(folder: Path) -> dict[str, float]:
    """The loss at the start and at the end of training, so that its fall can be seen."""
    history = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    losses = [entry["loss"] for entry in history if "loss" in entry]
    if not losses:
        raise SystemExit(f"{folder} logged no loss: it took fewer steps than logging_steps.")
    gaps = [e["similarity/positive"] - e["similarity/negative"] for e in history if "similarity/positive" in e]
    similarity = {"similarity_gap_first": gaps[0], "similarity_gap_last": gaps[-1]} if gaps else {}
    return {"loss_first": losses[0], "loss_last": losses[-1], **similarity}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--folder", type=Path, default=Path("runs/contrastive"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/contrastive.json"))
    parser.add_argument("--seeds", type=int, default=3, help="how many: 0, 1, ...")
    parser.add_argument("--minutes", type=float, help="start no further run after so many; run again to go on")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_args()
    budget, runs, curves = Budget(options.minutes), {arm: [] for arm in ARMS}, {arm: [] for arm in ARMS}
    for seed in range(options.seeds):
        for arm, (_, changes) in ARMS.items():
            if budget.is_spent():
                print("The minutes are spent; the same command goes on from here.")
                return
            folder = options.folder / f"{arm}-{seed}"
            given = [
                f"data.root={options.shared}/corpora",
                f"model.speech={options.shared}/weights/whisper-base-encoder",
                f"model.text={options.shared}/weights/stories260K",
                f"cache.folder={options.folder}/cache",
                f"seed={seed}",
                "data.test.0.clips_per_emotion=null",  # all clips of all test speakers
            ]
            runs[arm].append(run(RECIPE, folder, [*given, *changes, *options.overrides]))
            curves[arm].append(curve(folder))
            print(arm, seed, accuracy(runs[arm][-1:], ["test/crema_d"]), curves[arm][-1], flush=True)
    write(runs, curves, options)


def write(runs: dict[str, list[Answers]], curves: dict[str, list[Any]], options: argparse.Namespace) -> None:
    """The figures, and the table that documents quote."""
    rows = {arm: {name: accuracy(results, [name]) for name in SETS} for arm, results in runs.items()}
    gain = difference(runs["cross_entropy"], runs["contrastive"], ["test/crema_d"])
    seeds = [rows[arm]["test/crema_d"]["seeds"] for arm in ("cross_entropy", "contrastive")]
    wins = sum(with_it > without for without, with_it in zip(*seeds, strict=True))
    counts = {name: len(lines) for name, lines in runs["contrastive"][0].items()}
    write_json(
        options.output,
        {
            "recipe": RECIPE.name,
            "seeds": list(range(options.seeds)),
            "overrides": options.overrides,
            "clips": counts,
            "rows": rows,
            "difference": gain,
            "curves": curves,
            "environment": environment(),
        },
    )
    lines = [
        f"| objective | UA on {counts['test/crema_d']} clips of unseen speakers | on validation speakers | loss |",
        "|---|---|---|---|",
    ]
    for arm, (title, _) in ARMS.items():
        falls = ", ".join(f"{c['loss_first']:.1f} → {c['loss_last']:.2f}" for c in curves[arm])
        lines.append(f"| {title} | {cell(rows[arm]['test/crema_d'])} | {cell(rows[arm]['validation'])} | {falls} |")
    lines += [
        "",
        f"With the contrastive objective {points(gain)} points on unseen speakers, better with {wins} of "
        f"{options.seeds} seeds. `debug.yaml`: CREMA-D, six "
        f"emotions, whisper-base (frozen), a LLaMA of 0.26 M; seeds 0 to {options.seeds - 1}. UA in per "
        "cent: mean over seeds ± deviation, and the 95 % bootstrap interval over speakers, seeds averaged (paired "
        "for the difference).",
    ]
    write_text(options.output.with_suffix(".md"), "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
