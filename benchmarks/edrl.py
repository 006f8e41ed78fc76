"""EDRL's tasks on the corpora at hand: both baselines, the proposed objective, its ablations, and the upper bound.

    python benchmarks/edrl.py --data ../shared/corpora/* --encoder openai/whisper-base

Four classes; each target is tested whole and nothing of its language is trained on (the upper bound trains on one
half of the target's speakers and answers the other, both ways). One encoder serves all languages, so baseline 2, the
proposed system and the ablations learn from the same clips whatever the source is: they are trained once for each
target. Baseline 1 is trained once for each source and tested on every target.

What the paper leaves open, and the learning rate, is chosen on English, which is no target: for the targets de and it
by models that learned from neither of these nor from English, for zh, pl and es likewise. Runs that are done are kept
under --folder; --minutes stops after the run during which they are over, and the same command goes on.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arms import Budget
from edrl_runs import Bench, Run, Setting

from hf_mser.evaluation.clips import Clip
from hf_mser.evaluation.files import write_json, write_text
from hf_mser.evaluation.intervals import SpeakerCounts, count_by_speaker, mean_interval
from hf_mser.evaluation.metrics import MEASURES
from hf_mser.evaluation.pairs import FOUR_CLASSES
from hf_mser.evaluation.plots import embedding_map
from hf_mser.training.run_folder import environment

TARGETS = {"emodb": "de", "emovo": "it", "casia": "zh", "nemo": "pl", "spanish_uem": "es"}
SOURCES = ("crema_d", "emodb", "emovo", "casia")
GROUPS = (("de", "it"), ("zh", "pl", "es"))  # targets that share a choice, made without any of their languages
VALIDATION = "crema_d"
RATES = (1e-3, 3e-3)  # chosen for cross-entropy alone, and used by every system
CANDIDATES = (
    Setting(0.2, "ramp", 1.0),
    Setting(0.5, "ramp", 1.0),
    Setting(1.0, "ramp", 1.0),
    Setting(0.5, "constant", 0.1),
    Setting(),  # the objectives' defaults
)
WATCHED = ("similarity/positive", "similarity/negative", "accuracy/speaker")
POOLED = ("baseline 2", "proposed", "w/o L_sup", "w/o L_spk")
SYSTEMS = ("baseline 1", *POOLED, "upper bound")
MEASURED = ("UA", "macro_F1")
PICTURED = "emodb"


def choose(bench: Bench, group: Sequence[str], seeds: Sequence[int], budget: Budget) -> dict[str, Any]:
    """For a group of targets: the learning rate, then the candidate, with the best mean UA on validation clips."""
    judged = bench.taught_by([bench.unit(VALIDATION)], 0)
    barred = {*group, bench.unit(VALIDATION).language}
    units = [unit for unit in bench.pool.trainable if unit.language not in barred]
    figures: list[dict[str, Any]] = []

    def validation_ua(system: str, setting: Setting) -> float:
        label = f"choose-{'-'.join(group)}-{file_name(system)}-{setting.label}"
        runs = [Run(label, system, setting, bench.taught_by(units, seed), judged, seed) for seed in seeds]
        values = [measure(bench, run, budget, judged)["UA"] for run in runs]
        ends = [bench.scores(run)["log"][-1] for run in runs]
        watched = {name: float(np.mean([end[name] for end in ends])) for name in WATCHED if name in ends[0]}
        mean = float(np.mean(values))
        figures.append({"system": system, "setting": vars(setting), "UA": mean, "seeds": values, "at_the_end": watched})
        print(label, [round(100 * value, 1) for value in values], flush=True)
        return mean

    rate = max(RATES, key=lambda rate: validation_ua("baseline 2", Setting(learning_rate=rate)))
    candidates = [replace(candidate, learning_rate=rate) for candidate in CANDIDATES]
    best = max(candidates, key=lambda setting: validation_ua("proposed", setting))
    for system in ("w/o L_sup", "w/o L_spk"):
        validation_ua(system, best)
    return {"setting": vars(best), "validation": figures}


def file_name(system: str) -> str:
    """A system's name for files."""
    return system.replace("/", "").replace(" ", "_")


def test_runs(
    bench: Bench, seed: int, settings: dict[str, Setting]
) -> Iterator[tuple[str, str, Run, tuple[Clip, ...]]]:
    """Every system's runs under one seed: (system, target, run, the clips of the run that count for the target)."""
    for target in settings:
        unit = bench.unit(target)
        others = [other for other in bench.pool.trainable if other.language != unit.language]
        train = bench.taught_by(others, seed)
        for system in POOLED:
            name = f"{target}-{file_name(system)}"
            yield system, target, Run(name, system, settings[target], train, unit.clips, seed), unit.clips
    alone = Setting(learning_rate=max(setting.learning_rate for setting in settings.values()))
    for source in SOURCES:
        unit = bench.unit(source)
        targets = [bench.unit(target) for target in settings if bench.unit(target).language != unit.language]
        test = tuple(clip for target in targets for clip in target.clips)
        name = "-".join([f"from-{source}-to", *(target.corpus for target in targets)])
        run = Run(name, "baseline 1", alone, bench.taught_by([unit], seed), test, seed)
        for target in targets:
            yield "baseline 1", target.corpus, run, target.clips
    for target in settings:
        halves = halves_of(bench.unit(target).clips)
        for number, (mine, theirs) in enumerate((halves, halves[::-1])):
            train = tuple(clip for clip in mine if (clip.duration or 0.0) <= 6.0)
            run = Run(f"{target}-upper{number}", "upper bound", settings[target], train, theirs, seed)
            yield "upper bound", target, run, theirs


