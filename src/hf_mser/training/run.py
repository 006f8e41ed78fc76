"""From a recipe to a trained model: load, say what it will cost, train, evaluate, write it all down."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .adapters import add_lora, has_adapters, merge_lora, what_learns
from .answers import answer_clips, measures_of, parts_of
from .arguments import MSERTrainingArguments
from .calibration import calibrate
from .collator import EmotionCollator
from .data import Clips, RecipeData, load_data
from .estimate import Estimate, estimate
from .feature_keys import encoder_key
from .features import FrozenFeatureCache
from .first_hearing import adopt_readings, hear_first
from .preflight import REPORT_TO, missing_packages
from .recipe import ModelSection, Recipe, RecipeError
from .run_folder import RunFolder, cost
from .trainer import MSERTrainer

MOST_EMBEDDINGS = 1500


def train_recipe(recipe: Recipe, *, dry_run: bool = False) -> dict[str, Any]:
    """Follow a recipe; returns the results that also stand in its run folder.

    Example:
        >>> from hf_mser.training.recipe import load_recipe
        >>> train_recipe(load_recipe("training/recipes/debug.yaml"))["sets"]["test/crema_d"]["UA"]  # doctest: +SKIP
        0.41
    """
    began = time.monotonic()
    missing = missing_packages(recipe)
    if missing and not dry_run:
        raise RecipeError(f"{recipe.name} cannot start here: {'; '.join(missing)}.")
    args = training_arguments(recipe, dry_run=dry_run)
    labels = _labels(recipe.model)
    data = load_data(recipe.data, labels, args.seed)
    args.batch_shape(len(set(data.train["emotion"])))  # an impossible batch is said before anything is loaded
    expected = estimate(recipe, args, data)
    if args.process_index == 0:
        print("\n".join(plan(recipe, data, expected, missing)), file=sys.stdout if dry_run else sys.stderr)
    if dry_run:
        return {}

    folder = RunFolder(recipe.output_dir)
    if args.process_index == 0:
        folder.write_start(recipe, data)
    trainer = build_trainer(recipe, args, data)
    shown = Clips((data.validation.rows or data.train.rows)[:MOST_EMBEDDINGS])
    if not recipe.resume:
        hear_first(trainer)
        _plot_embeddings(trainer, folder, shown, "before")
    trainer.train(resume_from_checkpoint=recipe.resume)
    _plot_embeddings(trainer, folder, shown, "after")
    calibrate(trainer, data.validation)
    results = {"name": recipe.name, "seed": args.seed, "steps": trainer.state.global_step}
    sets = {"validation": data.validation, **{f"test/{name}": clips for name, clips in data.test.items()}}
    lines = {name: answer_clips(trainer, clips, name) for name, clips in sets.items() if len(clips)}
    results["sets"] = {name: measures_of(answers) | parts_of(answers) for name, answers in lines.items()}
    save_final(trainer, recipe)
    results["cost"] = cost(time.monotonic() - began, resumed=recipe.resume)
    if args.process_index == 0:
        folder.write_answers([line for answers in lines.values() for line in answers])
        folder.write_metrics(trainer.state.log_history, results)
        folder.plot_losses(trainer.state.log_history)
        folder.write_card()
    if args.push_to_hub:
        trainer.push_to_hub()  # last, so that the card and the figures go along
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return results


def training_arguments(recipe: Recipe, *, dry_run: bool = False) -> MSERTrainingArguments:
    """The recipe's section `training` as arguments for the Trainer; a dry run needs no GPU that the recipe wants."""
    defaults: dict[str, Any] = {"report_to": REPORT_TO, "logging_steps": 10, "bf16": False}
    if recipe.data.validation:
        defaults |= {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    settings = {**defaults, **recipe.training}
    if dry_run and not torch.accelerator.is_available():
        settings["use_cpu"] = True
    try:
        return MSERTrainingArguments(output_dir=recipe.output_dir, objective=recipe.objective, **settings)
    except (ValueError, TypeError) as error:
        raise RecipeError(f"training: {error}") from error


def plan(recipe: Recipe, data: RecipeData, expected: Estimate | None, missing: Sequence[str] = ()) -> list[str]:
    """What is about to happen, in a few lines."""
    tests = ", ".join(f"{name} {len(clips)}" for name, clips in data.test.items()) or "none"
    lines = [
        f"{recipe.name} -> {recipe.output_dir}",
        f"data         train {len(data.train)} clips ({data.train.seconds() / 3600:.2f} h), validation "
        f"{len(data.validation)}, test: {tests}",
        *[f"left out     {count} clips of {reason}" for reason, count in data.left_out.items()],
        *[f"missing      {line}" for line in missing],
        "objective    " + " + ".join(f"{term.get('weight', 1.0):g} {term['name']}" for term in recipe.objective),
    ]
    if expected is None:
        return [*lines, "estimate     none: the backbones' configs cannot be read here"]
    return [*lines, *expected.lines()]


def build_model(section: ModelSection) -> tuple[Any, Any]:
    """The model and the processor that a recipe names."""
    from ..modeling_mser import MSERForEmotionGeneration
    from ..processing_mser import MSERProcessor

    options: dict[str, Any] = {"dtype": "auto" if section.dtype == "auto" else getattr(torch, section.dtype)}
    if section.attention is not None:
        options["attn_implementation"] = section.attention
    if section.kind == "classification":
        return _build_classifier(section, options)
    if section.quantization is not None:
        options["quantization_config"] = _quantization(section.quantization)
    if section.checkpoint is not None:
        model = MSERForEmotionGeneration.from_pretrained(section.checkpoint, **options)
        return model, MSERProcessor.from_pretrained(section.checkpoint)
    model = MSERForEmotionGeneration.from_backbones(
        speech=str(section.speech),  # a checked section without a checkpoint names both
        text=str(section.text),
        qformer=section.qformer,
        connector=section.connector,
        qformer_config=section.qformer_config or None,
        labels=section.labels,
        revisions=section.revisions or None,
        **options,
        **section.settings,
    )
    return model, MSERProcessor.from_backbones(model.config)


def _build_classifier(section: ModelSection, options: dict[str, Any]) -> tuple[Any, Any]:
    from ..modeling_classification import MSERForEmotionClassification
    from ..processing_classification import MSERSpeechProcessor

    if section.checkpoint is not None:
        model = MSERForEmotionClassification.from_pretrained(section.checkpoint, **options)
        return model, MSERSpeechProcessor.from_pretrained(section.checkpoint)
    model = MSERForEmotionClassification.from_backbones(
        speech=str(section.speech),
        connector=section.connector,
        labels=section.labels,
        revision=section.revisions.get("speech"),
        qformer_config=section.qformer_config or None,
        **options,
        **section.settings,
    )
    return model, MSERSpeechProcessor.from_backbones(model.config)


def build_trainer(recipe: Recipe, args: MSERTrainingArguments, data: RecipeData) -> MSERTrainer:
    """Everything put together, ready to train."""
    torch.manual_seed(args.seed)  # the connector's first weights belong to the run, too
    model, processor = build_model(recipe.model)
    adapted = add_lora(model, recipe.lora) > 0
    cache = None
    learns = adapted and recipe.lora.speech is not None
    sharded = os.environ.get("ACCELERATE_USE_FSDP") == "true" or os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true"
    if recipe.cache.folder is not None and not learns and not sharded:
        precision = "bf16" if args.bf16 else "fp16" if args.fp16 else "full"
        cache = FrozenFeatureCache(
            recipe.cache.folder,
            f"{encoder_key(model, processor)}-{precision}",
            max_bytes=int(recipe.cache.max_gigabytes * 1024**3),
        )
    collator = EmotionCollator(
        processor,
        model.config.labels,
        cache=cache,
        augmentation=recipe.data.augmentation,
        seed=args.seed,
    )
    return MSERTrainer(
        model,
        args,
        train_dataset=data.train,
        eval_dataset=data.validation if len(data.validation) else None,
        processing_class=processor,
        data_collator=collator,
        feature_cache=cache,
    )


def save_final(trainer: MSERTrainer, recipe: Recipe) -> None:
    """The trained model in the run folder: a plain checkpoint, adapters folded in."""
    if has_adapters(trainer.model):
        if recipe.model.quantization is not None:
            # A few bits would round the adapters away: they are folded into the backbones' own weights.
            learned, config = what_learns(trainer.model), trainer.model.config
            trainer.model, _ = build_model(replace(recipe.model, quantization=None))
            adopt_readings(trainer.model, config.to_dict())
            trainer.model.config.temperature = config.temperature
            add_lora(trainer.model, recipe.lora)
            trainer.model.load_state_dict(learned, strict=False)
        merge_lora(trainer.model)
    trainer.save_model(recipe.output_dir)


def embed_clips(trainer: MSERTrainer, clips: Sequence[Any]) -> np.ndarray:
    """The emotion embeddings of clips."""
    embeddings = []
    trainer.model.eval()
    for batch in trainer.get_test_dataloader(clips):
        with torch.no_grad():
            fields = trainer._embed(trainer.model, trainer._prepare_inputs(batch))
        embeddings.append(fields["speech_embeds"].float().cpu().numpy())
    return np.concatenate(embeddings)[: len(clips)]


def _plot_embeddings(trainer: MSERTrainer, folder: RunFolder, clips: Clips, name: str) -> None:
    if trainer.args.world_size > 1 or len(clips) < 5:
        return
    folder.plot_embeddings(embed_clips(trainer, clips), clips, name)


def _labels(section: ModelSection) -> list[str]:
    """The model's emotion words, without loading it."""
    from ..configuration_classification import MSERClassificationConfig
    from ..configuration_mser import MSERConfig
    from ..emotions import EMOTIONS

    if section.checkpoint is not None:
        if not (Path(section.checkpoint) / "config.json").exists() and Path(section.checkpoint).is_absolute():
            raise RecipeError(f"model.checkpoint: there is no checkpoint {section.checkpoint}. Train that stage first.")
        kind = MSERClassificationConfig if section.kind == "classification" else MSERConfig
        return kind.from_pretrained(section.checkpoint).labels
    return list(section.labels or EMOTIONS)


def _quantization(bits: str) -> Any:
    from transformers import BitsAndBytesConfig

    skipped = ["connector", "speech_encoder", "lm_head"]
    if bits == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=skipped,
    )
