"""What a clip costs: our inference path against the usual ways, side by side in one run.

    python benchmarks/inference.py

Three parts: the encoder on the true length against 30 s of padding; all candidates in one pass against a
forward per label and against `generate`; the pipeline against a plain composition of Transformers' parts.
Results go to benchmarks/results/inference.json and, as a table, inference.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from inference_models import Shape, count_parameters, mser_config, mser_model, mser_processor
from plain_composition import PlainComposition, padded_encoder
from side_by_side import CLOCKS, Contestant, compare, machine, take_turns

from hf_mser import MSERForEmotionGeneration, SpeechEmotionPipeline
from hf_mser.evaluation.files import write_json, write_text

RESULTS = Path(__file__).resolve().parent / "results"
SECONDS = (2, 4, 8, 30)
MIXED_SECONDS = (1, 9, 2, 6, 12, 3, 4, 7, 1, 5, 10, 2, 3, 8, 2, 4)
TARGETS = {("encoder", "4 s"): 5.0, ("scoring", "forward per label"): 3.0, ("pipeline", "4 s"): 4.0}

Row = dict[str, Any]
Timer = Callable[[Mapping[str, Contestant]], dict[str, list[float]]]


def encoder_rows(shape: Shape, timed: Timer, weights: Path | None = None) -> Iterator[Row]:
    """(a) The encoder on the true length of a clip against Transformers' own on 30 s of padding."""
    model = mser_model(shape, weights, speech_layers="last")
    padded = padded_encoder(model)
    mels = model.config.speech_config.num_mel_bins
    silence = torch.zeros(1, mels, 3000)
    for seconds in SECONDS:
        features = torch.randn(1, mels, 100 * seconds)
        contestants = {"true length": lambda x=features: model.speech_encoder(x), "padded": lambda: padded(silence)}
        times = timed(contestants)
        yield _row("encoder", f"{seconds} s", 1, shape.speech, "Whisper's encoder on 30 s", times)


def scoring_rows(shape: Shape, timed: Timer) -> Iterator[Row]:
    """(b) All labels in one pass over the shared prefix against a forward per label and against `generate`."""
    model = mser_model(shape)
    new_tokens = max(len(ids) for ids in model.config.candidate_ids)
    for batch in (1, 8):
        speech = torch.randn(batch, model.config.qformer_config.num_speech_tokens, model.config.text_config.hidden_size)
        contestants: dict[str, Contestant] = {
            "one pass": lambda s=speech: model.score_emotions(speech_tokens=s),
            "forward per label": lambda s=speech: forward_per_label(model, s),
            f"generate({new_tokens} tokens)": lambda s=speech: model.generate(
                speech_tokens=s, min_new_tokens=new_tokens, max_new_tokens=new_tokens, do_sample=False, pad_token_id=0
            ),
        }
        labels = f"{len(model.config.labels)} labels"
        yield from _rows("scoring", labels, batch, shape.text, timed(contestants))


def pipeline_rows(shape: Shape, timed: Timer, weights: Path | None = None) -> Iterator[Row]:
    """(c) Files to answers: the pipeline against a plain composition of Transformers' parts."""
    model = mser_model(shape, weights)
    plain_model = mser_model(shape, weights, speech_layers="last")
    processor = mser_processor(model.config)
    pipe = SpeechEmotionPipeline(model=model, processor=processor, device="cpu")
    plain = PlainComposition(plain_model, processor.tokenizer)
    parts = f"{shape.speech} + {shape.qformer} + {shape.text}"
    with tempfile.TemporaryDirectory() as folder:
        clips = write_clips(Path(folder), [4] * 8)
        mixed = write_clips(Path(folder), MIXED_SECONDS)
        for case, paths, batch in (("4 s", clips[:2], 1), ("4 s", clips, 8), ("1 to 12 s", mixed, 8)):
            times = timed(
                {
                    "pipeline": lambda p=paths, b=batch: pipe([str(path) for path in p], batch_size=b),
                    "plain": lambda p=paths, b=batch: plain(p, b),
                }
            )
            each = {name: [seconds / len(paths) for seconds in turns] for name, turns in times.items()}
            yield _row("pipeline", case, batch, parts, "plain Transformers composition", each)


