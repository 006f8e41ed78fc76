"""Steps per second and peak memory of training, by what is trained and what is computed again.

    python benchmarks/training.py --shared ../shared --output benchmarks/results/training.json

whisper-base with all its layers, a LLaMA of 0.26 M, one thread. Four ways to take the same optimiser steps on the same
real clips with the same backbones:

- cached: the connector learns, frozen frames come from the feature cache (filled before the clock starts)
- uncached: the same, the encoder runs at every step
- full: encoder and LLM learn, too
- plain: the same parts put together with plain Transformers: 30 s of padding, logits of every position

Each runs in a process of its own, whose peak of memory is its alone. The ways take turns, round after round, and steps
are counted per second of the processor: on a machine with other work the clock on the wall compares nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from side_by_side import compare
from transformers import TrainerCallback

from hf_mser.evaluation.files import write_json, write_text
from hf_mser.training.data import load_data
from hf_mser.training.recipe import load_recipe
from hf_mser.training.run import build_model, build_trainer, training_arguments
from hf_mser.training.run_folder import environment

RECIPE = Path(__file__).parents[1] / "training" / "recipes" / "debug.yaml"
STEPS = {"cached": 14, "uncached": 6, "full": 4, "plain": 4}
"""Steps of each way in a round; the first two of them warm up and are not counted."""

WARM_UP = 2
TITLES = {
    "cached": "connector alone, frames from the cache",
    "uncached": "connector alone, encoder at every step",
    "full": "encoder, connector and LLM learn",
    "plain": "the same parts in plain Transformers, 30 s of padding, connector alone",
}
TARGET = 5.0


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
        "model.settings.speech_layers=mix",
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


def measure(way: str, shared: Path, folder: Path, batch: int, answer: Any) -> None:
    torch.set_num_threads(1)
    before = peak_memory()
    if way == "plain":
        clock = train_plain(shared, folder, STEPS[way], batch)
    else:
        clock = train_ours(way, shared, folder, STEPS[way], batch)
    counted = STEPS[way] - WARM_UP
    answer.put(
        {
            "cpu_seconds_per_step": (clock.cpu[-1] - clock.cpu[WARM_UP - 1]) / counted,
            "wall_seconds_per_step": (clock.wall[-1] - clock.wall[WARM_UP - 1]) / counted,
            "peak_memory_mib": peak_memory(),
            "memory_at_start_mib": before,
        }
    )


def peak_memory() -> float:
    """MiB that this process held at most: its own figure, which a fork does not inherit."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("This system does not say how much memory a process held.")


def in_its_own_process(way: str, shared: Path, folder: Path, batch: int) -> dict[str, float]:
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    child = context.Process(target=measure, args=(way, shared, folder, batch, answer))
    child.start()
    child.join()
    if child.exitcode != 0:
        raise SystemExit(f"{way} failed with status {child.exitcode}")
    return answer.get()


def summarise(rounds: list[dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    rows = []
    for way in STEPS:
        seconds = [entry[way]["cpu_seconds_per_step"] for entry in rounds]
        rows.append(
            {
                "way": way,
                "steps_per_cpu_second": 1 / statistics.median(seconds),
                "peak_memory_mib": statistics.median(entry[way]["peak_memory_mib"] for entry in rounds),
                "memory_at_start_mib": statistics.median(entry[way]["memory_at_start_mib"] for entry in rounds),
                "cached_is_faster_by": compare([entry["cached"]["cpu_seconds_per_step"] for entry in rounds], seconds),
            }
        )
    return rows


def table(rows: list[dict[str, Any]], batch: int, rounds: int) -> str:
    lines = ["| what learns | steps per CPU second | cached is faster by | peak memory, MiB |", "|---|---:|---:|---:|"]
    for row in rows:
        ratio = row["cached_is_faster_by"]
        span = f"{ratio['ratio']:.1f}"
        if rounds > 1:
            span += f" ({ratio['ratio_low']:.1f} to {ratio['ratio_high']:.1f})"
        goal = f", target {TARGET:g}" if row["way"] == "uncached" else ""
        shown = "" if row["way"] == "cached" else span + goal
        lines.append(
            f"| {TITLES[row['way']]} | {row['steps_per_cpu_second']:.2f} | {shown} | {row['peak_memory_mib']:.0f} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"whisper-base, all layers, on CREMA-D; LLaMA of 0.26 M; batches of {batch}, one thread, float32. "
            + (f"Medians and quartiles of {rounds} rounds in turns. " if rounds > 1 else "A single round. ")
            + f"Memory: {rows[0]['memory_at_start_mib']:.0f} MiB are Python and its libraries; that of the cached way "
            "includes the filling of the cache and its mapped files.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/training.json"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=12)
    options = parser.parse_args()
    rounds: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(options.rounds):
            names = list(STEPS)
            first = turn % len(names)
            rounds.append({})
            for way in names[first:] + names[:first]:
                rounds[-1][way] = in_its_own_process(way, options.shared, Path(folder), options.batch)
                print(json.dumps({"round": turn, "way": way, **rounds[-1][way]}), flush=True)
            write(rounds, options.batch, options.output)


def write(rounds: list[dict[str, dict[str, float]]], batch: int, output: Path) -> None:
    """After every round, so that an interrupted command leaves what it has."""
    rows = summarise(rounds)
    write_json(output, {"batch": batch, "steps": STEPS, "rounds": rounds, "ways": rows, "environment": environment()})
    write_text(output.with_suffix(".md"), table(rows, batch, len(rounds)) + "\n")


if __name__ == "__main__":
    main()
