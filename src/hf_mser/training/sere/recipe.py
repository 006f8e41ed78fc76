"""The recipe of a SERE run: encoders, corpora, the objective and its training, checked before anything is loaded.

[paper] marks what the paper's description gives; its numbers are not public, so every number here is [ours].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...objectives import ObjectiveError, build
from ..recipe import CacheSection, RecipeError, read_recipe

EVERY_OTHER_LANGUAGE = "others"


@dataclass(frozen=True)
class EncoderSection:
    """A frozen encoder: which layer is read, and how clips are shortened."""

    checkpoint: str
    layer: int
    seconds: float = 3.0  # the middle of longer clips
    average: int = 4  # frames of 20 ms that become one

    def check(self, where: str) -> None:
        if self.layer < 0 or self.seconds <= 0 or self.average < 1:
            raise RecipeError(f"{where}: layer is at least 0, seconds above 0, average at least 1.")


@dataclass(frozen=True)
class PairSection:
    """The source corpus, which has the labels, the target corpus, and the protocol that draws the clips."""

    source: str
    target: str
    root: str | None = None
    protocol: str = "sere-any"  # or sere-any-inductive: the target's unlabelled clips are of other speakers


@dataclass(frozen=True)
class HeadSection:
    """The heads; hidden and size are METHODS' numbers for them."""

    hidden: int = 256
    size: int = 128
    dropout: float = 0.2
    highlights: float = 0.1  # the temperature of the frames' weights; .inf = a plain mean
    bf16: bool = False  # matrix products of the heads in bfloat16

    def check(self, where: str) -> None:
        if self.hidden < 1 or self.size < 2 or not 0 <= self.dropout < 1 or not self.highlights > 0:
            raise RecipeError(
                f"{where}: hidden is at least 1, size at least 2, dropout from 0 to below 1, highlights above 0."
            )


@dataclass(frozen=True)
class TrainingSection:
    """How long, how fast, and on which batches."""

    steps: int = 60
    warm_up_steps: int = 15  # on labelled clips alone
    frames_together: int = 2  # stored frames that become one in training
    learning_rate: float = 3e-4
    weight_decay: float = 1e-2
    source_clips: int = 32  # unlabelled clips in a batch, beside all labelled ones
    target_clips: int = 32
    momentum: float = 0.9  # of the prototypes
    log_every: int = 10
    save_every: int = 100

    def check(self, where: str) -> None:
        whole = ("steps", "source_clips", "target_clips", "log_every", "save_every", "frames_together")
        for name in whole:
            if getattr(self, name) < 1:
                raise RecipeError(f"{where}.{name} is {getattr(self, name)}; it must be at least 1.")
        if not 0 < self.warm_up_steps <= self.steps:
            raise RecipeError(f"{where}.warm_up_steps is {self.warm_up_steps}; from 1 to steps ({self.steps}).")
        if not self.learning_rate > 0 or self.weight_decay < 0 or not 0 <= self.momentum < 1:
            raise RecipeError(f"{where}: learning_rate above 0, weight_decay at least 0, momentum from 0 to below 1.")


@dataclass(frozen=True)
class SereRecipe:
    """One SERE run.

    Example:
        >>> recipe = load_sere_recipe("training/recipes/sere.yaml", ["data.target=emovo"])  # doctest: +SKIP
        >>> recipe.encoder_of("en"), recipe.encoder_of("it")  # doctest: +SKIP
        ('whisper-tiny.en', 'whisper-base')
    """

    name: str
    encoders: dict[str, EncoderSection]
    languages: dict[str, str]
    data: PairSection
    objective: list[dict[str, Any]]
    output_dir: str
    heads: HeadSection = field(default_factory=HeadSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    cache: CacheSection = field(default_factory=CacheSection)
    description: str = ""
    seed: int = 0

    def check(self, where: str) -> None:
        for language, encoder in self.languages.items():
            if encoder not in self.encoders:
                raise RecipeError(
                    f"languages.{language} is {encoder!r}, but the encoders are {', '.join(self.encoders)}."
                )
        if len(self.objective) != 1 or self.objective[0].get("name") != "triple_resonance":
            raise RecipeError(f"{where}objective: SERE has one objective, triple_resonance.")
        try:
            build(self.objective)
        except ObjectiveError as error:
            raise RecipeError(f"{where}objective: {error}") from error

    def encoder_of(self, language: str | None) -> str:
        """The name of the encoder that listens to a language."""
        name = self.languages.get(str(language), self.languages.get(EVERY_OTHER_LANGUAGE))
        if name is None:
            raise RecipeError(
                f"languages: no encoder listens to {language!r}. Add it, or `{EVERY_OTHER_LANGUAGE}: NAME`."
            )
        return name


def load_sere_recipe(path: str | Path, overrides: Sequence[str] = ()) -> SereRecipe:
    """Read a SERE recipe, put `key=value` overrides on top, and check all of it.

    Example:
        >>> load_sere_recipe("training/recipes/sere.yaml", ["seed=3", "training.steps=50"])  # doctest: +SKIP
    """
    return read_recipe(SereRecipe, path, overrides)
