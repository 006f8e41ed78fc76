"""Make mser-tiny from prepared corpora: distil the encoder, teach the decoder, train the connector, calibrate, save.

    python training/make_mser_tiny.py training/recipes/mser-tiny.yaml --corpora ../shared/corpora \\
        --teacher openai/whisper-base --work runs/mser-tiny --output runs/mser-tiny/checkpoint

Every stage leaves its result in the work folder; the same command goes on from there after an interruption.
`training_log.jsonl` in the work folder holds the recipe, the data's fingerprint and every loss.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from hf_mser import MSERForEmotionGeneration
from hf_mser.backbones import fingerprint
from hf_mser.emotions import EMOTIONS
from hf_mser.training.tiny.assembly import assemble, save
from hf_mser.training.tiny.calibration import (
    answers_of_held_out_corpora,
    calibration_figures,
    calibration_of,
    clouds_of,
)
from hf_mser.training.tiny.clips import Spectra, prepare_spectra, read_clips
from hf_mser.training.tiny.connecting import train_connector
from hf_mser.training.tiny.distillation import distil, new_student
from hf_mser.training.tiny.hearing import hear
from hf_mser.training.tiny.recipe import TinyRecipe
from hf_mser.training.tiny.teacher import Teacher
from hf_mser.training.tiny.words import new_tokenizer, teach_decoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--corpora", type=Path, required=True, help="folder that holds the prepared corpora")
    parser.add_argument("--teacher", default="openai/whisper-base", help="id or folder of a Whisper checkpoint")
    parser.add_argument(
        "--student", type=Path, help="a checkpoint that this command made: take its encoder, and distil none"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for what the stages leave behind")
    parser.add_argument("--output", type=Path, required=True, help="folder of the checkpoint")
    arguments = parser.parse_args()
    recipe = TinyRecipe.from_yaml(arguments.recipe)
    work: Path = arguments.work
    log = _Log(work)

    prepare_spectra([arguments.corpora / name for name in recipe.corpora], work)
    spectra, clips = Spectra(work), read_clips(work)
    log("start", {"recipe": recipe.as_dict(), "clips": len(clips), "data_sha256": _fingerprint(work)})
    if arguments.student:
        weights = MSERForEmotionGeneration.from_pretrained(arguments.student).speech_encoder.state_dict()
        log("encoder", {"of_checkpoint": fingerprint(weights)})
    else:
        teacher = Teacher(arguments.teacher, recipe.encoder.student_layers)
        encoder = (recipe.encoder, recipe.window_seconds, work, spectra, teacher, recipe.seed)
        weights = distil(*encoder, log.stage("encoder"))
    tokenizer, decoder = _decoder(recipe, work, log)

    student = new_student(recipe.encoder, recipe.window_seconds)
    student.load_state_dict(weights)
    student.eval().bfloat16()
    seeds = [None, *range(recipe.connector.recorded_versions)]  # as they are, and through random rooms and lines
    versions = [hear(student, spectra, work / f"heard-{number}.f16", seed) for number, seed in enumerate(seeds)]
    lessons = (recipe.connector, recipe.decoder, clips, versions, decoder, tokenizer, recipe.prompt, recipe.seed)
    held_out = answers_of_held_out_corpora(*lessons, log.stage("held out"))
    plain, moved = calibration_of(held_out)
    figures = calibration_figures(held_out, plain, moved)
    log("calibration", {"as_it_is": asdict(plain), "adapted": asdict(moved), **figures})
    listener = train_connector(*lessons, log.stage("connector"))
    clouds = clouds_of(listener, versions[0], clips, recipe.corpora, np.arange(len(EMOTIONS)))
    clouds = replace(clouds, weight=moved.weight, temperature=moved.temperature)
    model, processor = assemble(recipe, weights, listener, decoder, tokenizer, plain, clouds)
    log("done", {"bytes": save(model, processor, arguments.output)})


def _decoder(recipe: TinyRecipe, work: Path, log: _Log) -> tuple[PreTrainedTokenizerFast, LlamaForCausalLM]:
    folder = work / "decoder"
    if not (folder / "config.json").exists():
        tokenizer = new_tokenizer(recipe.prompt)
        slots = recipe.connector.num_query_tokens + recipe.connector.num_statistics_tokens
        decoder, loss = teach_decoder(recipe.decoder, tokenizer, recipe.prompt, slots, recipe.seed)
        tokenizer.save_pretrained(folder)
        decoder.save_pretrained(folder)
        log("decoder", {"loss": loss})
    decoder = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)
    return PreTrainedTokenizerFast.from_pretrained(folder), decoder


class _Log:
    """Lines of JSON, on disk and on the screen."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.began = folder / "training_log.jsonl", time.monotonic()

    def __call__(self, stage: str, values: dict[str, Any]) -> None:
        line = json.dumps({"stage": stage, "elapsed": round(time.monotonic() - self.began, 1), **values})
        print(line, flush=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def stage(self, name: str) -> Any:
        return lambda values: self(name, values)


def _fingerprint(work: Path) -> str:
    digest = hashlib.sha256((work / "clips.json").read_bytes())
    digest.update(np.ascontiguousarray(np.load(work / "spectra.npz")["frames"]).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
