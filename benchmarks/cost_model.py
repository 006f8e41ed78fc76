"""What a clip must cost, and what it does cost: floating-point operations, bytes, and the machine's ceilings.

    python benchmarks/cost_model.py

PyTorch's own counter counts every stage's products as it runs; the bytes are those of its weights and of the tensors
that enter and leave it. The machine's ceilings are measured in the same rounds: the rate of a large matrix product, and
that of a large copy. A stage's floor is the longer of the two times. Peers take turns with the pipeline at equal
backbone shapes, random weights. Results go to benchmarks/results/cost_model.json and .md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from audio_llm_peers import PEERS, peer
from inference import write_clips
from inference_models import Shape, mser_model, mser_processor
from plain_composition import PlainComposition
from side_by_side import CLOCKS, compare, machine, take_turns
from torch.utils.flop_counter import FlopCounterMode
from transformers import WhisperFeatureExtractor

from hf_mser import SpeechEmotionPipeline
from hf_mser.audio import load_audio
from hf_mser.evaluation.files import write_json, write_text

RESULTS = Path(__file__).resolve().parent / "results"
SECONDS, BATCH = 4, 8
END_TO_END_TARGET = 1.5
PLAIN = "plain composition"
TARGETS = {PLAIN: 8, "Qwen2Audio": 5, "Voxtral": 5, "GraniteSpeech": 5}
"""How many times as fast as them the pipeline should be; the classifier is no audio LLM."""

Stage = Callable[[], Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds after one warm-up")
    parser.add_argument("--clock", choices=CLOCKS, default="cpu", help="cpu stays fair on a crowded machine")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch's threads")
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--compile", action="store_true", help="try torch.compile too (needs a C++ compiler)")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes: checks the benchmark, measures nothing")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    shape = Shape("tiny", "tiny", "tiny") if options.tiny else Shape()
    results: dict[str, Any] = {
        "machine": machine(),
        "clock": options.clock,
        "rounds": options.rounds,
        "clip_seconds": SECONDS,
        "batch": BATCH,
        "shapes": vars(shape),
        "stages": [],
        "shortcuts": [],
        "peers": [],
    }
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        clips = write_clips(Path(folder), [SECONDS] * BATCH)
        for name in options.dtype:
            results["stages"] += stage_rows(shape, clips, name, options.rounds, options.clock)
            write(options.output, results)
        results["shortcuts"] = shortcut_rows(shape, clips, options.rounds, options.clock, options.compile)
        for name in options.dtype:
            results["peers"] += peer_rows(shape, clips, name, max(1, options.rounds // 2), options.clock)
            write(options.output, results)
    print(table(results))


def write(folder: Path, results: Mapping[str, Any]) -> None:
    """What is known so far."""
    write_json(folder / "cost_model.json", results)
    write_text(folder / "cost_model.md", table(results))


def stage_rows(shape: Shape, clips: Sequence[Path], dtype: str, rounds: int, clock: str) -> list[dict[str, Any]]:
    """Each stage of the path on one batch: counted, measured between the ceilings, compared."""
    kind = getattr(torch, dtype)
    model = mser_model(shape, dtype=kind)
    processor = mser_processor(model.config)
    pipe = SpeechEmotionPipeline(model=model, processor=processor, device="cpu")
    samples = [load_audio(path) for path in clips]
    features, mask = processor.extract_features(samples)
    frames, frames_mask = model.encode_speech(features, mask)
    tokens = model.connect_speech(speech_frames=frames, speech_frames_mask=frames_mask).speech_tokens
    whole: Stage = lambda: pipe([str(path) for path in clips], batch_size=BATCH, num_workers=1)  # noqa: E731
    stages: dict[str, tuple[Stage, int, list[torch.nn.Module]]] = {
        "encoder": (
            lambda: model.encode_speech(features, mask),
            _bytes(features, frames),
            [model.speech_encoder],
        ),
        "Q-Former": (
            lambda: model.connector(frames, frames_mask),
            _bytes(frames, tokens),
            [model.connector],
        ),
        "scoring": (lambda: model.score_emotions(speech_tokens=tokens), _bytes(tokens), [model.text_model]),
    }
    sides = 256 if shape.speech == "tiny" else 1536
    left, right = torch.randn(2, sides, sides, dtype=kind).unbind(0)
    exact_left, exact_right = left.float(), right.float()
    source = torch.empty(1 << 20 if shape.speech == "tiny" else 1 << 26)
    target = torch.empty_like(source)
    contestants: dict[str, Stage] = {
        "matrix product": lambda: left @ right,
        "matrix product in float32": lambda: exact_left @ exact_right,
        "copy": lambda: target.copy_(source),
        "decode + log-mel": lambda: processor.extract_features([load_audio(path) for path in clips]),
        **{name: stage for name, (stage, _, _) in stages.items()},
        "end to end": whole,
    }
    times = {name: statistics.median(turns) for name, turns in take_turns(contestants, rounds, 1, clock).items()}
    ceilings = {
        dtype: 2 * sides**3 / times["matrix product"],
        "float32": 2 * sides**3 / times["matrix product in float32"],
    }
    moved = 2 * source.nbytes / times["copy"]
    rows, floor_of_all = [], 0.0
    for name, (stage, traffic, modules) in stages.items():
        # The connector stays in float32 whatever the rest is in.
        own = "float32" if name == "Q-Former" else dtype
        work = _count(stage)
        traffic += sum(tensor.nbytes for module in modules for tensor in module.parameters())
        floor = max(work / ceilings[own], traffic / moved)
        floor_of_all += floor
        rows.append(_stage_row(name, dtype, work, traffic, times[name], floor))
    mel = _mel_work(features)
    floor = mel / ceilings["float32"] + _bytes(features) / moved
    rows.insert(0, _stage_row("decode + log-mel", dtype, mel, _bytes(features), times["decode + log-mel"], floor))
    works = BATCH * sum(row["flop"] for row in rows)
    rows.append(_stage_row("end to end", dtype, works, 0, times["end to end"], floor_of_all + floor))
    for row in rows:
        row["ceiling_gflops"] = ceilings["float32" if row["stage"] in ("Q-Former", "decode + log-mel") else dtype] / 1e9
        row["copy_gb_per_s"] = moved / 1e9
    return rows


def shortcut_rows(shape: Shape, clips: Sequence[Path], rounds: int, clock: str, compiled: bool) -> list[dict[str, Any]]:
    """Ways to save time that the package does not take, against float32 as it is."""
    model = mser_model(shape)
    features, mask = mser_processor(model.config).extract_features([load_audio(path) for path in clips])
    tokens = model.connect_speech(features, mask).speech_tokens
    contestants: dict[str, Stage] = {
        "scoring": lambda: model.score_emotions(speech_tokens=tokens),
        "encoder": lambda: model.speech_encoder(features),
    }
    rough = mser_model(shape, dtype=torch.bfloat16)
    contestants["scoring, bfloat16"] = lambda: rough.score_emotions(speech_tokens=tokens)
    packed = mser_model(shape)
    packed.text_model = torch.ao.quantization.quantize_dynamic(packed.text_model, {torch.nn.Linear}, torch.qint8)
    contestants["scoring, linear maps in int8"] = lambda: packed.score_emotions(speech_tokens=tokens)
    preparation = 0.0
    if compiled:
        encoder = torch.compile(model.speech_encoder)
        begin = CLOCKS[clock]()
        encoder(features)
        preparation = CLOCKS[clock]() - begin
        contestants["encoder, torch.compile"] = lambda: encoder(features)
    times = take_turns(contestants, rounds, 1, clock)
    return [
        {
            "shortcut": name,
            "preparation_seconds": preparation if "compile" in name else 0.0,
            **compare(times[name], times[name.partition(",")[0]]),
        }
        for name in contestants
        if "," in name
    ]


def peer_rows(shape: Shape, clips: Sequence[Path], dtype: str, rounds: int, clock: str) -> list[dict[str, Any]]:
    """End to end against other models of equal shapes, as their documentation runs them."""
    kind = getattr(torch, dtype)
    model = mser_model(shape, dtype=kind)
    pipe = SpeechEmotionPipeline(model=model, processor=mser_processor(model.config), device="cpu")
    plain = PlainComposition(
        mser_model(shape, dtype=kind, speech_layers="last"), mser_processor(model.config).tokenizer
    )
    contestants: dict[str, Stage] = {
        "hf_mser": lambda: pipe([str(path) for path in clips], batch_size=BATCH, num_workers=1),
        PLAIN: lambda: plain(clips, BATCH),
        **{name: peer(name, shape, clips, kind) for name in PEERS},
    }
    times = take_turns(contestants, rounds, 1, clock)
    rows = [
        {
            "peer": name,
            "dtype": dtype,
            "per_clip": True,
            "target": TARGETS.get(name),
            **compare(times["hf_mser"], times[name]),
        }
        for name in contestants
        if name != "hf_mser"
    ]
    for row in rows:
        row["seconds"], row["against_seconds"] = row["seconds"] / BATCH, row["against_seconds"] / BATCH
    return rows


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "| stage | type | GFLOP | MB | measured, ms | floor, ms | ratio |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in results["stages"]:
        lines.append(
            f"| {row['stage']} | {row['dtype']} | {row['flop'] / 1e9:.2f} | {row['bytes'] / 1e6:.1f} "
            f"| {1000 * row['seconds']:.2f} | {1000 * row['floor_seconds']:.2f} | **{row['ratio']:.2f}** |"
        )
    lines += ["", f"Measured over floor (the target end to end is {END_TO_END_TARGET}):"]
    lines += ["", "```", *_bars(results["stages"]), "```"]
    if results["shortcuts"]:
        lines += ["", "| instead of float32 as it is | ms a batch | float32, ms | times as fast | to prepare, s |"]
        lines.append("|---|---:|---:|---:|---:|")
    lines += [
        f"| {row['shortcut']} | {1000 * row['seconds']:.0f} | {1000 * row['against_seconds']:.0f} "
        f"| {row['ratio']:.1f} | {row['preparation_seconds']:.0f} |"
        for row in results["shortcuts"]
    ]
    if results["peers"]:
        lines += ["", "| peer at equal shapes | type | ours, ms | theirs, ms | times as fast (quartiles) | target |"]
        lines.append("|---|---|---:|---:|---|---|")
    for row in results["peers"]:
        target = f"≥ {row['target']}" if row["target"] else ""
        lines.append(
            f"| {row['peer']} | {row['dtype']} | {1000 * row['seconds']:.1f} | {1000 * row['against_seconds']:.1f} "
            f"| **{row['ratio']:.1f}** ({row['ratio_low']:.1f} to {row['ratio_high']:.1f}) "
            f"| {target} |"
        )
    on = results["machine"]
    ceilings = {row["dtype"]: row for row in results["stages"] if row["stage"] == "encoder"}
    ceilings_text = ", ".join(f"{row['ceiling_gflops']:.0f} GFLOP/s in {name}" for name, row in ceilings.items())
    copy = statistics.median(row["copy_gb_per_s"] for row in ceilings.values()) if ceilings else 0.0
    lines += [
        "",
        f"Per clip of {results['clip_seconds']} s at batch {results['batch']}; "
        f"{' + '.join(results['shapes'].values())}. {on['cpu']}, threads: {on['threads']}; torch {on['torch']}, "
        f"transformers {on['transformers']}. Ceilings in the same run: {ceilings_text}; copy {copy:.1f} GB/s. "
        f"Clock: {results['clock']}; medians of {results['rounds']} rounds in which all take turns, after a warm-up "
        "(with the peers: half as many).",
    ]
    return "\n".join(lines) + "\n"


def _bars(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A bar for each stage but the features, whose floor is next to nothing: light up to the floor, then dark."""
    shown = [row for row in rows if row["stage"] != "decode + log-mel"]
    return [
        f"{row['stage']:<10} {row['dtype']:<8} {'░' * 10}{'█' * round(10 * (row['ratio'] - 1))} {row['ratio']:.2f}"
        for row in shown
    ]


def _stage_row(name: str, dtype: str, work: float, traffic: float, seconds: float, floor: float) -> dict[str, Any]:
    return {
        "stage": name,
        "dtype": dtype,
        "flop": work / BATCH,
        "bytes": traffic / BATCH,
        "seconds": seconds / BATCH,
        "floor_seconds": floor / BATCH,
        "ratio": seconds / floor,
    }


def _count(stage: Stage) -> int:
    """Floating-point operations of all matrix products, convolutions and attentions of a stage."""
    with FlopCounterMode(display=False) as counter:
        stage()
    return counter.get_total_flops()


def _mel_work(features: torch.Tensor) -> float:
    """A real transform of 400 samples (5/2 n log2 n) and the mel product for every frame."""
    extractor = WhisperFeatureExtractor(feature_size=features.shape[1])
    size = extractor.n_fft
    each = 2.5 * size * torch.log2(torch.tensor(float(size))).item() + 2 * (size // 2 + 1) * features.shape[1]
    return each * features.shape[0] * features.shape[2]


def _bytes(*tensors: torch.Tensor) -> int:
    return sum(tensor.nbytes for tensor in tensors)


if __name__ == "__main__":
    main()
