"""EDRL's losses on the generation model: supervised contrast instead of eq. 1, the speaker adversary added.

    python benchmarks/edrl_generation.py --seeds 3 --output benchmarks/results/edrl_generation.json

Every arm learns from the same clips in English, German and Polish for the same number of steps and answers corpora of
other languages that it never heard. The checkpoint is chosen on English validation speakers alone. A run that is done
is not run again and an interrupted one goes on from its last checkpoint; two of the arms are arms of ablation.py, whose
runs in the same folder serve both tables.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arms import Answers, Budget, accuracy, cell, difference, points, run

from hf_mser.evaluation.files import write_json, write_text
from hf_mser.training.run_folder import environment

RECIPES = Path(__file__).parents[1] / "training" / "recipes" / "ablation"
ARMS = {
    "mser": "cross-entropy",
    "mser_lec": "+ L_lec (eq. 1)",
    "mser_supcon": "+ L_sup",
    "mser_lec_spk": "+ L_lec + L_spk",
    "mser_supcon_spk": "+ L_sup + L_spk",
}
AGAINST = "mser_lec"  # the paper's own objective
UNHEARD = ("test/emovo", "test/casia", "test/urdu")
MEAN = "mean"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--folder", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/edrl_generation.json"))
    parser.add_argument("--seeds", type=int, default=3, help="how many: 0, 1, ...")
    parser.add_argument("--minutes", type=float, help="start no further run after so many; run again to go on")
    options = parser.parse_args()
    budget = Budget(options.minutes)
    runs: dict[str, list[Answers]] = {arm: [] for arm in ARMS}
    for seed in range(options.seeds):
        for arm in ARMS:
            if budget.is_spent():
                print("The minutes are spent; the same command goes on from here.")
                return
            runs[arm].append(run(RECIPES / f"{arm}.yaml", options.folder / f"{arm}-{seed}", overrides(options, seed)))
        write(runs, options)


def overrides(options: argparse.Namespace, seed: int) -> list[str]:
    """What differs between runs of one recipe."""
    return [
        f"data.root={options.shared}/corpora",
        f"model.speech={options.shared}/weights/whisper-base-encoder",
        f"model.text={options.shared}/weights/stories260K",
        f"cache.folder={options.folder}/cache",
        f"seed={seed}",
    ]


def write(runs: Mapping[str, list[Answers]], options: argparse.Namespace) -> None:
    """After every seed, so that an interrupted command leaves what it has."""
    shown = {**{name: [name] for name in UNHEARD}, MEAN: list(UNHEARD)}
    rows = {arm: {name: accuracy(own, sets) for name, sets in shown.items()} for arm, own in runs.items()}
    gains = {arm: difference(runs[AGAINST], own, shown[MEAN]) for arm, own in runs.items() if arm != AGAINST}
    sizes = {name: len(lines) for name, lines in runs[AGAINST][0].items() if name in shown}
    seeds = len(runs[AGAINST])
    content: dict[str, Any] = {"seeds": seeds, "clips": sizes, "rows": rows, "gains": gains}
    write_json(options.output, {**content, "protocol": __doc__, "environment": environment()})
    heads = [f"{name.removeprefix('test/')} ({sizes[name]})" if name in sizes else name for name in shown]
    lines = ["| objective | " + " | ".join(heads) + " | against eq. 1 |", "|---" * (len(heads) + 2) + "|"]
    for arm, row in rows.items():
        gain = points(gains[arm]) if arm in gains else ""
        lines.append(f"| {ARMS[arm]} | " + " | ".join(cell(row[name]) for name in shown) + f" | {gain} |")
    note = (
        f"UA in per cent over {seeds} seeds: mean ± deviation, and the 95 % bootstrap interval over speakers, seeds "
        "averaged (paired in the last column); clips in brackets."
    )
    write_text(options.output.with_suffix(".md"), "\n".join([*lines, "", note, ""]))
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
