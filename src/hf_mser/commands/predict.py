"""`mser predict`: emotions of files, folders, patterns, URLs and standard input."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import IO, Any

from ..audio import AudioError
from ..evaluation.checkpoint import CheckpointPredictor, ModelNotFoundError
from .inputs import NamedClip, expand
from .journal import Record, write_resumably
from .writers import CsvWriter, JsonlWriter, JsonWriter, TableWriter

FORMATS = ("table", "json", "jsonl", "csv")
DTYPES = ("float32", "bfloat16", "float16")
BATCHES_PER_PART = 32


def add_subcommand(subparsers: Any) -> None:
    """Describe the command to argparse."""
    parser = subparsers.add_parser("predict", help="say which emotion is heard", description=__doc__)
    parser.add_argument("input", nargs="+", help="file, folder, glob, URL, or - for standard input")
    parser.add_argument("--model", help="checkpoint on the Hub or in a folder (default: the embedded mser-tiny)")
    parser.add_argument("--labels", help="comma-separated words to weigh instead of the model's own")
    parser.add_argument("--top-k", type=int, help="report the best K emotions only")
    parser.add_argument("--min-confidence", type=float, metavar="P", help="name no emotion that is less probable")
    parser.add_argument("--timeline", action="store_true", help="also say how the emotion moves over time")
    parser.add_argument("--format", choices=FORMATS, default="table")
    parser.add_argument("--output", help="write there instead of to standard output; a run that was stopped goes on")
    parser.add_argument("--on-error", choices=("raise", "record"), default="record", help="what a bad file does")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N")
    parser.add_argument("--workers", type=int, metavar="N", help="threads that decode and listen (default: all cores)")
    parser.add_argument("--dtype", choices=DTYPES, help="compute in this type (default: the checkpoint's own)")
    parser.set_defaults(run=run, many="input")


def run(arguments: argparse.Namespace) -> int:
    """Predict; 0 if all inputs were heard, 1 if some failed."""
    clips = expand(arguments.input)
    pipe = load_pipeline(arguments.model, arguments.dtype)
    labels = pipe.model.config.labels if arguments.labels is None else words_of(arguments.labels)
    options: dict[str, Any] = {
        "top_k": arguments.top_k,
        "on_error": arguments.on_error,
        "batch_size": arguments.batch_size,
        "return_timestamps": arguments.timeline,
        "return_embeddings": False,
    }
    if arguments.min_confidence is not None:
        options["min_confidence"] = arguments.min_confidence
    if arguments.labels is not None:
        options["candidate_labels"] = labels
    failed = False

    def render(file: IO[str], records: Iterable[Record]) -> None:
        nonlocal failed
        writer = _writer(arguments.format, file, labels, arguments.timeline)
        try:
            for record in records:
                failed |= "error" in record
                writer.write(record)
        finally:
            writer.close()

    try:
        with _progress(clips) as bar:
            predict = partial(_records, pipe, options=options, workers=arguments.workers, bar=bar)
            if arguments.output is None:
                render(sys.stdout, predict(clips))
            else:
                identity = CheckpointPredictor(arguments.model).identity
                decides = {"model": identity, "dtype": str(pipe.model.dtype), **options}
                part = max(1, arguments.batch_size) * BATCHES_PER_PART
                write_resumably(arguments.output, clips, predict, decides, part, render)
    except AudioError as error:
        print(f"mser predict: {error}", file=sys.stderr)
        failed = True
    return int(failed)


def load_pipeline(model: str | None, dtype: str | None = None) -> Any:
    """The pipeline of a checkpoint, the embedded one by default, without Transformers' chatter."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    from transformers import pipeline

    from ..registration import EMBEDDED_CHECKPOINT, TASK

    try:
        return pipeline(TASK, model=model or str(EMBEDDED_CHECKPOINT), dtype=dtype or "auto")
    except OSError as error:
        raise ModelNotFoundError(f"The model {model!r} cannot be loaded: {error}") from error


def _records(
    pipe: Any, clips: Sequence[NamedClip], options: dict[str, Any], workers: int | None, bar: Any
) -> Iterator[Record]:
    import torch

    answers = pipe((clip.source for clip in clips), num_workers=workers or torch.get_num_threads(), **options)
    for clip, answer in zip(clips, answers, strict=True):
        yield as_record(clip.name, answer)
        bar.update()


def _progress(clips: Sequence[NamedClip]) -> Any:
    from tqdm import tqdm

    return tqdm(total=len(clips), unit="clip", file=sys.stderr, disable=not sys.stderr.isatty() or len(clips) < 2)


def as_record(name: str, answer: Any) -> Record:
    """The pipeline's answer about one clip as the writers take it: scores by label, and the name of the input."""
    if isinstance(answer, dict) and "error" in answer:
        return {"input": name, "error": answer["error"]}
    answer = answer if isinstance(answer, dict) else {**answer[0], "scores": answer}
    record = {"input": name, "label": answer["label"], "score": answer["score"], "scores": _by_label(answer["scores"])}
    if "segments" in answer:
        record["segments"] = [{**part, "scores": _by_label(part["scores"])} for part in answer["segments"]]
    return record


def _by_label(ranked: list[dict[str, Any]]) -> dict[str, float]:
    return {entry["label"]: entry["score"] for entry in ranked}


def words_of(text: str) -> list[str]:
    """The words of a comma-separated list."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _writer(form: str, file: IO[str], labels: list[str], timeline: bool) -> Any:
    if form == "csv":
        return CsvWriter(file, labels, timeline)
    return {"table": TableWriter, "json": JsonWriter, "jsonl": JsonlWriter}[form](file)
