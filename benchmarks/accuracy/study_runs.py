"""One run of the study: train on some clips, answer others, keep the scores.

A run's file appears whole, so that a command over many runs can be killed and given again.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import study_features
import torch
from study_features import Heard
from study_training import Backbones, Form, adapted, backbones_of, train
from transformers.utils import logging

from hf_mser.adapted_answers import towards_equal_shares
from hf_mser.emotions import EMOTIONS
from hf_mser.training.tiny.clips import emotions_of

LANGUAGES = {
    "casia": "zh", "crema_d": "en", "emodb": "de", "emotiontts_ko": "ko", "emovo": "it", "nemo": "pl",
    "spanish_uem": "es", "tess": "en", "urdu": "ur",
}  # fmt: skip
DOMAINS = ("world", "corpus")
"""As it is, and adapted to the unlabelled clips of the tested corpus."""


def study_parser(description: str | None, results: str) -> argparse.ArgumentParser:
    """The arguments that every command over runs has; its tables go to `results`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="what study_features.py wrote")
    parser.add_argument("--backbones", type=Path, required=True, help="folder of the small real backbones")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, help="start no further run after so many")
    parser.add_argument("--output", type=Path, default=Path(f"benchmarks/results/{results}.json"))
    return parser


def begin(arguments: argparse.Namespace) -> tuple[Clock, Heard, Table, Backbones]:
    """What every command over runs needs, from those arguments: on one thread, and quiet."""
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    everything = study_features.heard(arguments.cache)
    return Clock(arguments.minutes), everything, Table.of(everything), backbones_of(arguments.backbones)


class Clock:
    """Says when no further run should be started."""

    def __init__(self, minutes: float | None) -> None:
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def stop_if_over(self) -> None:
        """End the program if the minutes are spent."""
        if self._end is not None and time.monotonic() > self._end:
            raise SystemExit("The minutes are spent; the same command goes on from here.")


@dataclass
class Table:
    """What the study's clips are: columns of equal length."""

    corpus: np.ndarray
    speaker: np.ndarray
    emotion: np.ndarray
    language: np.ndarray

    @classmethod
    def of(cls, heard: Heard) -> Table:
        """The columns of all clips that were heard."""
        corpus = np.array([clip.corpus for clip in heard.clips])
        speaker = np.array([clip.speaker for clip in heard.clips])
        return cls(corpus, speaker, emotions_of(heard.clips), np.array([LANGUAGES[name] for name in corpus]))


@dataclass
class Run:
    """A form, the clips that teach it, those that it answers, and where its scores are kept."""

    path: Path
    form: Form
    taught: np.ndarray
    tested: np.ndarray
    seed: int

    def scores(self, heard: Heard, table: Table, backbones: Backbones) -> dict[str, np.ndarray]:
        """`clips`, and for each domain scores (clips, 7) and embeddings; computed unless they are there."""
        if not self.path.exists():
            self._compute(heard, table, backbones)
        with np.load(self.path) as kept:
            return dict(kept)

    def _compute(self, heard: Heard, table: Table, backbones: Backbones) -> None:
        start = time.process_time()
        trained = train(self.form, heard, self.taught, table.language, backbones, self.seed)
        kept: dict[str, Any] = {"clips": self.tested}
        version, world = heard.versions["clean"], trained.world
        for domain in DOMAINS:
            scores = np.zeros((len(self.tested), len(EMOTIONS)), np.float32)
            embeds = np.zeros((len(self.tested), trained.model.speech_embedding_size), np.float16)
            for corpus in np.unique(table.corpus[self.tested]):
                rows = np.flatnonzero(table.corpus[self.tested] == corpus)
                clips = self.tested[rows]
                own = adapted(version, clips, self.form.layers, world) if domain == "corpus" else world
                scores[rows], embeds[rows] = trained.answers(version, clips, own)
            kept |= {f"{domain}_scores": scores, f"{domain}_embeds": embeds}
        kept["cpu_seconds"] = time.process_time() - start
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(trained.connector.state_dict(), self.path.with_suffix(".pt"))
        save_scores(self.path, kept)


def save_scores(path: Path, kept: dict[str, Any]) -> None:
    """Write a run's file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **kept)
    os.replace(part, path)


def evened(scores: np.ndarray, classes: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Scores moved half-way to equal shares of the classes, as the package's adaptation does at its end."""
    moved = scores.copy()
    moved[:, classes] += towards_equal_shares(torch.from_numpy(scores[:, classes]), temperature)[1].numpy()
    return moved


def recall(scores: np.ndarray, truth: np.ndarray, classes: np.ndarray) -> float:
    """UA in per cent among some classes."""
    chosen = classes[scores[:, classes].argmax(1)]
    return float(100 * np.mean([(chosen[truth == kind] == kind).mean() for kind in classes]))
