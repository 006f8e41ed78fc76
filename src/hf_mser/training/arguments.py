"""`MSERTrainingArguments`: Transformers' own, with the objective, the shape of a batch, and safe defaults."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainingArguments

from ..errors import MSERError


class TrainingArgumentsError(MSERError, ValueError):
    """Training arguments that contradict one another."""


DEFAULT_OBJECTIVE = ({"name": "contrastive", "weight": 1.0}, {"name": "cross_entropy", "weight": 1.0})


@dataclass
class MSERTrainingArguments(TrainingArguments):
    """Everything `TrainingArguments` has, plus what contrastive training needs.

    The global batch (device batch x devices x accumulated steps) is made of emotions x clips of each, so only
    the number of emotions is a choice: the clips of each follow.

    Example:
        >>> args = MSERTrainingArguments(output_dir="runs/mine", per_device_train_batch_size=32)
        >>> args.learning_rate, args.weight_decay
        (1e-05, 1e-06)
    """

    objective: Any = field(
        default=None,
        metadata={"help": "A list of {name, weight, ...}, or its JSON; contrastive + cross_entropy by default."},
    )
    balanced_batches: bool = field(
        default=True, metadata={"help": "Batches of emotions x clips (else Transformers' own sampling)."}
    )
    emotions_per_batch: int | None = field(
        default=None,
        metadata={"help": "Emotions in a global batch; by default as many as divide it and leave two clips each."},
    )
    languages_per_batch: int | None = field(
        default=None, metadata={"help": "Languages in a global batch, for hierarchical batches."}
    )
    spread_speakers: bool = field(
        default=False, metadata={"help": "Draw the clips of an emotion from as many speakers as there are."}
    )
    length_window: int = field(
        default=8,
        metadata={"help": "How many batches ahead clips of similar length are looked for; 1 turns it off."},
    )

    standardize_clips: int = field(
        default=512,
        metadata={"help": "Training clips that a new connector measures its frames' scale on; 0 = not at all."},
    )

    adaptation_clips: int = field(
        default=4000,
        metadata={"help": "Training clips that a checkpoint measures on what adaptation will need; 0 = not at all."},
    )

    # Defaults of ours
    learning_rate: float = field(default=1e-5, metadata={"help": "Of AdamW."})  # [paper]
    weight_decay: float = field(default=1e-6, metadata={"help": "Of AdamW."})  # [paper]
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "The collator needs columns that the model never sees."}
    )
    dataloader_drop_last: bool = field(
        default=True, metadata={"help": "Pairs over devices need equally many clips on each."}
    )
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "Frozen parts have no gradient to look for."}
    )
    logging_nan_inf_filter: bool = field(
        default=False, metadata={"help": "A loss that is not a number is an error, not something to hide."}
    )
    metric_for_best_model: str | None = field(default="UA", metadata={"help": "What the best checkpoint is best in."})
    greater_is_better: bool | None = field(default=True, metadata={"help": "Of metric_for_best_model."})

    def __post_init__(self) -> None:
        if isinstance(self.objective, str):
            try:
                self.objective = json.loads(self.objective)
            except json.JSONDecodeError as error:
                raise TrainingArgumentsError(f"objective is not JSON: {error}") from error
        if self.objective is None:
            self.objective = [dict(term) for term in DEFAULT_OBJECTIVE]
        if getattr(self, "label_names", None) is None:
            self.label_names = ["emotion_id"]
        if self.length_window < 1:
            raise TrainingArgumentsError(f"length_window is {self.length_window}; 1 or more (1 turns it off).")
        super().__post_init__()

    @property
    def global_batch_size(self) -> int:
        """The clips that one optimiser step sees."""
        return self.train_batch_size * self.gradient_accumulation_steps * self.world_size

    def batch_shape(self, emotions: int) -> tuple[int, int]:
        """(emotions, clips of each) that make the global batch (of each language, where languages are drawn).

        Raises:
            TrainingArgumentsError: no such shape exists; the message says which batch sizes would do.
        """
        languages = self.languages_per_batch or 1
        clips, remainder = divmod(self.global_batch_size, languages)
        wanted = [self.emotions_per_batch] if self.emotions_per_batch else range(min(emotions, clips // 2), 1, -1)
        for count in wanted:
            if not remainder and clips % count == 0 and clips // count >= 2:
                return count, clips // count
        unit = (self.emotions_per_batch or 2) * languages
        raise TrainingArgumentsError(
            f"A global batch of {self.global_batch_size} clips ({self.train_batch_size} x {self.world_size} devices x "
            f"{self.gradient_accumulation_steps} accumulated steps) cannot hold "
            f"{self.emotions_per_batch or 'at least 2'} emotions with equally many clips, two or more"
            f"{f', in each of {languages} languages' if languages > 1 else ''}. Use a multiple of {unit}, "
            f"at least {2 * unit}."
        )
