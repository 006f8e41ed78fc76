"""What makes a connector hear emotion in corpora that it never met: the study's arms, one change each.

    python benchmarks/accuracy/study_arms.py --cache runs/study/cache --backbones ../shared/weights \\
        --work runs/study/arms

Each of the four corpora of group A is left out in turn; group B takes no part. UA among the classes that the
connector has seen: as it is, adapted to the unlabelled clips of the corpus, and with evened classes besides.
A killed command goes on with the first run that is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from study_runs import Run, Table, begin, evened, recall, study_parser
from study_training import Form

from hf_mser.evaluation.files import write_json, write_text

CORPORA = ("crema_d", "emodb", "emotiontts_ko", "nemo")
BASE = Form(stages=(("all", 100),))
PROBE = replace(BASE, start="probe")
CHOSEN = "a probe that learns on, layers 1 to 4, 16 queries"
"""The best of them, which runs on the real stack."""
ARMS: dict[str, Form] = {
    "base": BASE,
    "starts as a probe": PROBE,
    "starts as a probe, which learns on": replace(PROBE, start_rate=0.1),
    "layer 3 alone": replace(BASE, layers=(3,)),
    "last layer alone": replace(BASE, layers=(6,)),
    "layers 1 to 4": replace(BASE, layers=(1, 2, 3, 4)),
    "no statistics tokens": replace(BASE, statistics_tokens=0, queries=8),
    "no domain views": replace(BASE, views=False),
    "recorded elsewhere as well": replace(BASE, versions=("clean", "recorded")),
    "no contrastive loss": replace(BASE, contrastive_weight=0.0),
    "contrastive loss 1.0": replace(BASE, contrastive_weight=1.0),
    "whole words, not first pieces": replace(BASE, loss="words"),
    "label smoothing 0.1": replace(BASE, label_smoothing=0.1),
    "corpora as large as they are": replace(BASE, balanced=False),
    "30 % of the frames hidden": replace(BASE, masked=0.3),
    "statistics dropout 0.7": replace(BASE, statistics_dropout=0.7),
    "weights not averaged": replace(BASE, averaged_share=0.0),
    "English first": replace(BASE, stages=(("en", 30), ("all", 70))),
    "one layer deep": replace(BASE, depth=1),
    "16 queries": replace(BASE, queries=16),
    CHOSEN: replace(PROBE, start_rate=0.1, layers=(1, 2, 3, 4), queries=16),
}
KINDS = ("without", "adapted", "evened")


def main() -> None:
    """Run what is missing and write the table after every arm."""
    parser = study_parser(__doc__, "accuracy_study")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    clock, everything, table, backbones = begin(arguments)
    for seed in range(arguments.seeds):
        for name in arguments.arms:
            for run in runs_of(name, table, arguments.work, seed):
                if not run.path.exists():
                    clock.stop_if_over()
                run.scores(everything, table, backbones)
            results = collected(table, arguments.work)
            print(seed, name, {kind: results[name][f"mean_{kind}"] for kind in KINDS}, flush=True)
            write_json(arguments.output, {"protocol": __doc__, "arms": results})
            write_text(arguments.output.with_suffix(".md"), markdown(results))
    picture(results, arguments.output.with_suffix(".png"))


def runs_of(name: str, table: Table, work: Path, seed: int) -> list[Run]:
    """The four runs of an arm under a seed."""
    inside, runs = np.isin(table.corpus, CORPORA), []
    for held in CORPORA:
        taught, tested = np.flatnonzero(inside & (table.corpus != held)), np.flatnonzero(table.corpus == held)
        path = work / name.replace(" ", "-").replace(",", "").replace("%", "percent") / f"{held}-{seed}.npz"
        runs.append(Run(path, ARMS[name], taught, tested, seed))
    return runs


def collected(table: Table, work: Path) -> dict[str, Any]:
    """UA of every arm whose four runs are there, for each seed that is."""
    results: dict[str, Any] = {}
    for name in ARMS:
        seeds = []
        for seed in range(10):
            runs = runs_of(name, table, work, seed)
            if all(run.path.exists() for run in runs):
                seeds.append({held: _figures(run, table) for held, run in zip(CORPORA, runs, strict=True)})
        if seeds:
            results[name] = _summary(seeds)
    return results


def _figures(run: Run, table: Table) -> dict[str, float]:
    with np.load(run.path) as kept:
        world, corpus = kept["world_scores"], kept["corpus_scores"]
    emotion = table.emotion[run.tested]
    seen = np.unique(table.emotion[run.taught])
    judged = np.isin(emotion, seen) & (emotion >= 0)
    classes = np.unique(emotion[judged])
    kinds = {"without": world, "adapted": corpus, "evened": evened(corpus, classes)}
    return {kind: recall(scores[judged], emotion[judged], classes) for kind, scores in kinds.items()}


def _summary(seeds: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    summary: dict[str, Any] = {"seeds": len(seeds)}
    for kind in KINDS:
        values = np.array([[of_seed[held][kind] for held in CORPORA] for of_seed in seeds])
        summary[f"mean_{kind}"] = round(float(values.mean()), 1)
        summary[f"per_seed_{kind}"] = [round(float(value), 1) for value in values.mean(1)]
        summary[kind] = {held: round(float(value), 1) for held, value in zip(CORPORA, values.mean(0), strict=True)}
    return summary


def markdown(results: dict[str, Any]) -> str:
    """The table that people read."""
    lines = [
        "Each corpus of group A left out in turn; UA in per cent among the classes that were seen, mean of the four.",
        "",
        f"| arm | seeds | as it is | adapted | adapted, classes evened | {' | '.join(CORPORA)} (adapted) |",
        "|---" * (5 + len(CORPORA)) + "|",
    ]
    for name, row in results.items():
        means = [_cell(row, kind) for kind in KINDS]
        own = [f"{row['adapted'][held]:.1f}" for held in CORPORA]
        lines.append(f"| {' | '.join([name, str(row['seeds']), *means, *own])} |")
    return "\n".join([*lines, ""])


def picture(results: dict[str, Any], path: Path) -> None:
    """Every arm's seeds, against the base's mean: as it is and adapted."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 0.28 * len(results) + 1.2), layout="constrained")
    for axes, kind, title in zip(figure.subplots(1, 2, sharey=True), KINDS[:2], ("as it is", "adapted"), strict=True):
        base = results["base"][f"mean_{kind}"]
        for place, row in enumerate(results.values()):
            seeds = np.array(row[f"per_seed_{kind}"]) - base
            axes.barh(place, seeds.mean(), color="#4c78a8" if seeds.mean() > 0 else "#b8b8b8")
            axes.plot(seeds, [place] * len(seeds), "o", color="black", markersize=3)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set(xlabel=f"UA {title}, points above the base's {base:.1f}", yticks=range(len(results)))
        axes.set_yticklabels(list(results))
    axes.invert_yaxis()
    figure.savefig(path, dpi=110)


def _cell(row: dict[str, Any], kind: str) -> str:
    seeds = row[f"per_seed_{kind}"]
    spread = f" ± {np.std(seeds, ddof=1):.1f}" if len(seeds) > 1 else ""
    return f"{row[f'mean_{kind}']:.1f}{spread}"


if __name__ == "__main__":
    main()
