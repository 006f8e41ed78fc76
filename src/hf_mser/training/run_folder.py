"""What a run leaves behind: its recipe, surroundings, data, curves, pictures, and a card that quotes them."""

from __future__ import annotations

import json
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

    def write_card(self, recipe: Recipe, data: RecipeData, results: Mapping[str, Any], config: Any) -> None:
        """A model card that says what was trained on what, how, and what came out."""
        write_text(self.folder / "README.md", card(recipe, data, results, config))


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
        "command": " ".join(Path(part).name if number == 0 else part for number, part in enumerate(sys.argv)),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "device": device,
        "threads": torch.get_num_threads(),
        "packages": versions,
    }


def card(recipe: Recipe, data: RecipeData, results: Mapping[str, Any], config: Any) -> str:
    """The model card of a run, as Markdown with the Hub's metadata.

    Example:
        >>> card(recipe, data, results, model.config).startswith("---")  # doctest: +SKIP
        True
    """
    import yaml

    described = data.fingerprint()
    languages = sorted({str(language) for language in data.train["language"] if language})
    header = {
        "library_name": "transformers",
        "pipeline_tag": "audio-classification",
        "language": languages,
        "tags": ["speech-emotion-recognition", "hf-mser"],
        "datasets": sorted(described["train"]["corpora"]),
    }
    rows = [
        f"| {name} | {entry['n']} | {_percent(entry['WA'])} | {_percent(entry['UA'])} {_interval(entry)} | "
        f"{_percent(entry['WF1'])} |"
        for name, entry in results.get("sets", {}).items()
    ]
    terms = ", ".join(f"{term.get('weight', 1.0):g} x {term['name']}" for term in recipe.objective)
    backbones = config.backbones or {}
    parts = [
        f"- {part}: `{entry['id']}` (revision {entry.get('revision') or 'unpinned'}, frozen"
        f"{', with LoRA' if getattr(recipe.lora, part, None) else ''})"
        for part, entry in backbones.items()
    ]
    licences = ", ".join(described["train"]["licences"])
    return "\n".join(
        [
            "---",
            yaml.safe_dump(header, sort_keys=False, allow_unicode=True).strip(),
            "---",
            "",
            f"# {recipe.name}",
            "",
            recipe.description or "A speech emotion model trained with hf_mser.",
            "",
            "## Use",
            "",
            "```python",
            "import hf_mser",
            "from transformers import pipeline",
            "",
            'pipe = pipeline("speech-emotion", model="THIS_REPOSITORY")',
            'pipe("clip.wav")',
            "```",
            "",
            "## Model",
            "",
            *parts,
            f"- labels: {', '.join(config.labels)}",
            f"- objective: {terms}",
            "",
            "## Data",
            "",
            f"{described['train']['clips']} clips, {described['train']['hours']} h, {described['train']['speakers']} "
            f"speakers; corpora: {_counts(described['train']['corpora'])}; emotions: "
            f"{_counts(described['train']['emotions'])}.",
            f"Licences of the training data: {licences}. The weights are bound by them where they reach so far.",
            "",
            "## Results",
            "",
            "Speaker-disjoint from training; each clip is answered among the emotions of its set; 95 % interval of UA "
            "by bootstrap over speakers.",
            "",
            "| set | clips | WA | UA | WF1 |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "![losses](plots/losses.png)",
            "",
            f"Seed {results.get('seed')}; to repeat the run, see `recipe.yaml`, `environment.json` and `data.json`.",
            "",
            "## Limits",
            "",
            "Trained on acted or elicited speech of few speakers: expect less on spontaneous speech, and look at "
            "confidence before acting on an answer. Not for judging people in decisions that concern them.",
            "",
        ]
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _interval(entry: Mapping[str, Any]) -> str:
    interval = (entry.get("intervals") or {}).get("UA")
    return "" if not interval else f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
