"""The half of `MSERTrainer` that writes checkpoints of what learns, and goes on from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import Trainer
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_NAME

from ..objectives import Objective
from .adapters import has_adapters, what_learns
from .checkpoints import CheckpointError, how_to_resume, last_complete, whole_or_nothing, write_sampler_state
from .first_hearing import adopt_readings
from .sampler import EmotionBatchSampler

GENERATED = "generated_from_trainer"
"""The tag of the cards that `Trainer` writes."""


class TrainerCheckpoints(Trainer):
    """A `Trainer` whose checkpoints hold what learns, are whole or not there, and are resumed from exactly."""

    criterion: Objective
    _sampler: EmotionBatchSampler | None = None
    _resumed_from: Path | None = None

    def train(self, resume_from_checkpoint: str | bool | None = None, **options: Any) -> Any:
        """As usual; `True` goes on from the last *complete* checkpoint, with exactly the batches that remain."""
        if resume_from_checkpoint is True:
            last = last_complete(self.args.output_dir, self.args.world_size)
            if last is None:
                raise CheckpointError(
                    f"{self.args.output_dir} holds no complete checkpoint to resume from. Start without resume."
                )
            resume_from_checkpoint = str(last)
        self._resumed_from = Path(resume_from_checkpoint) if resume_from_checkpoint else None
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **options)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """As usual, with what the run had measured for adaptation before its first step."""
        written = Path(resume_from_checkpoint) / CONFIG_NAME
        if written.is_file():
            adopt_readings(self.model if model is None else model, json.loads(written.read_text(encoding="utf-8")))
        super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        run = Path(self._get_output_dir(trial=trial))
        checkpoint = run / f"checkpoint-{self.state.global_step}"
        with whole_or_nothing(checkpoint, run, self.args.world_size):
            if self.args.should_save:
                checkpoint.mkdir(parents=True, exist_ok=True)
                if self._sampler is not None:
                    write_sampler_state(checkpoint, self._sampler.state_dict())
                if list(self.criterion.parameters()):
                    torch.save(self.criterion.state_dict(), checkpoint / "objective.pt")
            super()._save_checkpoint(model, trial)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """As usual; with LoRA in place, the connector and the adapters instead of whole backbones."""
        if not has_adapters(self.model):
            super()._save(output_dir, state_dict)
        elif self.args.should_save:
            folder = Path(output_dir if output_dir is not None else self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            save_file(what_learns(self.model, state_dict), folder / SAFE_WEIGHTS_NAME, metadata={"format": "pt"})
            self.model.config.save_pretrained(folder)
            if self.processing_class is not None:
                self.processing_class.save_pretrained(folder)
            torch.save(self.args, folder / TRAINING_ARGS_NAME)

    def create_model_card(self, *args: Any, **options: Any) -> None:
        """As usual, but a card that a recipe's run has written says more, and stays."""
        card = Path(self.args.output_dir) / "README.md"
        if not card.is_file() or GENERATED in card.read_text(encoding="utf-8"):
            super().create_model_card(*args, **options)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """A connector checkpoint lacks the frozen parts; only what learns must not be missing."""
        learns = {name for name, weight in self.model.named_parameters() if weight.requires_grad}
        missing = sorted(learns & set(load_result.missing_keys))
        if missing or load_result.unexpected_keys:
            raise CheckpointError(
                f"The checkpoint does not fit this model: it lacks {missing[:3]} and has unknown "
                f"{list(load_result.unexpected_keys)[:3]}. Resume with the recipe that it was made with."
            )

    def _how_to_resume(self) -> str:
        return how_to_resume(self.args.output_dir, self.args.world_size)
