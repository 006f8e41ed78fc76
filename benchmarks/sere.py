"""SERE's twelve pairs: EmoDB, CASIA, CREMA-D (in the place of eNTERFACE) and EMOVO, five labels per emotion.

    python benchmarks/sere.py --data ../shared/corpora

Every system learns every ordered pair, in five draws of the five shots; transductive (the target's clips are heard
without labels), and inductive (only clips of other speakers are). Each (system, draw) is a folder under --output that
is not computed again, so the command goes on where it was stopped; the table has what is there. Of CREMA-D the first
two clips of each speaker and emotion take part. Hyper-parameters come from the recipe, settled on other corpora.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sere_systems import SYSTEMS, System, TaughtOnTask

from hf_mser.evaluation.clips import Clip, read_clips
from hf_mser.evaluation.evaluate import evaluate
from hf_mser.evaluation.files import write_json, write_text
from hf_mser.evaluation.protocols import protocol
from hf_mser.evaluation.results import results_of
from hf_mser.training.run_folder import environment
from hf_mser.training.sere.recipe import SereRecipe, load_sere_recipe
from hf_mser.training.sere.sounds import Listeners

HERE = Path(__file__).resolve().parent
RECIPE = HERE.parent / "training" / "recipes" / "sere.yaml"
CORPORA = ("emodb", "casia", "crema_d", "emovo")
CLIPS_EACH = {"crema_d": 2}  # of each speaker and emotion
TRANSDUCTIVE, INDUCTIVE = "sere-any", "sere-any-inductive"
INDUCTIVE_SYSTEMS = ("prototype-adapted", "fixmatch", "sere")
DRAWS = (0, 1, 2, 3, 4)
BASELINES = ("prototype", "prototype-adapted")
WATCHED = "watched.json"


def clips_of(folder: Path) -> list[Clip]:
    """The clips of a corpus that take part."""
    clips = sorted(read_clips(folder), key=lambda clip: clip.key)
    most = CLIPS_EACH.get(folder.name)
    if most is None:
        return clips
    kept: dict[tuple[str | None, str | None], list[Clip]] = {}
    for clip in clips:
        kept.setdefault((clip.speaker, clip.emotion), []).append(clip)
    return [clip for members in kept.values() for clip in members[:most]]


def learned(
    system: System, name: str, draw: int, clips: Sequence[Clip], base: SereRecipe, listeners: Listeners, output: Path
) -> None:
    """One system under one draw, all pairs; nothing is done again."""
    chosen = protocol(name)
    folder = output / name / system.name / f"draw{draw}"
    start, cpu = time.perf_counter(), time.process_time()
    teacher = TaughtOnTask(system, base, listeners)
    tasks = chosen.tasks(clips, seeds=[draw])
    largest = max(len(task.test) for task in tasks)
    identity = {"name": system.name, "recipe": json.loads(json.dumps(_numbers(system.recipe(base, draw))))}
    results = evaluate(chosen, tasks, teacher, identity, folder, largest, report=False, quiet=True)
    if results is None:
        raise SystemExit("Start this benchmark in one process.")
    if teacher.watched:
        write_json(folder / WATCHED, {**_read(folder / WATCHED), **teacher.watched})
        seconds = f"{time.perf_counter() - start:.0f} s, {time.process_time() - cpu:.0f} s of CPU"
        print(f"{name} {system.name} draw {draw}: UA {100 * results['mean']['UA']:.1f}  {seconds}", flush=True)


def _numbers(recipe: SereRecipe) -> dict[str, Any]:
    """What decides the results, without places on this machine."""
    return {
        "objective": recipe.objective,
        "heads": {name: str(value) if value == math.inf else value for name, value in vars(recipe.heads).items()},
        "training": vars(recipe.training),
        "languages": recipe.languages,
        "layers": {name: [entry.layer, entry.seconds, entry.average] for name, entry in recipe.encoders.items()},
    }


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def gathered(name: str, clips: Sequence[Clip], output: Path) -> dict[str, dict[str, Any]]:
    """The results of each system over all of its draws that are complete."""
    chosen = protocol(name)
    tasks = {draw: chosen.tasks(clips, seeds=[draw]) for draw in DRAWS}
    found = {}
    for system in SYSTEMS:
        folder = output / name / system.name
        draws = [draw for draw in DRAWS if (folder / f"draw{draw}" / "results.json").is_file()]
        if not draws:
            continue
        lines = [
            json.loads(line)
            for draw in draws
            for line in (folder / f"draw{draw}" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        own = [task for draw in draws for task in tasks[draw]]
        results = results_of(lines, own, chosen, _read(folder / f"draw{draws[0]}" / "results.json")["model"])
        watched = [entry for draw in draws for entry in _read(folder / f"draw{draw}" / WATCHED).values()]
        found[system.name] = _row(system, draws, results, watched)
    return found


def _row(
    system: System, draws: Sequence[int], results: dict[str, Any], watched: Sequence[dict[str, float]]
) -> dict[str, Any]:
    pairs: dict[str, list[float]] = {}
    for entry in results["results"]:
        pairs.setdefault(f"{entry['source']} > {entry['corpus']}", []).append(entry["UA"])
    names = ("confident/source", "confident/target", "confident_accuracy/source", "confident_accuracy/target")
    seen = {
        name: float(np.nanmean([entry[name] for entry in watched]))
        for name in names
        if any(entry.get(name) is not None for entry in watched)
    }
    return {
        "title": system.title,
        "model": results["model"],
        "draws": list(draws),
        "mean": results["mean"]["UA"],
        "interval": results["mean"]["intervals"]["UA"],
        "pairs": {
            pair: {"UA": float(np.mean(values)), "deviation": _deviation(values), "draws": values}
            for pair, values in pairs.items()
        },
        "watched": seen,
    }


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def wins(rows: dict[str, dict[str, Any]], over: str) -> int:
    """In how many pairs SERE's mean is higher, over the draws that both have."""
    own, other = rows["sere"], rows[over]
    common = set(own["draws"]) & set(other["draws"])

    def mean(row: dict[str, Any], pair: str) -> float:
        return float(
            np.mean([ua for ua, draw in zip(row["pairs"][pair]["draws"], row["draws"], strict=True) if draw in common])
        )

    return sum(mean(own, pair) > mean(other, pair) for pair in own["pairs"])


