"""Kill a training run at random steps, resume it each time, and compare its losses with those of an undisturbed run.

    python benchmarks/resume.py --kills 10 --output benchmarks/results/resume.json

The kill is SIGKILL: nothing is flushed, nothing is cleaned up. Equal means equal to the last digit.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from hf_mser.evaluation.files import write_json
from hf_mser.training.checkpoints import last_complete
from hf_mser.training.data import load_data
from hf_mser.training.recipe import load_recipe
from hf_mser.training.run import build_trainer, training_arguments
from hf_mser.training.run_folder import environment

RECIPE = Path(__file__).parents[1] / "training" / "recipes" / "debug.yaml"


class Report(TrainerCallback):
    """Says each step that was taken, so that the parent can choose its moment."""

    def __init__(self, steps: Any) -> None:
        self.steps = steps

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.steps.put(state.global_step)


def train(folder: Path, shared: Path, steps: int, report: Any) -> None:
    torch.set_num_threads(1)
    overrides = [
        f"model.speech={shared}/weights/whisper-base-encoder",
        f"model.text={shared}/weights/stories260K",
        f"data.root={shared}/corpora",
        f"output_dir={folder}/run",
        f"cache.folder={folder}/cache",
        "data.train.0.clips_per_emotion=8",
        "per_device_train_batch_size=6",
        "gradient_accumulation_steps=2",
        "emotions_per_batch=6",
        f"max_steps={steps}",
        "logging_steps=1",
        "save_strategy=steps",
        "save_steps=3",
        "eval_strategy=no",
        "load_best_model_at_end=false",
        "report_to=none",
        "disable_tqdm=true",
        "standardize_clips=12",
    ]
    recipe = load_recipe(RECIPE, overrides)
    args = training_arguments(recipe)
    trainer = build_trainer(recipe, args, load_data(recipe.data, recipe.model.labels, args.seed))
    trainer.add_callback(Report(report))
    trainer.train(resume_from_checkpoint=last_complete(folder / "run") is not None)
    losses = [entry for entry in trainer.state.log_history if "loss" in entry]
    (folder / "losses.json").write_text(json.dumps(losses), encoding="utf-8")


def run_until(folder: Path, shared: Path, steps: int, kill_at: int | None) -> int:
    """Train in a process of its own; kill it as soon as it reports a step. Returns the last step reported."""
    context = multiprocessing.get_context("fork")
    report = context.Queue()
    child = context.Process(target=train, args=(folder, shared, steps, report))
    child.start()
    step = 0
    while child.is_alive() or not report.empty():
        try:
            step = report.get(timeout=1.0)
        except Exception:
            continue
        if kill_at is not None and step >= kill_at and child.pid is not None:
            os.kill(child.pid, signal.SIGKILL)
            break
    child.join()
    if kill_at is None and child.exitcode != 0:
        raise SystemExit(f"The run itself failed with status {child.exitcode}.")
    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/resume.json"))
    parser.add_argument("--steps", type=int, default=36)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments = sorted(random.Random(options.seed).sample(range(1, options.steps), options.kills))
    with tempfile.TemporaryDirectory() as quiet, tempfile.TemporaryDirectory() as disturbed:
        run_until(Path(quiet), options.shared, options.steps, None)
        killed_at = []
        for moment in moments:
            killed_at.append(run_until(Path(disturbed), options.shared, options.steps, moment))
            resumes_from = last_complete(Path(disturbed) / "run")
            print(f"killed after step {killed_at[-1]}, resumes from {resumes_from and resumes_from.name}", flush=True)
        run_until(Path(disturbed), options.shared, options.steps, None)
        expected, found = (json.loads((Path(f) / "losses.json").read_text()) for f in (quiet, disturbed))
    keys = sorted({key for entry in expected for key in entry})
    different = [
        {"step": a["step"], "key": key, "undisturbed": a.get(key), "resumed": b.get(key)}
        for a, b in zip(expected, found, strict=True)
        for key in keys
        if a.get(key) != b.get(key)
    ]
    result = {
        "steps": options.steps,
        "killed_after": killed_at,
        "identical": not different,
        "different": different[:20],
        "compared": keys,
        "losses": [entry["loss"] for entry in found],
        "environment": environment(),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.output, result)
    print(f"identical: {not different} ({len(expected)} steps, {len(keys)} values each)")


if __name__ == "__main__":
    main()
