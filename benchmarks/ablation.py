"""The six arms of the paper's ablation, several seeds each, as one table.

    python benchmarks/ablation.py --seeds 3 --output benchmarks/results/ablation.json

Arms are the recipes in training/recipes/ablation. A run that is done is not run again and an interrupted one goes on
from its last checkpoint. The checkpoint is chosen on the validation split alone.
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
    "ser": "SER",
    "ser_lec": "SER + L_lec",
    "mser": "MSER",
    "mser_lec": "MSER + L_lec",
    "mser_s2": "MSER (S2)",
    "mser_lec_s2": "MSER + L_lec (S2)",
}
FIRST_STAGE = {"mser_s2": "ser", "mser_lec_s2": "ser_lec"}
WITHOUT = {"ser_lec": "ser", "mser_lec": "mser", "mser_lec_s2": "mser_s2"}
ENGLISH = "test/crema_d"
UNSEEN = "mean of unseen languages"


def run_arm(arm: str, seed: int, options: argparse.Namespace) -> Answers:
    given = [f"data.root={options.shared}/corpora", f"cache.folder={options.folder}/cache", f"seed={seed}"]
    if arm in FIRST_STAGE:
        given.append(f"model.checkpoint={options.folder}/{FIRST_STAGE[arm]}-{seed}")
    else:
        given += [
            f"model.speech={options.shared}/weights/whisper-base-encoder",
            f"model.text={options.shared}/weights/stories260K",
        ]
    return run(RECIPES / f"{arm}.yaml", options.folder / f"{arm}-{seed}", [*given, *options.overrides])


def columns(answers: Answers) -> dict[str, list[str]]:
    """What the table shows: each test set, and the mean of those in languages that no arm trained on."""
    sets = [name for name in answers if name.startswith("test/")]
    return {**{name: [name] for name in sets}, UNSEEN: [name for name in sets if name != ENGLISH]}


def table(rows: Mapping[str, Mapping[str, Any]], gains: Mapping[str, Any], sizes: Mapping[str, int]) -> str:
    shown = list(next(iter(rows.values())))
    heads = [f"{name.removeprefix('test/')} ({sizes[name]})" if name in sizes else name for name in shown]
    lines = ["| arm | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| {ARMS[arm]} | " + " | ".join(cell(row[name]) for name in shown) + " |" for arm, row in rows.items()]
    lines += ["", "| L_lec adds | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    lines += [
        f"| {ARMS[arm]} against {ARMS[WITHOUT[arm]]} | " + " | ".join(points(gain[name]) for name in shown) + " |"
        for arm, gain in gains.items()
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--folder", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/ablation.json"))
    parser.add_argument("--seeds", type=int, default=3, help="how many: 0, 1, ...")
    parser.add_argument("--minutes", type=float, help="start no further run after so many; run again to go on")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_args()
    budget, runs = Budget(options.minutes), {}
    for seed in range(options.seeds):
        for arm in ARMS:
            if budget.is_spent():
                print("The minutes are spent; the same command goes on from here.")
                return
            answers = run_arm(arm, seed, options)
            runs.setdefault(arm, []).append(answers)
            shown = {name: f"{100 * accuracy([answers], sets)['UA']:.1f}" for name, sets in columns(answers).items()}
            print(arm, seed, shown, flush=True)
        write(runs, options)


def write(runs: dict[str, list[Answers]], options: argparse.Namespace) -> None:
    """After every seed, so that an interrupted command leaves what it has."""
    first = next(iter(runs.values()))[0]
    shown = columns(first)
    rows = {arm: {name: accuracy(results, sets) for name, sets in shown.items()} for arm, results in runs.items()}
    gains = {
        arm: {name: difference(runs[without], runs[arm], sets) for name, sets in shown.items()}
        for arm, without in WITHOUT.items()
    }
    sizes = {name: len(lines) for name, lines in first.items()}
    seeds = list(range(len(runs["ser"])))
    write_json(
        options.output,
        {
            "seeds": seeds,
            "clips": sizes,
            "rows": rows,
            "contrastive_gain": gains,
            "overrides": options.overrides,
            "environment": environment(),
        },
    )
    note = (
        "UA in per cent: mean over seeds ± deviation, and the 95 % bootstrap interval over speakers, seeds averaged "
        "(paired in the lower table); clips in brackets, each answered among the classes of its corpus. "
        f"Seeds {', '.join(map(str, seeds))}. An S2 arm has trained for twice as many steps as the others: its first "
        "stage is the SER arm."
    )
    write_text(options.output.with_suffix(".md"), f"{table(rows, gains, sizes)}\n\n{note}\n")


if __name__ == "__main__":
    main()
