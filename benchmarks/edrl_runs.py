"""The runs behind edrl.py: which clips teach whom, one training through the recipe, and scores that are kept.

A run is a name, an objective, the clips that it learns from and those that it answers. Its scores are a file that
appears whole, so an interrupted command goes on with the first run that has none.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_mser.evaluation.clips import Clip, read_clips
from hf_mser.evaluation.pairs import FOUR_CLASSES
from hf_mser.evaluation.pool import Pool, Unit
from hf_mser.evaluation.tasks import Task
from hf_mser.training.data import Clips, RecipeData
from hf_mser.training.first_hearing import hear_first
from hf_mser.training.recipe import Recipe, load_recipe
from hf_mser.training.run import build_trainer, embed_clips, training_arguments

RECIPE = Path(__file__).parents[1] / "training" / "recipes" / "edrl.yaml"
LONGEST_IN_TRAINING = 6.0  # seconds
MOST_CLIPS = 100  # of an emotion in a corpus, to train on

CROSS_ENTROPY = {"name": "cross_entropy", "weight": 1.0}
SUPCON = {"name": "supcon", "weight": 1.0, "language_weight": 2.5}  # [paper]
ADVERSARY = {"name": "speaker_adversarial", "weight": 0.3}  # [paper]
OBJECTIVES = {
    "baseline 1": ("cross_entropy",),
    "baseline 2": ("cross_entropy",),
    "proposed": ("cross_entropy", "supcon", "speaker_adversarial"),
    "w/o L_sup": ("cross_entropy", "speaker_adversarial"),
    "w/o L_spk": ("cross_entropy", "supcon"),
    "upper bound": ("cross_entropy",),
}


@dataclass(frozen=True)
class Setting:
    """What the paper leaves open and validation languages decide."""

    temperature: float = 0.07
    schedule: str = "constant"
    coefficient: float = 1.0
    learning_rate: float = 1e-3

    @property
    def label(self) -> str:
        """For file names."""
        return f"{self.temperature}-{self.schedule}{self.coefficient}-{self.learning_rate}"

    def objective(self, system: str) -> list[dict[str, Any]]:
        """The terms of a system's objective."""
        terms = {
            "cross_entropy": CROSS_ENTROPY,
            "supcon": {**SUPCON, "temperature": self.temperature},
            "speaker_adversarial": {
                **ADVERSARY,
                "schedule": self.schedule,
                "coefficient": self.coefficient,
            },
        }
        return [terms[name] for name in OBJECTIVES[system]]


@dataclass(frozen=True)
class Run:
    """One training and the clips that it answers."""

    name: str
    system: str
    setting: Setting
    train: tuple[Clip, ...]
    test: tuple[Clip, ...]
    seed: int

    def path(self, folder: Path) -> Path:
        """Where its scores are kept."""
        return folder / "scores" / f"{self.name}-seed{self.seed}.npz"

    def check(self) -> Run:
        """Itself, once no clip and no speaker stands on both sides."""
        Task("edrl", "-", self.name, FOUR_CLASSES, test=self.test, train=self.train, seed=self.seed).check()
        return self


class Bench:
    """The corpora, the recipe and the folder of results, shared by all runs.

    Args:
        data: folders of prepared corpora.
        encoder: id or folder of the speech encoder.
        folder: where scores and the frame cache are kept.
        steps: optimiser steps of every training.
    """

    def __init__(self, data: Sequence[Path], encoder: str, folder: Path, steps: int) -> None:
        clips = [clip for path in data for clip in read_clips(path)]
        self.pool = Pool.of(clips, FOUR_CLASSES)
        self.folder = folder
        self.steps = steps
        self.recipe = load_recipe(
            RECIPE,
            [
                f"model.speech={encoder}",
                f"output_dir={folder / 'trainer'}",
                f"cache.folder={folder / 'cache'}",
                f"max_steps={steps}",
                "eval_strategy=no",
                "save_strategy=no",
                "load_best_model_at_end=false",
                "report_to=none",
                "disable_tqdm=true",
                "logging_steps=10",
            ],
        )

    def unit(self, name: str) -> Unit:
        """A corpus by name."""
        return self.pool.corpus(name)

    def taught_by(self, units: Sequence[Unit], seed: int) -> tuple[Clip, ...]:
        """The training clips of some corpora: short enough, and equally many of each emotion where there are many."""
        chosen: list[Clip] = []
        for unit in units:
            order = np.random.default_rng([seed, len(unit.clips)]).permutation(len(unit.clips))
            taken: Counter[str] = Counter()
            for index in order:
                clip = unit.clips[index]
                if (clip.duration or 0.0) <= LONGEST_IN_TRAINING and taken[str(clip.emotion)] < MOST_CLIPS:
                    taken[str(clip.emotion)] += 1
                    chosen.append(clip)
        return tuple(chosen)

    def scores(self, run: Run) -> dict[str, Any]:
        """The scores of a run, trained now unless they are there: `scores` (clips, 4) and the last logged parts."""
        path = run.path(self.folder)
        if not path.exists():
            run.check()
            trainer, test = self.trainer(run)
            trainer.train()
            answers = trainer.predict(test).predictions
            log = [entry for entry in trainer.state.log_history if "loss" in entry]
            _write_npz(path, {"scores": answers.astype(np.float32), "log": np.array(json.dumps(log))})
        with np.load(path) as kept:
            return {"scores": kept["scores"], "log": json.loads(str(kept["log"]))}

    def embeddings(self, run: Run, trained: bool) -> np.ndarray:
        """The embeddings of a run's test clips, before or after training."""
        trainer, test = self.trainer(run)
        hear_first(trainer)
        if trained:
            trainer.train()
        return embed_clips(trainer, test)

    def trainer(self, run: Run) -> tuple[Any, Clips]:
        """The run's trainer, and its test clips as rows."""
        recipe = Recipe(**{**vars(self.recipe), "objective": run.setting.objective(run.system)})
        languages = len({clip.language for clip in run.train})
        rate = run.setting.learning_rate
        training = {
            **recipe.training,
            "seed": run.seed,
            "learning_rate": rate,
            "languages_per_batch": min(3, languages),
        }
        recipe.training = training if languages > 1 else {**training, "languages_per_batch": None}
        test = Clips([_row(clip) for clip in run.test])
        data = RecipeData(Clips([_row(clip) for clip in run.train]), Clips([]), {run.name: test})
        return build_trainer(recipe, training_arguments(recipe), data), test

    def describe(self) -> dict[str, Any]:
        """What a reader of the results must know of all runs."""
        settings = asdict(self.recipe.model)["settings"]
        return {"steps": self.steps, "model": settings, "training": self.recipe.training, "most_clips": MOST_CLIPS}


def _row(clip: Clip) -> dict[str, Any]:
    return {
        "audio": str(clip.audio),
        "emotion": clip.emotion,
        "speaker": clip.speaker,
        "language": clip.language,
        "duration": clip.duration,
        "corpus": clip.corpus,
    }


def _write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **dict(arrays))
    os.replace(part, path)