def halves_of(clips: Sequence[Clip]) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
    """Two halves of the speakers, as alike in gender as they can be."""
    speakers = sorted({(str(clip.gender), clip.speaker_key) for clip in clips})
    first = {key for _, key in speakers[::2]}
    return tuple(c for c in clips if c.speaker_key in first), tuple(c for c in clips if c.speaker_key not in first)


def counts_of(bench: Bench, run: Run, budget: Budget, clips: Sequence[Clip]) -> SpeakerCounts:
    """The answers of a run to some of its clips, by speaker."""
    if budget.is_spent() and not run.path(bench.folder).exists():
        raise SystemExit("The minutes are spent; the same command goes on from here.")
    scores = bench.scores(run)["scores"]
    place = {clip.key: row for row, clip in enumerate(run.test)}
    rows = scores[[place[clip.key] for clip in clips]]
    answers = [FOUR_CLASSES[index] for index in rows.argmax(1)]
    references = [str(clip.emotion) for clip in clips]
    corpora = [clip.corpus for clip in clips]
    return count_by_speaker(references, answers, [clip.speaker_key for clip in clips], FOUR_CLASSES, corpora)


def measure(bench: Bench, run: Run, budget: Budget, clips: Sequence[Clip]) -> dict[str, float]:
    """UA and macro-F1 of a run on some of its clips."""
    counts = counts_of(bench, run, budget, clips)
    return {name: float(MEASURES[name](counts.confusion)) for name in MEASURED}


def collect(bench: Bench, seeds: Sequence[int], settings: dict[str, Setting], budget: Budget) -> dict[str, Any]:
    """Everything that was run: counts by system and target, one list entry per seed; speakers' accuracies beside."""
    counts: dict[str, dict[str, list[list[SpeakerCounts]]]] = {s: {t: [] for t in settings} for s in SYSTEMS}
    speakers: dict[str, list[dict[str, float]]] = {system: [] for system in POOLED}
    for seed in seeds:
        of_seed: dict[tuple[str, str], list[SpeakerCounts]] = {}
        for system, target, run, clips in test_runs(bench, seed, settings):
            of_seed.setdefault((system, target), []).append(counts_of(bench, run, budget, clips))
            print(f"{system:12} {target:12} seed {seed}", flush=True)
            if system in ("proposed", "w/o L_sup"):
                log = bench.scores(run)["log"]
                speakers[system].append({"first": log[0]["accuracy/speaker"], "last": log[-1]["accuracy/speaker"]})
        for (system, target), found in of_seed.items():
            counts[system][target].append(found)
    return {"counts": counts, "speakers": {name: rows for name, rows in speakers.items() if rows}}


