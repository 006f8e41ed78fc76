"""From the kept scores of real_stack.py to its tables, through the package's own evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from study_features import CORPORA, Heard
from study_runs import LANGUAGES, evened

from hf_mser.emotions import EMOTIONS
from hf_mser.evaluation.clips import Clip, read_clips
from hf_mser.evaluation.evaluate import evaluate
from hf_mser.evaluation.files import write_json, write_text
from hf_mser.evaluation.predictors import Prediction
from hf_mser.evaluation.protocols import protocol
from hf_mser.evaluation.tasks import Task
from hf_mser.registration import EMBEDDED_CHECKPOINT

PROTOCOL = "leave-one-language-out"
FITTED = json.loads((EMBEDDED_CHECKPOINT / "config.json").read_text(encoding="utf-8"))
READER_WEIGHT = {"world": FITTED["label_weights"][0][0], "clouds": FITTED["label_clouds"]["weight"]}
TEMPERATURE = FITTED["label_clouds"]["temperature"]
"""What the reader counts beside the LLM's scores, as it is and adapted, and how sure both are together then: as in
mser-tiny, where corpora left out said so."""
BASELINES = Path(__file__).parents[1] / "results" / "baselines.json"


@dataclass(frozen=True)
class Row:
    """A line of the table: whose scores, in which domain, and what is done with them."""

    name: str
    system: str
    domain: str = "world"
    read: str = ""  # what linear reading adds: in the "world"'s domain, or by "clouds" and what they teach
    averaged: bool = False

    @property
    def by_clouds(self) -> bool:
        """Adapted as a checkpoint adapts that keeps clouds: shares go half-way to equal ones at the end."""
        return "clouds" in (self.domain, self.read)


ROWS = (
    Row("paper's form", "paper"),
    Row("paper's form, adapted", "paper", "corpus"),
    Row("probe with domain views", "probe"),
    Row("probe with domain views, adapted", "probe", "corpus"),
    Row("probe with domain views, adapted as ours is", "probe", "clouds"),
    Row("ours without its reader", "ours"),
    Row("ours", "ours", read="world"),
    Row("ours without its reader, adapted", "ours", "corpus"),
    Row("ours, adapted", "ours", "corpus", read="clouds"),
    Row("ours, seeds averaged", "ours", read="world", averaged=True),
    Row("ours, seeds averaged, adapted", "ours", "corpus", read="clouds", averaged=True),
)


class Kept:
    """The scores of one row, as evaluation asks for them."""

    def __init__(self, row: Row, keys: Sequence[str], work: Path) -> None:
        self.row, self.keys, self.work = row, keys, work
        self._read: dict[tuple[str, int], dict[str, Prediction]] = {}

    @property
    def identity(self) -> dict[str, Any]:
        """What results say of the row."""
        own = {"name": self.row.name, "runs": self.row.system, "domain": self.row.domain}
        return own | ({"evened_at": TEMPERATURE} if self.row.by_clouds else {})

    def seeds(self) -> list[int]:
        """Those of which every language is there."""
        folders = [self.work / system for system in (self.row.system, *(["probe"] if self.row.read else []))]
        files = [folder / language for folder in folders for language in set(LANGUAGES.values())]
        return [seed for seed in range(10) if all(file.with_name(f"{file.name}-{seed}.npz").exists() for file in files)]

    def __call__(self, task: Task) -> Any:
        """The predictor of a task: a look-up."""
        language = LANGUAGES[task.target]
        seeds = self.seeds() if self.row.averaged else [task.seed]
        key = (task.target, task.seed)
        if key not in self._read:
            self._read[key] = self._predictions(task, language, seeds)
        found = self._read[key]
        return _LookUp(found, self.identity)

    def _predictions(self, task: Task, language: str, seeds: Sequence[int]) -> dict[str, Prediction]:
        total: Any = 0.0
        for seed in seeds:
            with np.load(self.work / self.row.system / f"{language}-{seed}.npz") as kept:
                clips, scores = kept["clips"], kept[f"{self.row.domain}_scores"].astype(np.float64)
                embeds = kept.get(f"{self.row.domain}_embeds")
            own = np.array([self.keys[clip].startswith(f"{task.target}/") for clip in clips])
            clips, scores = clips[own], scores[own]
            embeds = None if embeds is None or self.row.averaged else embeds[own].astype(np.float32)
            total = total + scores - np.log(np.exp(scores).sum(1, keepdims=True))
            if self.row.read:
                with np.load(self.work / "probe" / f"{language}-{seed}.npz") as kept:
                    read = kept[f"{self.row.read}_scores"][own].astype(np.float64)
                total = total + READER_WEIGHT[self.row.read] * read
        scores = total / len(seeds)
        if self.row.by_clouds:
            scores = evened(scores, np.arange(len(EMOTIONS)), TEMPERATURE)
        chances = np.exp(scores - scores.max(1, keepdims=True))
        return {
            self.keys[clip]: Prediction(
                dict(zip(EMOTIONS, chances[row].tolist(), strict=True)), None if embeds is None else embeds[row]
            )
            for row, clip in enumerate(clips)
        }


@dataclass
class _LookUp:
    found: Mapping[str, Prediction]
    identity: Mapping[str, Any]

    def __call__(self, clips: Sequence[Clip]) -> list[Prediction]:
        return [self.found[clip.key] for clip in clips]


def write_reports(data: Path, heard: Heard, work: Path, output: Path) -> None:
    """Evaluate every row whose runs are there; the JSON and the table beside it."""
    folders = [data / name for name in CORPORA]
    clips = [clip for folder in folders for clip in read_clips(folder)]
    names = {(clip.corpus, Path(clip.name).name): clip.key for clip in clips}
    keys = [names[clip.corpus, clip.name] for clip in heard.clips]
    chosen = protocol(PROTOCOL)
    systems = best_probes()
    for row in ROWS:
        kept = Kept(row, keys, work)
        seeds = kept.seeds()
        if not seeds or (row.averaged and len(seeds) < 2):
            continue
        tasks = chosen.tasks(clips, seeds=seeds[:1] if row.averaged else seeds)
        label = row.name.replace(",", "").replace(" ", "-").replace("'", "")
        folder = work / "results" / f"{label}-{len(seeds)}"
        results = evaluate(chosen, tasks, kept, kept.identity, folder, batch_size=512, report=False, quiet=True)
        assert results is not None  # one process evaluates
        systems[row.name] = _summary(results, seeds)
    write_json(output, {"protocol": {"name": PROTOCOL, "description": chosen.description}, "systems": systems})
    write_text(output.with_suffix(".md"), markdown(systems))


def best_probes() -> dict[str, Any]:
    """The best probe as it is and adapted, from the baselines' own results."""
    systems = json.loads(BASELINES.read_text(encoding="utf-8"))["systems"]
    probes = {name: system for name, system in systems.items() if name.startswith("whisper-layer")}
    found = {}
    for suffix in ("", "-adapted"):
        own = {name: system for name, system in probes.items() if name.endswith("-adapted") == bool(suffix)}
        best = max(own, key=lambda name: own[name]["mean"]["UA"])
        for name in (f"whisper-layer6{suffix}", best):
            shown = f"probe on layer {name.removeprefix('whisper-layer')[0]}{', adapted' if suffix else ''}"
            system = systems[name]
            corpora = {
                corpus: {"UA_per_seed": row["UA_per_seed"], "language": row["language"], "classes": row["classes"]}
                for corpus, row in system["corpora"].items()
            }
            found[shown] = {key: system[key] for key in ("mean", "languages")} | {"corpora": corpora, "seeds": [0]}
    return dict(sorted(found.items(), key=lambda item: item[0].endswith("adapted")))


