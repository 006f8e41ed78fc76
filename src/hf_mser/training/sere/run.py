"""From a SERE recipe to a run folder: draw the task, hear it, train, read the target, write it all down."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save
from torch import Tensor

from ...evaluation.clips import Clip, read_clips
from ...evaluation.evaluate import evaluate
from ...evaluation.files import write_bytes, write_json, write_text
from ...evaluation.plots import embedding_map
from ...evaluation.protocols import Protocol, protocol
from ...evaluation.run import OutputFolderError
from ...evaluation.tasks import Task
from ..recipe import RecipeError
from ..run_folder import environment
from .learning import ResonanceLearner
from .prediction import TaskPredictor, learn_task, new_learner, read_test
from .recipe import SereRecipe
from .sounds import Listeners, TaskSounds


def train_sere(recipe: SereRecipe) -> dict[str, Any]:
    """Follow a recipe; returns the results that also stand in its run folder.

    The folder holds `recipe.yaml`, `environment.json`, for each task `history.json`, `model.safetensors` and maps of
    the target's embeddings before and after, and what `mser evaluate` writes: `results.json`, `predictions.jsonl`, a
    report. A run that was interrupted goes on where it was.

    Example:
        >>> recipe = load_sere_recipe("training/recipes/sere.yaml")  # doctest: +SKIP
        >>> train_sere(recipe)["mean"]["UA"]  # doctest: +SKIP
        0.48
    """
    folder = Path(recipe.output_dir)
    chosen, tasks = tasks_of(recipe)
    _claim(folder, recipe)
    listeners = Listeners(recipe)

    def taught(task: Task) -> TaskPredictor:
        return _taught(recipe, listeners.hear_task(task), task, folder / "tasks" / task.name)

    largest = max(len(task.test) for task in tasks)
    results = evaluate(chosen, tasks, taught, {"name": recipe.name, "seed": recipe.seed}, folder, batch_size=largest)
    if results is None:
        raise RecipeError("SERE trains in one process; start it without torchrun.")
    return results


def tasks_of(recipe: SereRecipe) -> tuple[Protocol, list[Task]]:
    """The recipe's protocol, and the tasks from its source into its target."""
    pair = recipe.data
    clips = [clip for corpus in (pair.source, pair.target) for clip in _read(corpus, pair.root)]
    chosen = protocol(pair.protocol)
    source = clips[0].corpus
    tasks = [task for task in chosen.tasks(clips, seeds=[recipe.seed]) if task.source == source and task.unlabelled]
    if not tasks:
        raise RecipeError(
            f"data.protocol: {pair.protocol} has no task from {pair.source} into {pair.target} with unlabelled clips. "
            "Use sere-any or sere-any-inductive."
        )
    return chosen, tasks


def _read(corpus: str, root: str | None) -> list[Clip]:
    place = Path(root) / corpus if root is not None else None
    return read_clips(place if place is not None and place.is_dir() else corpus)


def _taught(recipe: SereRecipe, sounds: TaskSounds, task: Task, folder: Path) -> TaskPredictor:
    folder.mkdir(parents=True, exist_ok=True)
    _draw_map(new_learner(recipe, sounds), task, folder / "embeddings_before.png")
    learner = learn_task(recipe, sounds, folder / "checkpoint.pt", log=_show)
    write_json(folder / "history.json", learner.history)
    weights = {name: tensor.contiguous() for name, tensor in learner.model.state_dict().items()}
    write_bytes(folder / "model.safetensors", save(weights, metadata={"classes": ",".join(task.classes)}))
    readings = _draw_map(learner, task, folder / "embeddings_after.png")
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    return TaskPredictor({"name": recipe.name}, task, readings)


def _draw_map(learner: ResonanceLearner, task: Task, path: Path) -> Tensor:
    """t-SNE of the test clips; returns their readings."""
    readings, embeds = read_test(learner, task.transductive)
    lines = [{"reference": clip.emotion, "language": clip.language} for clip in task.test]
    embedding_map(embeds.numpy(), lines, path)
    return readings


def _claim(folder: Path, recipe: SereRecipe) -> None:
    """Make the folder this run's own, or find that it is."""
    path, own = folder / "recipe.yaml", yaml.safe_dump(asdict(recipe), sort_keys=False, allow_unicode=True)
    if path.is_file() and path.read_text(encoding="utf-8") != own:
        raise OutputFolderError(f"{folder} holds the run of another recipe. Choose another output_dir, or remove it.")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, own)
    write_json(folder / "environment.json", environment())


def _show(entry: Mapping[str, float]) -> None:
    shown = ", ".join(f"{name} {value:.3g}" for name, value in entry.items() if name != "step")
    print(f"step {entry['step']}: {shown}", file=sys.stderr)
