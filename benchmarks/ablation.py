"""The six arms of the paper's ablation, several seeds each, as one table.

    python benchmarks/ablation.py --seeds 0 1 2 --output benchmarks/results/ablation.json

Arms are the recipes in training/recipes/ablation. An arm that is done (its results.json exists) is not run again, so
the command goes on where it was interrupted. Model selection uses the validation split alone.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from hf_mser.evaluation.files import write_json, write_text
from hf_mser.training.recipe import load_recipe
from hf_mser.training.run import train_recipe
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
STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # two-sided 95 %, by number of seeds


def run_arm(arm: str, seed: int, folder: Path, shared: Path, overrides: list[str]) -> dict[str, Any]:
    output = folder / f"{arm}-{seed}"
    done = output / "results.json"
    if not done.exists():
        given = [
            f"data.root={shared}/corpora",
            f"output_dir={output}",
            f"cache.folder={folder}/cache",
            f"seed={seed}",
            "report_to=none",
            "disable_tqdm=true",
            *overrides,
        ]
        if arm in FIRST_STAGE:
            given.append(f"model.checkpoint={folder}/{FIRST_STAGE[arm]}-{seed}")
        else:
            given += [
                f"model.speech={shared}/weights/whisper-base-encoder",
                f"model.text={shared}/weights/stories260K",
            ]
        train_recipe(load_recipe(RECIPES / f"{arm}.yaml", given))
    return json.loads(done.read_text(encoding="utf-8"))


def summarise(runs: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Mean and 95 % interval over seeds (Student's t), for each arm and set, and over the unseen languages."""
    rows = []
    for arm, results in runs.items():
        sets = {name: [result["sets"][name]["UA"] for result in results] for name in results[0]["sets"]}
        unseen = [name for name in sets if name.startswith("test/") and name != "test/crema_d"]
        sets["mean of unseen languages"] = np.mean([sets[name] for name in unseen], axis=0).tolist()
        for name, values in sets.items():
            spread = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else float("nan")
            half = STUDENT_T.get(len(values), 1.96) * spread
            rows.append({"arm": arm, "set": name, "UA": float(np.mean(values)), "half_interval": half, "seeds": values})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    sets = list(dict.fromkeys(row["set"] for row in rows))
    lines = ["| arm | " + " | ".join(sets) + " |", "|---" * (len(sets) + 1) + "|"]
    for arm, title in ARMS.items():
        cells = {
            row["set"]: f"{100 * row['UA']:.1f} ± {100 * row['half_interval']:.1f}" for row in rows if row["arm"] == arm
        }
        if cells:
            lines.append(f"| {title} | " + " | ".join(cells.get(name, "–") for name in sets) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--folder", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/ablation.json"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {}
    for seed in options.seeds:
        for arm in ARMS:
            result = run_arm(arm, seed, options.folder, options.shared, options.overrides)
            runs.setdefault(arm, []).append(result)
            shown = {name: round(100 * entry["UA"], 1) for name, entry in result["sets"].items()}
            print(arm, seed, shown, flush=True)
            write(runs, options)


def write(runs: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> None:
    """After every arm, so that an interrupted command leaves what it has."""
    complete = {arm: results for arm, results in runs.items() if results}
    rows = summarise(complete)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.output, {"rows": rows, "overrides": options.overrides, "environment": environment()})
    text = (
        "# Six arms, scaled down\n\n"
        "UA in percent, mean over seeds ± half of the 95 % interval over seeds (Student's t). "
        f"Seeds: {', '.join(map(str, options.seeds))}; command: `python benchmarks/ablation.py`.\n\n{table(rows)}\n"
    )
    write_text(options.output.with_suffix(".md"), text)


if __name__ == "__main__":
    main()
