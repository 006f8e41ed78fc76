"""What `MSERTrainer` does at the start of a run and of an epoch."""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainerCallback, set_seed

from .calibration import forget_answers
from .checkpoints import read_sampler_state
from .first_hearing import hear_first


class RunStart(TrainerCallback):
    """What must happen after everything is built and before the first batch, and at each epoch's start."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        trainer = self.trainer
        if args.world_size > 1:
            # Equal seeds give equal dropout masks to clips at equal positions: false likeness between devices.
            set_seed(args.seed + 7919 * args.process_index)
        if trainer.is_fsdp_enabled:
            # Sharded weights are gathered around `forward`; these methods need the same.
            for name in ("score_emotions", "connect_speech"):
                if hasattr(trainer.model, name):
                    torch.distributed.fsdp.register_fsdp_forward_method(trainer.model, name)
        forget_answers(trainer.model)
        trainer._parts, trainer._parts_logged_at = {}, state.global_step
        hear_first(trainer)
        if args.world_size > 1:  # engines keep the model's weights alike, not the objective's
            for weight in trainer.criterion.parameters():
                torch.distributed.broadcast(weight.data, 0)
        if trainer._resumed_from is not None:
            self._check_sampler(trainer)
            weights = trainer._resumed_from / "objective.pt"
            if weights.is_file():
                trainer.criterion.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for _, term in self.trainer.criterion.terms():
            term.progress = state.global_step / max(state.max_steps, 1)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for weight in self.trainer.criterion.parameters():  # the Trainer clears the gradients of the model alone
            weight.grad = None

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if hasattr(self.trainer.data_collator, "epoch"):
            self.trainer.data_collator.epoch = int(state.epoch or 0)

    @staticmethod
    def _check_sampler(trainer: Any) -> None:
        saved = read_sampler_state(trainer._resumed_from) if trainer._resumed_from else None
        if saved is not None and trainer._sampler is not None:
            position = trainer._sampler.state_dict()
            trainer._sampler.load_state_dict({**saved, "epoch": position["epoch"], "yielded": 0})