@torch.no_grad()
def forward_per_label(model: MSERForEmotionGeneration, speech_tokens: torch.Tensor) -> torch.Tensor:
    """Log-likelihood of every label by one forward each, with no more logits than its tokens need."""
    prompt = torch.tensor([model.config.prompt_ids] * len(speech_tokens))
    scores = []
    for ids in model.config.candidate_ids:
        answer = torch.tensor([ids] * len(prompt))
        logits = model(
            input_ids=torch.cat([prompt, answer], dim=1),
            speech_tokens=speech_tokens,
            use_cache=False,
            logits_to_keep=len(ids) + 1,
        ).logits[:, :-1]
        scores.append(logits.log_softmax(-1).gather(-1, answer[..., None]).sum((1, 2)))
    return torch.stack(scores, dim=1)


def write_clips(folder: Path, seconds: Sequence[int]) -> list[Path]:
    """16-bit mono wav files of noise; what they say makes no difference to the time."""
    samples = np.random.default_rng(0)
    paths = [folder / f"{len(seconds)}_{index}.wav" for index in range(len(seconds))]
    for path, length in zip(paths, seconds, strict=True):
        soundfile.write(path, samples.normal(0, 0.1, 16_000 * length), 16_000)
    return paths


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "| what | case | batch | against | ours, ms | theirs, ms | times as fast (quartiles) | target |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        target = "" if row["target"] is None else f"≥ {row['target']:g}"
        lines.append(
            f"| {row['part']}, {row['shape']} | {row['case']} | {row['batch']} | {row['against']} "
            f"| {1000 * row['seconds']:.1f} | {1000 * row['against_seconds']:.1f} "
            f"| **{row['ratio']:.1f}** ({row['ratio_low']:.1f} to {row['ratio_high']:.1f}) | {target} |"
        )
    on = results["machine"]
    lines += [
        "",
        f"{on['cpu']}, threads: {on['threads']}, float32; torch {on['torch']}, transformers {on['transformers']}. "
        f"Clock: {results['clock']}. {results['rounds']} rounds in which the contestants take turns, after a warm-up; "
        "medians, and the ratio is the median of the rounds' ratios. The encoder and the scoring count per batch, the "
        "pipeline per clip.",
    ]
    return "\n".join(lines) + "\n"


def _rows(part: str, case: str, batch: int, shape: str, times: Mapping[str, Sequence[float]]) -> Iterator[Row]:
    """One row for each contestant after the first, which is ours."""
    ours, *others = times
    for other in others:
        yield _row(part, case, batch, shape, other, {ours: times[ours], other: times[other]})


def _row(part: str, case: str, batch: int, shape: str, against: str, times: Mapping[str, Sequence[float]]) -> Row:
    ours, theirs = times.values()
    target = TARGETS.get((part, case), TARGETS.get((part, against)))
    row = {"part": part, "shape": shape, "case": case, "batch": batch, "against": against, "target": target}
    return {**row, **compare(ours, theirs)}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a Whisper checkpoint for the encoder; random weights without it")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: seconds charged to this process")
    parser.add_argument("--threads", type=int, help="PyTorch's threads; as many as cores by default")
    parser.add_argument("--parts", nargs="+", default=["encoder", "scoring", "pipeline"], help="which parts to run")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes: checks the benchmark, measures nothing")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of inference.json and inference.md")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    shapes = [Shape("tiny", "tiny", "tiny")] if options.tiny else [Shape(), Shape(text="stories260K")]
    timed = torch.inference_mode()(partial(take_turns, rounds=options.rounds, clock=options.clock))
    results: dict[str, Any] = {
        "machine": machine(),
        "clock": options.clock,
        "rounds": options.rounds,
        "weights": "random" if options.weights is None else options.weights.name,
        "shapes": [_described(shape) for shape in shapes],
        "rows": [],
    }
    for part, rows in _parts(shapes, timed, options.weights).items():
        for row in rows if part in options.parts else ():
            print(
                f"{part} {row['case']} batch {row['batch']} against {row['against']}: {row['ratio']:.2f} ×", flush=True
            )
            results["rows"].append(row)
            write_json(options.output / "inference.json", results)
            write_text(options.output / "inference.md", table(results))


def _parts(shapes: Sequence[Shape], timed: Timer, weights: Path | None) -> dict[str, Iterator[Row]]:
    return {
        "encoder": encoder_rows(shapes[0], timed, weights),
        "scoring": (row for shape in shapes for row in scoring_rows(shape, timed)),
        "pipeline": (row for shape in shapes for row in pipeline_rows(shape, timed, weights)),
    }


def _described(shape: Shape) -> dict[str, Any]:
    with torch.device("meta"):
        model = MSERForEmotionGeneration(mser_config(shape))
    parts = {"speech": model.speech_encoder, "qformer": model.connector, "text": model.text_model}
    return {name: {"shape": getattr(shape, name), "parameters": count_parameters(part)} for name, part in parts.items()}


if __name__ == "__main__":
    main()
