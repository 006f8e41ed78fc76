"""Steps per second and peak memory of training, by what is trained and what is computed again.

    python benchmarks/training.py --shared ../shared --output benchmarks/results/training.json

Four ways to take the same optimiser steps on the same real clips with the same backbones:

- cached: the connector learns, frozen frames come from the feature cache (filled before the clock starts)
- uncached: the same, the encoder runs at every step
- full: encoder and LLM learn, too
- plain: the same parts put together with plain Transformers: 30 s of padding, logits of every position

Each runs in a process of its own. Seconds of the processor are reported beside those of the clock: on a machine with
other work they are the ones that can be compared.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from hf_mser.evaluation.files import write_json
from hf_mser.training.data import load_data
from hf_mser.training.recipe import load_recipe
from hf_mser.training.run import build_model, build_trainer, training_arguments
from hf_mser.training.run_folder import environment

RECIPE = Path(__file__).parents[1] / "training" / "recipes" / "debug.yaml"
WAYS = ("cached", "uncached", "full", "plain")


class Clock(TrainerCallback):
    """Times of the clock and of the processor at the end of each step."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.wall.append(time.perf_counter())
        self.cpu.append(time.process_time())


def recipe_for(shared: Path, folder: Path, steps: int, batch: int, cached: bool) -> Any:
    overrides = [
        f"model.speech={shared}/weights/whisper-base-encoder",
        f"model.text={shared}/weights/stories260K",
        f"data.root={shared}/corpora",
        f"output_dir={folder}/run",
        f"cache.folder={folder}/cache" if cached else "cache.folder=null",
        f"per_device_train_batch_size={batch}",
        f"max_steps={steps}",
        f"data.train.0.clips_per_emotion={batch}",
        "save_strategy=no",
        "eval_strategy=no",
        "load_best_model_at_end=false",
        "report_to=none",
        "disable_tqdm=true",
        "standardize_clips=0",
    ]
    return load_recipe(RECIPE, overrides)


def train_ours(way: str, shared: Path, folder: Path, steps: int, batch: int) -> Clock:
    recipe = recipe_for(shared, folder, steps, batch, cached=way == "cached")
    if way == "full":
        recipe.model.settings |= {"freeze_speech": False, "freeze_text": False}
    args = training_arguments(recipe)
    data = load_data(recipe.data, recipe.model.labels, args.seed)
    trainer = build_trainer(recipe, args, data)
    if way == "cached":
        for start in range(0, len(data.train), batch):  # fill the cache
            trainer._prepare_inputs(trainer.data_collator([data.train[i] for i in range(start, start + batch)]))
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    return clock


def train_plain(shared: Path, folder: Path, steps: int, batch: int) -> Clock:
    """What one would write with Transformers alone: no true lengths, no cache, all logits."""
    from transformers import AutoModelForCausalLM, Blip2QFormerConfig, Blip2QFormerModel, WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    from hf_mser.audio import load_audio

    recipe = recipe_for(shared, folder, steps, batch, cached=False)
    args = training_arguments(recipe)
    data = load_data(recipe.data, recipe.model.labels, args.seed)
    model, processor = build_model(recipe.model)
    encoder = WhisperEncoder(WhisperConfig.from_pretrained(recipe.model.speech)).eval().requires_grad_(False)
    llm = AutoModelForCausalLM.from_pretrained(recipe.model.text, dtype=torch.float32).eval().requires_grad_(False)
    sizes = recipe.model.qformer_config
    qformer = Blip2QFormerModel(
        Blip2QFormerConfig(
            hidden_size=sizes["hidden_size"],
            num_hidden_layers=sizes["num_hidden_layers"],
            num_attention_heads=sizes["num_attention_heads"],
            intermediate_size=sizes["intermediate_size"],
            encoder_hidden_size=encoder.config.d_model,
        )
    )
    queries = torch.nn.Parameter(
        0.02 * torch.randn(1, model.config.qformer_config.num_speech_tokens, qformer.config.hidden_size)
    )
    project = torch.nn.Linear(qformer.config.hidden_size, llm.config.hidden_size)
    learns = [queries, *qformer.parameters(), *project.parameters()]
    optimizer = torch.optim.AdamW(learns, lr=args.learning_rate)
    processor.pad_to_30s = True
    clock = Clock()
    for step in range(steps):
        rows = [data.train[(step * batch + i) % len(data.train)] for i in range(batch)]
        features, _ = processor.extract_features([load_audio(row["audio"]) for row in rows])
        prompts = processor.tokenize_prompt(batch, answers=[row["emotion"] for row in rows])
        with torch.no_grad():
            frames = encoder(features).last_hidden_state
        heard = project(qformer(query_embeds=queries.expand(batch, -1, -1), encoder_hidden_states=frames)[0])
        placeholder = prompts["input_ids"] == processor.audio_token_id
        embeds = llm.get_input_embeddings()(prompts["input_ids"].masked_fill(placeholder, 0))
        embeds = embeds.masked_scatter(placeholder[..., None].expand_as(embeds), heard)
        output = llm(inputs_embeds=embeds, attention_mask=prompts["attention_mask"], labels=prompts["labels"])
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        clock.on_step_end()
    return clock


def measure(way: str, shared: Path, steps: int, batch: int, answer: Any) -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with tempfile.TemporaryDirectory() as folder:
        if way == "plain":
            clock = train_plain(shared, Path(folder), steps, batch)
        else:
            clock = train_ours(way, shared, Path(folder), steps, batch)
    warm = max(1, steps // 5)
    answer.put(
        {
            "way": way,
            "steps_per_second": (steps - 1 - warm) / (clock.wall[-1] - clock.wall[warm]),
            "steps_per_cpu_second": (steps - 1 - warm) / (clock.cpu[-1] - clock.cpu[warm]),
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/training.json"))
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=12)
    options = parser.parse_args()
    context = multiprocessing.get_context("fork")
    rows = []
    for way in WAYS:
        answer = context.Queue()
        child = context.Process(target=measure, args=(way, options.shared, options.steps, options.batch, answer))
        child.start()
        child.join()
        if child.exitcode != 0:
            raise SystemExit(f"{way} failed with status {child.exitcode}")
        rows.append(answer.get())
        print(json.dumps(rows[-1]))
    by_way = {row["way"]: row for row in rows}
    faster = {
        f"cached_over_{other}": by_way["cached"]["steps_per_cpu_second"] / by_way[other]["steps_per_cpu_second"]
        for other in WAYS[1:]
    }
    result = {"steps": options.steps, "batch": options.batch, "ways": rows, **faster, "environment": environment()}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.output, result)
    print(json.dumps(faster))


if __name__ == "__main__":
    main()
