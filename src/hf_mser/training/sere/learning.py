"""The training loop of SERE: warm-up on the labelled clips, then labelled and unlabelled ones together.

Every step draws its batch and its dropout from the run's seed and the step's number alone, so a run that was killed
and resumed goes through the very same steps.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...evaluation.files import write_bytes
from ...objectives.base import UNLABELLED
from ...objectives.resonance import TripleResonance
from ...objectives.resonance_field import field_readings
from ..checkpoints import CheckpointError, NonFiniteLossError
from .model import Resonance, ResonanceModel, Sounding
from .recipe import TrainingSection
from .sounds import TaskSounds

COLLAPSED_SHARE = 0.8
STEP_SEEDS = 1_000_003  # more than any run has steps

Log = Callable[[dict[str, float]], None]


class CollapseWarning(UserWarning):
    """Nearly all unlabelled clips are read as one emotion."""


class ResonanceLearner:
    """Teaches a `ResonanceModel` one task.

    Args:
        model: what learns.
        objective: its loss, whose parts are switched there.
        sounds: the task.
        training: steps, rates and batches.
        seed: of batches and dropout.
        checkpoint: the file that the state is kept in every `save_every` steps, and gone on from; `None` keeps none.

    Example:
        >>> learner = ResonanceLearner(model, TripleResonance(), sounds, TrainingSection(), seed=0)  # doctest: +SKIP
        >>> history = learner.learn()  # doctest: +SKIP
    """

    def __init__(
        self,
        model: ResonanceModel,
        objective: TripleResonance,
        sounds: TaskSounds,
        training: TrainingSection,
        seed: int,
        checkpoint: Path | None = None,
    ) -> None:
        self.model, self.objective, self.sounds = model, objective, sounds
        self.training, self.seed, self.checkpoint = training, seed, checkpoint
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, training.steps)
        self.labelled = sounds.labelled
        self.step = 0
        self.history: list[dict[str, float]] = []

    def learn(self, log: Log | None = None) -> list[dict[str, float]]:
        """All steps, or those that are left; returns what was logged."""
        self._go_on()
        if self.step == 0:
            self.model.eval()
            with torch.no_grad():
                embeds, emotions = self.embed_labelled()
            self.model.found_structure(embeds, emotions)
        self.model.train()
        while self.step < self.training.steps:
            parts, readings, chosen = self._step()
            if self.step % self.training.log_every == 0 or self.step == self.training.steps:
                values = {name: float(value) for name, value in parts.items()}
                self.history.append({"step": self.step, **values, **self._watched(readings, chosen)})
                self._warn_of_collapse()
                if log is not None:
                    log(self.history[-1])
            if self.step % self.training.save_every == 0:
                self._keep()
        self.model.eval()
        return self.history

    def _step(self) -> tuple[dict[str, Tensor], Tensor, list[Tensor]]:
        """One step; the parts of the loss, the readings of the unlabelled clips in it, and which clips these are."""
        random = self.seed_step(self.step)
        warming_up = self.step < self.training.warm_up_steps
        chosen = [] if warming_up else self._choose(random)
        embeds, emotions = self.embed_labelled(self._taken(chosen))
        unknown = [torch.full_like(clips, UNLABELLED) for clips in chosen]
        languages = [torch.full_like(clips, number) for number, clips in enumerate(chosen)]
        batch = {
            "emotion_id": torch.cat([emotions, *unknown]),
            "language_id": torch.cat([torch.zeros_like(emotions), *languages]),
        }
        loss, parts = self.objective(Resonance(embeds, self.model.prototypes), batch)
        if not torch.isfinite(loss):
            raise NonFiniteLossError(
                f"The loss of step {self.step} is {loss.item()}. Lower training.learning_rate or raise the temperature."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        readings = self._field(embeds.detach()[len(emotions) :])
        if chosen:
            guessed = torch.cat([emotions, self.objective.guesses(readings)])
            self.model.move_structure(embeds.detach(), guessed, self.training.momentum)
        else:
            self.model.found_structure(embeds.detach(), emotions)
        return parts, readings, chosen

    def seed_step(self, step: int) -> torch.Generator:
        """Seed dropout for a step; the generator that draws its batch."""
        seed = self.seed * STEP_SEEDS + step
        torch.manual_seed(seed)
        return torch.Generator().manual_seed(seed)

    def draw(self, random: torch.Generator) -> list[Sounding]:
        """Unlabelled clips for a step, of each language."""
        return self._taken(self._choose(random))

    def embed_labelled(self, others: Sequence[Sounding] = ()) -> tuple[Tensor, Tensor]:
        """Embeddings of all labelled clips, once for each encoder, then of others; the labelled ones' emotions."""
        embeds = self.model.embed([*self.labelled, *others])
        return embeds, self.sounds.emotions.repeat(len(self.labelled))

    def _choose(self, random: torch.Generator) -> list[Tensor]:
        wanted = (self.training.source_clips, self.training.target_clips)
        return [
            torch.randperm(len(own.clips), generator=random)[:count]
            for own, count in zip(self.sounds.unlabelled, wanted, strict=True)
        ]

    def _taken(self, chosen: Sequence[Tensor]) -> list[Sounding]:
        return [
            Sounding(own.encoder, own.clips.take(clips))
            for own, clips in zip(self.sounds.unlabelled, chosen, strict=False)
        ]

    def _field(self, embeds: Tensor) -> Tensor:
        own = self.model.readings(embeds)
        return field_readings(embeds, own, self.objective.temperature, self.objective.field_share)

    def _watched(self, readings: Tensor, chosen: list[Tensor]) -> dict[str, float]:
        """How many clips of each language got an emotion, how many of these rightly, and the commonest reading."""
        if not chosen:
            return {}
        counts = [len(clips) for clips in chosen]
        guesses, heard = self.objective.guesses(readings).split(counts), readings.argmax(1).split(counts)
        watched: dict[str, float] = {}
        for name, clips, guess, own, truth in zip(
            ("source", "target"), chosen, guesses, heard, self.sounds.references, strict=True
        ):
            held = guess != UNLABELLED
            watched[f"confident/{name}"] = float(held.float().mean())
            watched[f"confident_accuracy/{name}"] = float((guess == truth[clips])[held].float().mean())
            watched[f"commonest/{name}"] = float(torch.bincount(own).max() / len(own))
        return watched

    def _warn_of_collapse(self) -> None:
        share = max(self.history[-1].get(f"commonest/{name}", 0.0) for name in ("source", "target"))
        if share >= COLLAPSED_SHARE:
            warnings.warn(
                f"Step {self.step}: {100 * share:.0f} % of the unlabelled clips of a language are read as one emotion. "
                "Raise the objective's entropy or confidence, or lower its largest_share.",
                CollapseWarning,
                stacklevel=3,
            )

    # Going on after an interruption

    def _keep(self) -> None:
        if self.checkpoint is None:
            return
        buffer = io.BytesIO()
        state = {
            "step": self.step,
            "seed": self.seed,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": self.history,
        }
        torch.save(state, buffer)
        write_bytes(self.checkpoint, buffer.getvalue())

    def _go_on(self) -> None:
        if self.checkpoint is None or not self.checkpoint.is_file():
            return
        try:
            state = torch.load(self.checkpoint, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.step, self.history = state["step"], state["history"]
        except (RuntimeError, KeyError, ValueError, EOFError) as error:
            raise CheckpointError(
                f"{self.checkpoint} cannot be gone on from: {error}. Remove it to start again."
            ) from error
