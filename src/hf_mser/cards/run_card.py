"""The card of a training run, read from the files of its folder; evaluations made later in it are found, too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .model_card import ModelFacts
from .results import Entry, entries_of

NEEDED = ("recipe.yaml", "data.json", "config.json")
RESULTS = "results.json"
LIMITS = ("Trained on acted or elicited speech of few speakers: expect less on spontaneous speech.",)


def is_run_folder(folder: Path) -> bool:
    """Whether a folder tells enough of a run for its card to be filled in.

    Example:
        >>> is_run_folder(Path("examples"))
        False
    """
    return all((folder / name).is_file() for name in NEEDED)


def run_facts(folder: Path) -> ModelFacts:
    """What the files of a run folder say: recipe, data, results, costs.

    Example:
        >>> run_facts(Path("runs/mine")).name  # doctest: +SKIP
        'mine'
    """
    import yaml

    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    data, config = _read(folder / "data.json"), _read(folder / "config.json")
    found = _read(folder / RESULTS) if (folder / RESULTS).is_file() else {}
    train = data["train"]
    protocols, entries = _evaluations(folder, found)
    licences = train["licences"]
    return ModelFacts(
        name=recipe["name"],
        description=recipe.get("description") or "A speech emotion model trained with hf_mser.",
        config=config,
        licence=licences[0] if len(licences) == 1 else "several, by the training data",
        known_licence=False,
        languages=sorted(language for language in train["languages"] if len(language) == 2),
        datasets=sorted(train["corpora"]),
        training_data=(
            f"{train['clips']} clips, {train['hours']} h, {train['speakers']} speakers; corpora: "
            f"{_counts(train['corpora'])}; emotions: {_counts(train['emotions'])}."
        ),
        data_terms=f"Licences of the training data: {'; '.join(licences)}. The weights are bound by them where they "
        "reach so far.",
        procedure=_procedure(recipe, found),
        protocols=protocols,
        entries=entries,
        sections=[("Training", "![losses](plots/losses.png)")] if (folder / "plots" / "losses.png").is_file() else [],
        limits=LIMITS,
        cost=cost_text(found.get("cost")),
    )


def cost_text(cost: Mapping[str, Any] | None) -> str:
    """What a run has cost, in words.

    Example:
        >>> cost_text({"wall_hours": 0.5, "cpu_hours": 0.9, "device": "a CPU", "kwh": None})
        '0.50 h on a CPU, 0.90 CPU hours. The energy was not measured.'
    """
    if not cost:
        return "Not measured."
    energy = cost.get("kwh")
    said = "The energy was not measured." if energy is None else f"{energy:.3g} kWh, by the processor's own meter."
    since = " since it was last resumed" if cost.get("resumed") else ""
    return f"{cost['wall_hours']:.2f} h on {cost['device']}, {cost['cpu_hours']:.2f} CPU hours{since}. {said}"


def _evaluations(folder: Path, found: Mapping[str, Any]) -> tuple[list[str], list[Entry]]:
    protocols, entries = [], []
    if found.get("sets"):
        protocols.append(
            "Of the training run itself: speakers disjoint from training; each clip is answered among the emotions of "
            f"its set; 95 % interval of UA by bootstrap over speakers; seed {found.get('seed')}."
        )
        entries += entries_of(found)
    for results in _later_results(folder):
        described = results["protocol"]
        protocols.append(f"Protocol {described['name']}: {described['description']} {' '.join(results['notes'])}")
        entries += entries_of(results)
    return protocols, entries


def _later_results(folder: Path) -> Iterator[Mapping[str, Any]]:
    """What `mser evaluate --output RUN/...` left in the run's folder."""
    for path in sorted([*folder.glob(f"*/{RESULTS}"), *folder.glob(f"*/*/{RESULTS}")]):
        results = _read(path)
        if "results" in results and "protocol" in results:
            yield results


def _procedure(recipe: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    terms = ", ".join(f"{term.get('weight', 1.0):g} × {term['name']}" for term in recipe["objective"])
    adapted = [part for part, options in (recipe.get("lora") or {}).items() if options]
    learned = "The connector learned" + (f", and LoRA in {' and '.join(adapted)}" if adapted else "")
    steps = f", {found['steps']} steps" if "steps" in found else ""
    return (
        f"{learned}; objective: {terms}{steps}. The whole recipe is in `recipe.yaml`, versions and device in "
        "`environment.json`, the fingerprint of the data in `data.json`."
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