def summarise(found: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each system and target, and for each system's mean over targets."""
    rows = []
    for system, targets in found["counts"].items():
        parts = [[_merged(system, runs) for runs in seeds] for seeds in targets.values()]
        for target, seeds in zip([*targets, "mean"], [*([p] for p in parts), parts], strict=True):
            row: dict[str, Any] = {"system": system, "target": target}
            for name in MEASURED:
                per_seed = [
                    float(
                        np.mean([np.mean([MEASURES[name](c.confusion) for c in of_target[s]]) for of_target in seeds])
                    )
                    for s in range(len(seeds[0]))
                ]
                flat = [[counts for of_seed in of_target for counts in of_seed] for of_target in seeds]
                row[name] = float(np.mean(per_seed))
                row[f"{name}_seeds"] = per_seed
                row[f"{name}_interval"] = mean_interval(flat, MEASURES[name])
            rows.append(row)
    return rows


def _mean_over_runs(name: str, runs: Sequence[SpeakerCounts]) -> float:
    return float(np.mean([MEASURES[name](counts.confusion) for counts in runs]))


def _merged(system: str, runs: list[SpeakerCounts]) -> list[SpeakerCounts]:
    """The upper bound's halves are one whole; baseline 1's sources are runs of their own."""
    if system != "upper bound":
        return runs
    return [SpeakerCounts(np.concatenate([r.confusions for r in runs]), tuple(s for r in runs for s in r.strata))]


def table(rows: Sequence[dict[str, Any]], content: dict[str, Any]) -> str:
    """What people read."""
    lines = []
    targets = [target for target in TARGETS if any(row["target"] == target for row in rows)]
    for name, title in (("UA", "UA"), ("macro_F1", "macro-F1")):
        heads = [f"{TARGETS[t]} ({t})" for t in targets]
        lines += [f"**{title}**, per cent", "", "| system | " + " | ".join([*heads, "mean", "95 %"]) + " |"]
        lines.append("|---|" + "---:|" * (len(heads) + 2))
        for system in SYSTEMS:
            own = {row["target"]: row for row in rows if row["system"] == system}
            cells = [_cell(own[target][f"{name}_seeds"]) for target in [*targets, "mean"]]
            interval = own["mean"][f"{name}_interval"]
            span = "–" if interval is None else f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"
            lines.append(f"| {system} | " + " | ".join(cells) + f" | {span} |")
        lines.append("")
    lines += [
        "UA on the validation language (English), by which the settings were chosen; and how training ended: the mean "
        "cosine of clips of one emotion and of different ones, and the part of the speakers that the adversary knew:",
        "",
        "| targets | system | temperature | reversal | learning rate | UA | one emotion | different | speakers |",
        "|---|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for group, choice in content["chosen_on_validation"].items():
        for entry in choice["validation"]:
            setting = entry["setting"]
            chosen = " (chosen)" if setting == choice["setting"] and entry["system"] == "proposed" else ""
            temperature = setting["temperature"] if entry["system"] in ("proposed", "w/o L_spk") else "–"
            speaks = entry["system"] in ("proposed", "w/o L_sup")
            reversal = f"{setting['schedule']} {setting['coefficient']}" if speaks else "–"
            ends = [entry["at_the_end"].get(name) for name in WATCHED]
            watched = " | ".join("–" if end is None else f"{end:.2f}" for end in ends)
            lines.append(
                f"| {group.replace('-', ', ')} | {entry['system']}{chosen} | {temperature} | {reversal} | "
                f"{setting['learning_rate']} | {100 * entry['UA']:.1f} | {watched} |"
            )
    seeds = ", ".join(map(str, content["seeds"]))
    lines += [
        "",
        f"Seeds {seeds}; {content['steps']} steps of 36 clips; at most {content['most_clips']} clips of an emotion in "
        "a corpus to learn from. Intervals: 95 % bootstrap over speakers within corpora, seeds averaged.",
        "",
    ]
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    mean = 100 * float(np.mean(values))
    if len(values) == 1:
        return f"{mean:.1f}"
    return f"{mean:.1f} ± {100 * float(np.std(values, ddof=1)):.1f}"


def draw(bench: Bench, setting: Setting, path: Path) -> None:
    """t-SNE of one target's embeddings before and after the proposed training."""
    unit = bench.unit(PICTURED)
    others = [other for other in bench.pool.trainable if other.language != unit.language]
    train = bench.taught_by(others, 0)
    shown = (*unit.clips, *train[:: math.ceil(len(train) / 600)])
    lines = [{"reference": clip.emotion, "language": clip.language} for clip in shown]
    run = Run("picture", "proposed", setting, train, shown, 0)  # never scored: training clips are among those shown
    for name, trained in (("before", False), ("after", True)):
        target = path.with_name(f"{path.stem}_{name}.png")
        target.parent.mkdir(parents=True, exist_ok=True)
        embedding_map(bench.embeddings(run, trained), lines, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="folders of prepared corpora")
    parser.add_argument("--encoder", required=True, help="id or folder of a Whisper checkpoint")
    parser.add_argument("--folder", type=Path, default=Path("runs/edrl"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/edrl.json"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--validation-seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--targets", nargs="+", choices=tuple(TARGETS), default=list(TARGETS))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--minutes", type=float, help="start no further run after so many; run again to go on")
    parser.add_argument("--pictures", action="store_true", help="draw t-SNE before and after, and nothing else")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(
        sorted(path for path in options.data if path.is_dir()), options.encoder, options.folder, options.steps
    )
    budget = Budget(options.minutes)
    chosen = {"-".join(group): choose(bench, group, options.validation_seeds, budget) for group in GROUPS}
    settings = {
        target: Setting(**chosen["-".join(group)]["setting"])
        for target, language in TARGETS.items()
        if target in options.targets
        for group in GROUPS
        if language in group
    }
    if options.pictures:
        draw(bench, settings[PICTURED], options.folder / "plots" / f"tsne_{PICTURED}")
        return
    for count in range(1, len(options.seeds) + 1):  # after every seed, so that an interrupted command leaves something
        seeds = options.seeds[:count]
        found = collect(bench, seeds, settings, budget)
        rows = summarise(found)
        content = {
            "protocol": __doc__,
            "seeds": seeds,
            "chosen_on_validation": chosen,
            "left_out": bench.pool.left_out,
            "test_only": sorted(bench.pool.test_only),
            **bench.describe(),
            "rows": rows,
            "speaker_accuracy_in_training": found["speakers"],
            "environment": environment(),
        }
        write_json(options.output, content)
        write_text(options.output.with_suffix(".md"), table(rows, content))
        print(table(rows, content), flush=True)


if __name__ == "__main__":
    main()
