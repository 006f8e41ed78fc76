"""The bar: what common systems reach under our protocols, on the same clips.

    python benchmarks/baselines.py --data ../shared/corpora/*

extracts the features once (see baseline_features.py), trains and tests every system under
leave-one-language-out, and writes the table to benchmarks/results/baselines.json and .md. Each system's full
results folder, which `mser evaluate --compare` compares with yours, lies under --output.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process a core does more than one process on all

from baseline_features import features
from baseline_systems import SYSTEMS, System, TrainedOnTask

from hf_mser.evaluation.clips import Clip, read_clips
from hf_mser.evaluation.evaluate import evaluate
from hf_mser.evaluation.files import write_json, write_text
from hf_mser.evaluation.protocols import protocol

HERE = Path(__file__).resolve().parent
SEEDS = (0, 1, 2)
COST = "cost.json"


def measured(system: System, folders: Sequence[Path], protocol_name: str, cache: Path, output: Path) -> dict[str, Any]:
    """The results of one system; its finished parts are not computed again."""
    import torch

    torch.set_num_threads(1)
    start = time.perf_counter()
    clips = [clip for folder in folders for clip in read_clips(folder)]
    chosen = protocol(protocol_name)
    tasks = chosen.tasks(clips, seeds=SEEDS if system.random else SEEDS[:1])
    trained = TrainedOnTask(system, _features_of(system, folders, cache))
    results = evaluate(chosen, tasks, trained, trained.identity, output / system.name, report=False, quiet=True)
    assert results is not None  # one process evaluates one system
    seconds = time.perf_counter() - start
    cost = output / system.name / COST
    if trained.settings:  # something was trained now; else the folder was complete and keeps its figures
        write_json(cost, {"settings": trained.settings, "seconds": seconds, "cpu_seconds": time.process_time()})
    results["cost"] = json.loads(cost.read_text(encoding="utf-8"))
    print(f"{system.name:36} UA {100 * results['mean']['UA']:.1f}  {seconds:.0f} s", flush=True)
    return results


def _features_of(system: System, folders: Sequence[Path], cache: Path) -> dict[str, Any]:
    found = {}
    for folder in folders:
        clips: list[Clip] = read_clips(folder)
        rows = features(system.features, clips, cache)
        judged = {clip.key for clip in clips if clip.emotion is not None}
        found.update({clip.key: row for clip, row in zip(clips, rows, strict=True) if clip.key in judged})
    return found


def table(all_results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What goes into baselines.json: per system the mean and every corpus, with intervals."""
    systems = {}
    for name, results in all_results.items():
        corpora: dict[str, list[dict[str, Any]]] = {}
        for entry in results["results"]:
            corpora.setdefault(entry["corpus"], []).append(entry)
        systems[name] = {
            "system": results["model"],
            **results["cost"],
            "mean": results["mean"],
            "languages": results["languages"],
            "corpora": {corpus: _corpus_row(entries) for corpus, entries in corpora.items()},
        }
    first = next(iter(all_results.values()))
    return {"protocol": first["protocol"], "notes": first["notes"], "systems": systems}


def _corpus_row(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    values = [entry["UA"] for entry in entries]
    keys = ("language", "n", "speakers", "classes")
    return {
        **{key: entries[0][key] for key in keys},
        "UA": sum(values) / len(values),
        "UA_per_seed": values,
        "interval": entries[0]["intervals"]["UA"] if len(entries) == 1 else None,
        "intervals_per_seed": [entry["intervals"]["UA"] for entry in entries],
    }


def markdown(content: dict[str, Any]) -> str:
    """The table that people read."""
    first = next(iter(content["systems"].values()))
    corpora = first["corpora"]
    heads = [f"{name} {row['language']} ({len(row['classes'])})" for name, row in corpora.items()]
    lines = [
        f"{content['protocol']['description']} UA in per cent; classes in brackets; `±` is the deviation over seeds.",
        "`-adapted`: every corpus standardised by its own unlabelled statistics. `-padded`: 30 s of padded audio.",
        "The interval of the mean is a 95 % bootstrap over speakers within corpora.",
        "",
        "| system | mean UA | 95 % | " + " | ".join(heads) + " |",
        "|---|---:|---:|" + "---:|" * len(heads),
    ]
    for name, system in content["systems"].items():
        low, high = system["mean"]["intervals"]["UA"]
        cells = [_cell(system["corpora"][corpus]["UA_per_seed"]) for corpus in corpora]
        lines.append(
            f"| {name} | {100 * system['mean']['UA']:.1f} | {100 * low:.1f}–{100 * high:.1f} | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join([*lines, "", *(f"- {note}" for note in content["notes"]), ""])


def _cell(values: Sequence[float]) -> str:
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{100 * mean:.1f}"
    spread = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
    return f"{100 * mean:.1f} ± {100 * spread:.1f}"


def main() -> int:
    """Measure the systems and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--protocol", default="leave-one-language-out")
    parser.add_argument("--systems", nargs="+", help="parts of names; default: all but the padded ones")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "hf_mser" / "baselines")
    parser.add_argument("--output", type=Path, default=Path("runs/baselines"))
    parser.add_argument("--table", type=Path, default=HERE / "results" / "baselines")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()

    parts = arguments.systems
    chosen = [s for s in SYSTEMS if (any(p in s.name for p in parts) if parts else "padded" not in s.name)]
    folders = sorted(folder for folder in arguments.data if folder.is_dir())
    start = time.perf_counter()
    for kind in sorted({system.features for system in chosen}):
        for folder in folders:
            features(kind, read_clips(folder), arguments.cache)
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        jobs = {
            s.name: processes.submit(
                measured, s, folders, arguments.protocol, arguments.cache, arguments.output / arguments.protocol
            )
            for s in chosen
        }
        results = {name: job.result() for name, job in jobs.items()}
    content = table(results)
    write_json(arguments.table.with_suffix(".json"), content)
    write_text(arguments.table.with_suffix(".md"), markdown(content))
    print(f"{len(chosen)} systems in {time.perf_counter() - start:.0f} s: {arguments.table}.md")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