def markdown(content: dict[str, Any]) -> str:
    """The tables that people read."""
    rows = content["transductive"]
    pairs = list(next(iter(rows.values()))["pairs"])
    heads = [pair.replace("crema_d", "crema").replace(" > ", "›") for pair in pairs]
    lines = [
        "UAR in per cent over the common emotions, mean over draws of the five shots (`±` deviation over draws); the",
        "interval of the mean is a 95 % bootstrap over the target's speakers (too narrow where they are few: CASIA).",
        "",
        "| system | draws | mean | 95 % | " + " | ".join(heads) + " |",
        "|---|---:|---:|---:|" + "---:|" * len(pairs),
    ]
    for row in rows.values():
        cells = [_cell(row["pairs"][pair]) for pair in pairs]
        lines.append(f"| {row['title']} | {len(row['draws'])} | {_mean(row)} | " + " | ".join(cells) + " |")
    lines += [""]
    if content["inductive"]:
        lines += ["Inductive: the unlabelled clips of the target are of other speakers, each clip is read alone.", ""]
        lines += ["| system | draws | mean | 95 % |", "|---|---:|---:|---:|"]
        lines += [f"| {row['title']} | {len(row['draws'])} | {_mean(row)} |" for row in content["inductive"].values()]
        lines += [""]
    lines += [
        f"SERE is above {name} in {count} of {len(pairs)} pairs (draws that both have)."
        for name, count in content["wins"].items()
    ]
    seen = rows.get("sere", {}).get("watched", {})
    if seen:
        lines += [
            "At the end of SERE's training "
            + " and ".join(
                f"{100 * seen[f'confident/{side}']:.0f} % of the {side}'s unlabelled clips in a batch had a label, "
                f"{100 * seen[f'confident_accuracy/{side}']:.0f} % of these rightly"
                for side in ("source", "target")
            )
            + " (watched, not used)."
        ]
    return "\n".join([*lines, ""])


def _mean(row: dict[str, Any]) -> str:
    low, high = row["interval"] or (float("nan"), float("nan"))
    return f"{100 * row['mean']:.1f} | {100 * low:.1f}–{100 * high:.1f}"


def _cell(pair: dict[str, Any]) -> str:
    spread = "" if pair["deviation"] is None else f" ± {100 * pair['deviation']:.1f}"
    return f"{100 * pair['UA']:.1f}{spread}"


def main() -> int:
    """Measure what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the prepared corpora")
    parser.add_argument("--output", type=Path, default=Path("runs/sere-benchmark"))
    parser.add_argument("--table", type=Path, default=HERE / "results" / "sere")
    parser.add_argument("--systems", nargs="+", help="names; default: all")
    parser.add_argument("--draws", nargs="+", type=int, default=list(DRAWS))
    parser.add_argument("--protocols", nargs="+", default=[TRANSDUCTIVE, INDUCTIVE])
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes of the recipe")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    base = load_sere_recipe(RECIPE, [f"output_dir={arguments.output}", *arguments.overrides])
    base = replace(base, name="sere")
    clips = [clip for corpus in CORPORA for clip in clips_of(arguments.data / corpus)]
    listeners = Listeners(base)
    for draw in arguments.draws:
        for system in SYSTEMS:
            if arguments.systems and system.name not in arguments.systems:
                continue
            for name in arguments.protocols:
                if name == TRANSDUCTIVE or system.name in INDUCTIVE_SYSTEMS:
                    learned(system, name, draw, clips, base, listeners, arguments.output)
    content: dict[str, Any] = {
        "transductive": gathered(TRANSDUCTIVE, clips, arguments.output),
        "inductive": gathered(INDUCTIVE, clips, arguments.output),
    }
    rows = content["transductive"]
    content["wins"] = {name: wins(rows, name) for name in (*BASELINES, "fixmatch") if name in rows and "sere" in rows}
    content["clips"] = {corpus: sum(clip.corpus == corpus for clip in clips) for corpus in CORPORA}
    content["environment"] = environment()
    write_json(arguments.table.with_suffix(".json"), content)
    write_text(arguments.table.with_suffix(".md"), markdown(content))
    print(f"{arguments.table}.md")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
