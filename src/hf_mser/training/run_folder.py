"""What a run leaves behind: its recipe, surroundings, data, curves, pictures, and a card that quotes them."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..evaluation.files import write_json, write_text
from .data import RecipeData
from .recipe import Recipe

PACKAGES = ("hf-mser", "torch", "transformers", "accelerate", "peft", "datasets", "numpy", "soundfile", "soxr")
ANSWERS = "predictions.jsonl"


class RunFolder:
    """The folder of one run.

    Example:
        >>> RunFolder("runs/mine").write_start(recipe, data)  # doctest: +SKIP
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def write_start(self, recipe: Recipe, data: RecipeData) -> None:
        """What is known before the first step."""
        import yaml

        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "recipe.yaml", yaml.safe_dump(asdict(recipe), sort_keys=False, allow_unicode=True))
        write_json(self.folder / "environment.json", environment())
        write_json(self.folder / "data.json", data.fingerprint())

    def write_metrics(self, history: Sequence[Mapping[str, Any]], results: Mapping[str, Any]) -> None:
        """Every logged value, and the results at the end."""
        write_json(self.folder / "history.json", list(history))
        write_json(self.folder / "results.json", results)

    def write_answers(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """One line for each clip that the trained model was asked about."""
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        write_text(self.folder / ANSWERS, text)

    def plot_losses(self, history: Sequence[Mapping[str, Any]]) -> Path:
        """The parts of the loss, the similarities and the evaluation, over the steps."""
        import matplotlib.figure

        logged = sorted({name for entry in history for name in entry})
        panels = {
            "loss": ["loss", "loss/cross_entropy"],
            # Beside the cross-entropy the others are small: they need a scale of their own.
            "other parts of the loss": [n for n in logged if n.startswith("loss/") and n != "loss/cross_entropy"],
            "mean cosine similarity": [name for name in logged if name.startswith("similarity/")],
            "validation": ["eval_UA", "eval_WA"],
        }
        figure = matplotlib.figure.Figure(figsize=(13, 3.4), layout="constrained")
        for axis, (title, names) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
            for name in names:
                points = [(entry["step"], entry[name]) for entry in history if name in entry]
                if points:
                    axis.plot(*zip(*points, strict=True), label=name, linewidth=1)
            axis.set(title=title, xlabel="step")
            if axis.lines:
                axis.legend(fontsize=7)
        path = self.folder / "plots" / "losses.png"
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, dpi=110)
        return path

    def plot_embeddings(self, embeddings: np.ndarray, clips: Sequence[Mapping[str, Any]], name: str) -> Path:
        """t-SNE of the emotion embeddings, by emotion and by language."""
        from ..evaluation.plots import embedding_map

        lines = [{"reference": clip["emotion"], "language": clip["language"]} for clip in clips]
        path = self.folder / "plots" / f"embeddings_{name}.png"
        path.parent.mkdir(exist_ok=True)
        embedding_map(embeddings, lines, path)
        return path

    def write_card(self) -> None:
        """A model card that says what was trained on what, how, and what came out, from the files of this folder."""
        from ..cards.model_card import model_card
        from ..cards.run_card import run_facts

        write_text(self.folder / "README.md", model_card(run_facts(self.folder)))


def environment() -> dict[str, Any]:
    """Versions, device and command: what somebody needs who wants the same numbers.

    Example:
        >>> sorted(environment())[:3]
        ['command', 'device', 'packages']
    """
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {
        "command": " ".join([Path(sys.argv[0]).name, *(_portable(word) for word in sys.argv[1:])]),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "device": device,
        "threads": torch.get_num_threads(),
        "packages": versions,
    }


def _portable(word: str) -> str:
    """A word of the command line, an absolute path in it (also behind `key=`) told from the working folder.

    A results file is read elsewhere, where nobody has this machine's folders. A path that shares nothing with the
    working folder keeps its name alone.
    """
    key, equals, value = ("", "", word) if Path(word).is_absolute() else word.partition("=")
    path, here = Path(value), Path.cwd()
    if not path.is_absolute():
        return word
    near = path.parts[:2] == here.parts[:2]
    return f"{key}{equals}{Path(os.path.relpath(path, here)).as_posix() if near else path.name}"


def cost(wall_seconds: float, resumed: bool = False) -> dict[str, Any]:
    """What this process has spent, for the card; there is no meter of energy that every machine has.

    Example:
        >>> cost(3600.0)["wall_hours"]
        1.0
    """
    spent = os.times()
    cpu_seconds = spent.user + spent.system + spent.children_user + spent.children_system
    return {
        "wall_hours": wall_seconds / 3600,
        "cpu_hours": cpu_seconds / 3600,
        "device": environment()["device"],
        "kwh": None,
        "resumed": resumed,
    }