def _summary(results: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
    corpora: dict[str, Any] = {}
    for entry in results["results"]:
        row = corpora.setdefault(
            entry["corpus"],
            {"language": entry["language"], "n": entry["n"], "classes": entry["classes"], "UA_per_seed": []}
            | {"WF1_per_seed": [], "intervals_per_seed": []},
        )
        row["UA_per_seed"].append(entry["UA"])
        row["WF1_per_seed"].append(entry["WF1"])
        row["intervals_per_seed"].append(entry["intervals"]["UA"])
    per_seed = [float(np.mean([row["UA_per_seed"][position] for row in corpora.values()])) for position in range(10)
                if all(len(row["UA_per_seed"]) > position for row in corpora.values())]  # fmt: skip
    return {
        "seeds": list(seeds),
        "mean": results["mean"] | {"UA_per_seed": per_seed},
        "languages": results["languages"],
        "corpora": corpora,
        "notes": results["notes"],
    }


def markdown(systems: Mapping[str, Any]) -> str:
    """UA by corpus, then UA and WF1 by language."""
    corpora = next(iter(systems.values()))["corpora"]
    heads = [f"{name} {row['language']} ({len(row['classes'])})" for name, row in corpora.items()]
    lines = [
        "Trained on all corpora of other languages, tested on whole corpora. UA in per cent; classes in brackets; "
        "`±` is the deviation over seeds; the interval of the mean is a 95 % bootstrap over speakers within corpora. "
        f"Seeds: {_seeds_of(systems)}.",
        "",
        f"| system | mean UA | 95 % | mean WF1 | {' | '.join(heads)} |",
        "|---|---:|---:|---:|" + "---:|" * len(heads),
    ]
    for name, system in systems.items():
        mean = system["mean"]
        low, high = mean["intervals"]["UA"]
        cells = [_cell(mean.get("UA_per_seed") or [mean["UA"]]), f"{100 * low:.1f}–{100 * high:.1f}"]
        cells += [f"{100 * mean['WF1']:.1f}", *(_cell(system["corpora"][own]["UA_per_seed"]) for own in corpora)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    languages = sorted({row["language"] for row in corpora.values()})
    lines += ["", "UA / WF1 by language:", "", f"| system | {' | '.join(languages)} |"]
    lines.append("|---|" + "---:|" * len(languages))
    for name, system in systems.items():
        cells = [_pair(system["languages"][language]) for language in languages]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _seeds_of(systems: Mapping[str, Any]) -> str:
    """How many seeds there were, in words; by system where they differ."""
    counts = {name: len(system["seeds"]) for name, system in systems.items()}
    if len(set(counts.values())) == 1:
        return str(next(iter(counts.values())))
    return "; ".join(f"{name} {count}" for name, count in counts.items())


def _pair(figures: Mapping[str, float]) -> str:
    return f"{100 * figures['UA']:.1f} / {100 * figures['WF1']:.1f}"


def _cell(values: Sequence[float]) -> str:
    mean = f"{100 * np.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {100 * np.std(values, ddof=1):.1f}"
