"""`MSERTrainer`: Transformers' Trainer, whose batches can teach a contrast and whose frozen half is computed once.

What differs from `Trainer`, and nothing else does: batches come from `EmotionBatchSampler`; the loss is an objective
over the whole optimiser step (all devices, all accumulated batches); frozen frames come from a cache; evaluation
scores the emotion words; checkpoints hold what learns, and a failure leaves the last one intact.
"""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..batching import batches
from ..objectives import Objective, build
from .adapters import counted_as_adapter
from .arguments import MSERTrainingArguments, TrainingArgumentsError
from .balance import balanced_sampler, class_names, identities
from .callbacks import RunStart
from .checkpoints import NonFiniteLossError, TrainingDataError
from .collator import EmotionCollator
from .features import FrozenFeatureCache
from .frames import SPEECH_INPUTS, complete_frames
from .gather import average_gradients
from .metrics import emotion_metrics
from .steps import StepLoss
from .trainer_checkpoints import TrainerCheckpoints


class MSERTrainer(TrainerCheckpoints):
    """Train the connector of an MSER model; every idiom of `Trainer` works as usual.

    Args:
        model: the model, or `None` with `model_init`.
        args: the training arguments.
        objective: what is minimised, instead of `args.objective`.
        feature_cache: where the frozen encoder's frames are kept between epochs and runs.
        data_collator: by default an `EmotionCollator` for `processing_class`.
        compute_metrics: by default WA, UA, WF1, precision and macro-F1 of the scored words.
        options: everything else that `Trainer` takes.

    Example:
        >>> trainer = MSERTrainer(model, args, train_dataset=train, eval_dataset=test,
        ...                       processing_class=processor)  # doctest: +SKIP
        >>> trainer.train()  # doctest: +SKIP
    """

    loss_is_scaled_for_ga = True  # an objective sees the whole step
    args: MSERTrainingArguments

    def __init__(
        self,
        model: Any = None,
        args: MSERTrainingArguments | None = None,
        *,
        objective: Objective | None = None,
        feature_cache: FrozenFeatureCache | None = None,
        data_collator: Callable[..., Any] | None = None,
        compute_metrics: Callable[[Any], dict[str, float]] | None = None,
        **options: Any,
    ) -> None:
        args = args if args is not None else MSERTrainingArguments(output_dir="runs/unnamed")
        if args.n_gpu > 1:
            raise TrainingArgumentsError(
                f"{args.n_gpu} GPUs in one process would hide clips from one another. Start one process for each: "
                "torchrun --nproc-per-node=gpu training/train.py RECIPE, or accelerate launch."
            )
        # Not `self.objective`: there a hyper-parameter search of Trainer's keeps what it compares.
        self._objective_from_arguments = objective is None
        self.criterion = objective if objective is not None else build(args.objective)
        self.feature_cache = feature_cache
        self._step_batches: list[dict[str, Any]] = []
        self._prepared: dict[int, dict[str, Any]] = {}
        self._step: StepLoss | None = None
        self._position = 0
        self._parts: dict[str, list[Tensor]] = {}
        self._parts_logged_at = 0
        with counted_as_adapter(model):
            super().__init__(
                model=model,
                args=args,
                data_collator=data_collator,
                compute_metrics=compute_metrics if compute_metrics is not None else emotion_metrics,
                **options,
            )
        if data_collator is None:
            self.data_collator = self._default_collator()
        self._number_identities()
        if feature_cache is not None and not self.encodes_ahead():
            raise TrainingArgumentsError(
                "A feature cache needs a frozen encoder that no engine has sharded. Leave the cache out with FSDP, "
                "DeepSpeed, or an encoder that learns."
            )
        if (self.is_fsdp_enabled or self.is_deepspeed_enabled) and any(True for _ in self.criterion.parameters()):
            raise TrainingArgumentsError(
                "FSDP and DeepSpeed train the weights of the model alone, and this objective has weights of its own. "
                "Start with torchrun, without an accelerate config, or leave that objective out."
            )
        self.criterion.to(self.args.device)
        self.add_callback(RunStart(self))

    # Data

    def _number_identities(self) -> None:
        """Number the speakers, languages ... that the objective reads, and make its heads for as many."""
        wanted = {name for _, term in self.criterion.terms() for name in term.ids}
        if not wanted or self.train_dataset is None:
            return
        ids = {name: identities(self.train_dataset, name) for name in sorted(wanted)}
        if hasattr(self.data_collator, "ids"):
            self.data_collator.ids = ids | self.data_collator.ids
            ids |= {name: self.data_collator.ids[name] for name in ids}
        for _, term in self.criterion.terms():
            counts = {name: len(ids[name]) for name in term.ids}
            term.make_heads(counts, self.model.speech_embedding_size)

    def _default_collator(self) -> EmotionCollator:
        if self.processing_class is None:
            raise TrainingArgumentsError("Give processing_class the model's MSERProcessor, or give a data_collator.")
        return EmotionCollator(
            self.processing_class,
            self.model.config.labels,
            emotions=class_names(self.train_dataset if self.train_dataset is not None else self.eval_dataset),
            cache=self.feature_cache,
            seed=self.args.seed,
        )

    def get_train_dataloader(self) -> DataLoader:
        dataset = self.train_dataset
        if not self.args.balanced_batches or not hasattr(dataset, "__len__"):
            return super().get_train_dataloader()
        self._sampler = balanced_sampler(dataset, self.args, self._train_batch_size)
        workers = self.args.dataloader_num_workers
        loader = self.accelerator.prepare(
            DataLoader(
                dataset,
                batch_sampler=self._sampler,
                collate_fn=self.data_collator,
                num_workers=workers,
                pin_memory=self.args.dataloader_pin_memory,
                # A lasting worker would keep the first epoch's augmentation.
                persistent_workers=self.args.dataloader_persistent_workers
                and getattr(self.data_collator, "augmentation", None) is None,
                prefetch_factor=self.args.dataloader_prefetch_factor if workers else None,
            )
        )
        # With several processes accelerate wraps the sampler; a resumed epoch would not reach through both wraps.
        loader.batch_sampler.set_epoch = self._sampler.set_epoch
        return loader

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        with self._for_evaluation():
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader:
        with self._for_evaluation():
            return super().get_test_dataloader(test_dataset)

    @contextlib.contextmanager
    def _for_evaluation(self) -> Any:
        """No augmentation, and every clip: only training may drop an incomplete batch."""
        collator, drop_last = self.data_collator, self.args.dataloader_drop_last
        self.data_collator = getattr(collator, "for_evaluation", lambda: collator)()
        self.args.dataloader_drop_last = False
        try:
            yield
        finally:
            self.data_collator, self.args.dataloader_drop_last = collator, drop_last

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list, None]:
        """All batches of an optimiser step: the objective will see them together."""
        try:
            samples, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        except Exception as error:  # whatever a data set or a worker process throws
            raise TrainingDataError(
                f"Training stopped after step {self.state.global_step}: a batch cannot be made. {error} "
                f"{self._how_to_resume()}"
            ) from error
        self._step_batches, self._prepared, self._step, self._position = samples, {}, None, 0
        return samples, None

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """On the device, with frozen frames in place of sound; done once for each batch of a step."""
        if id(inputs) in self._prepared:
            return self._prepared[id(inputs)]
        prepared = super()._prepare_inputs(inputs)
        if self.encodes_ahead() and "input_features" in prepared:
            with self.compute_loss_context_manager(), self.accelerator.autocast():
                prepared = complete_frames(self.model, prepared, self.feature_cache)
        if any(inputs is batch for batch in self._step_batches):
            self._prepared[id(inputs)] = prepared
        return prepared

    def encodes_ahead(self) -> bool:
        """Frozen frames can be made outside of the model's forward unless an engine has sharded the encoder."""
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        return not sharded and getattr(self.model, "frames_are_frozen", False)

    def frozen_frames(self, rows: Iterable[Any]) -> Iterator[tuple[list[Any], Tensor, Tensor, Tensor]]:
        """Batches of rows, as for evaluation, with their frames, mask and class ids."""
        with self._for_evaluation():
            collate = self.data_collator
        for own in batches(rows, self.args.eval_batch_size):
            prepared = self._prepare_inputs(collate(own))
            frames, mask = prepared["speech_frames"], prepared["speech_frames_mask"]
            if hasattr(self.model, "adapt_frames"):
                frames = self.model.adapt_frames(frames, mask)
            yield own, frames, mask, prepared["emotion_id"]

    # The loss

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        self.criterion.train(model.training)  # it may have dropout of its own
        if not model.training:
            outputs = model(**self._model_inputs(inputs))
            loss, _ = self.criterion(outputs, inputs)
            return (loss, outputs) if return_outputs else loss
        if self._step is None:
            batches = [self._prepare_inputs(batch) for batch in self._step_batches] or [inputs]
            self._step = StepLoss(self.criterion, batches, lambda batch: self._embed(model, batch))
        self._step.restore_random_state(self._position)
        outputs = model(**self._model_inputs(inputs))
        loss, parts = self._step.loss_of(self._position, outputs)
        self._position += 1
        for name, part in parts.items():
            self._parts.setdefault(name, []).append(part.detach())
        return (loss, outputs) if return_outputs else loss

    def _embed(self, model: nn.Module, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The fields that pairwise objectives read, by the shortest way that this model offers."""
        short = getattr(self.model, "connect_speech", None)
        if short is None or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return model(**self._model_inputs(batch))
        with self.accelerator.autocast():
            fields = vars(short(**{name: batch[name] for name in SPEECH_INPUTS if name in batch}))
        if all(name in fields for _, term in self.criterion.terms() for name in term.reads):
            return fields
        return model(**self._model_inputs(batch))

    def _model_inputs(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        accepted = inspect.signature(self.model.forward).parameters
        return {name: value for name, value in batch.items() if name in accepted}

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise self._not_finite(f"the loss is {loss.item()}")
        if self._position == len(self._step_batches):
            average_gradients(self.criterion, self.args.world_size)
            self._step_batches, self._prepared, self._step = [], {}, None  # a whole step's frames are large
        return loss

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        return super()._clip_grad_norm(self._with_objective(model))

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(self._with_objective(model), grad_norm=grad_norm)
        value = norm.item() if isinstance(norm, Tensor) else norm
        # With fp16 the scaler skips such a step by itself.
        if value is not None and not math.isfinite(value) and self.accelerator.scaler is None:
            raise self._not_finite(f"the norm of the gradient is {value}")
        return norm

    def _with_objective(self, model: nn.Module) -> nn.Module:
        """All that learns: what the objective learns belongs to the same norm as the model."""
        return nn.ModuleList([model, self.criterion])

    def _not_finite(self, what: str) -> NonFiniteLossError:
        parts = {name: values[-1].item() for name, values in self._parts.items()}
        shown = ", ".join(f"{name} {value:.4g}" for name, value in parts.items())
        return NonFiniteLossError(
            f"Training stopped at step {self.state.global_step + 1}, before the weights changed: {what} ({shown}). "
            "Lower learning_rate, use bf16 instead of fp16, or set max_grad_norm; if one part alone is not a number, "
            f"look at its clips. {self._how_to_resume()}"
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As usual, with the parts of the loss since the last time, averaged over steps and devices."""
        if "loss" in logs and self._parts:
            steps = max(self.state.global_step - self._parts_logged_at, 1)
            sums = torch.stack([torch.nansum(torch.stack(values)) for values in self._parts.values()]).float()
            means = self.accelerator.reduce(sums, reduction="mean") / steps
            logs |= dict(zip(self._parts, means.tolist(), strict=True))
            self._parts, self._parts_logged_at = {}, self.state.global_step
        super().log(logs, start_time)

    # Evaluation

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The loss, a score for each emotion word, and the class ids."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, outputs = self.compute_loss(model, inputs, return_outputs=True)
            if prediction_loss_only:
                return loss.detach(), None, None
            scores = self._scores(outputs)
        return loss.detach().float(), scores.float(), inputs["emotion_id"]

    def _scores(self, outputs: Any) -> Tensor:
        if not hasattr(self.model, "score_emotions"):
            return outputs.logits
        with self.accelerator.autocast():
            return self.model.score_emotions(
                speech_tokens=outputs.speech_tokens, speech_readings=outputs.speech_readings
            )

    # Optimisation

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        optimizer = super().create_optimizer(model)
        weights = [weight for weight in self.criterion.parameters() if weight.requires_grad]
        known = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        if weights and id(weights[0]) not in known:
            optimizer.add_param_group({"params": weights})
        return optimizer

    def _hp_search_setup(self, trial: Any) -> None:
        """A search may vary the objective like any other argument."""
        super()._hp_search_setup(trial)
        if trial is not None and self._objective_from_arguments:
            self.criterion = build(self.args.objective)
            self._number_identities()
            self.criterion.to(self.args.device)
