"""Make mser-tiny from prepared corpora: distil the encoder, teach the decoder, train the connector, save.

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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.models.whisper.configuration_whisper import WhisperConfig

from hf_mser.training.tiny.assembly import assemble, save
from hf_mser.training.tiny.clips import Spectra, prepare_spectra, read_clips
from hf_mser.training.tiny.connecting import hear, train_connector
from hf_mser.training.tiny.distillation import ask_teacher, distil, new_student
from hf_mser.training.tiny.recipe import TinyRecipe
from hf_mser.training.tiny.words import new_tokenizer, teach_decoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--corpora", type=Path, required=True, help="folder that holds the prepared corpora")
    parser.add_argument("--teacher", default="openai/whisper-base", help="id or folder of a Whisper checkpoint")
    parser.add_argument("--work", type=Path, required=True, help="folder for what the stages leave behind")
    parser.add_argument("--output", type=Path, required=True, help="folder of the checkpoint")
    arguments = parser.parse_args()
    recipe = TinyRecipe.from_yaml(arguments.recipe)
    work: Path = arguments.work
    log = _Log(work)

    encoder = recipe.encoder
    prepare_spectra(
        [arguments.corpora / name for name in recipe.corpora],
        work,
        speeds=encoder.speeds,
        slowest=encoder.slowest,
        fastest=encoder.fastest,
        reversed_share=encoder.reversed_share,
    )
    spectra = [Spectra(work, version) for version in range(1 + encoder.speeds)]
    log("start", {"recipe": recipe.as_dict(), "clips": len(spectra[0].frames), "data_sha256": _fingerprint(work)})
    teacher_width = WhisperConfig.from_pretrained(arguments.teacher).d_model
    ask_teacher(arguments.teacher, work, spectra, encoder.teacher_layers, teacher_width)
    weights = distil(encoder, work, read_clips(work), spectra, teacher_width, recipe.seed, log.stage("encoder"))

    tokenizer, decoder = _decoder(recipe, work, log)

    student = new_student(encoder)
    student.load_state_dict(weights)
    student.eval().bfloat16()
    # Clean and through random recording conditions, at the clips' own speed and at others.
    versions, usable = [], []
    for own in spectra[:2]:
        for seed in (None, recipe.seed):
            path = work / f"heard-{own.version}-{'clean' if seed is None else 'recorded'}.f16"
            versions.append(hear(student, own, path, seed))
            usable.append(~own.reversed)
    listener = train_connector(
        recipe.connector,
        recipe.decoder,
        read_clips(work),
        versions,
        usable,
        decoder,
        tokenizer,
        recipe.prompt,
        recipe.seed,
        log.stage("connector"),
    )
    model, processor = assemble(recipe, weights, listener, decoder, tokenizer)
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
    digest.update(np.ascontiguousarray(np.load(work / "spectra-0.npz")["frames"]).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
