"""`mser predict`: emotions of files, folders, patterns, URLs and standard input."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO, Any

from ..audio import AudioError
from ..evaluation.checkpoint import ModelNotFoundError
from .inputs import NamedClip, expand
from .writers import CsvWriter, JsonlWriter, JsonWriter, TableWriter

FORMATS = ("table", "json", "jsonl", "csv")


def add_subcommand(subparsers: Any) -> None:
    """Describe the command to argparse."""
    parser = subparsers.add_parser("predict", help="say which emotion is heard", description=__doc__)
    parser.add_argument("input", nargs="+", help="file, folder, glob, URL, or - for standard input")
    parser.add_argument("--model", help="checkpoint on the Hub or in a folder (default: the embedded mser-tiny)")
    parser.add_argument("--labels", help="comma-separated words to weigh instead of the model's own")
    parser.add_argument("--top-k", type=int, help="report the best K emotions only")
    parser.add_argument("--timeline", action="store_true", help="also say how the emotion moves over time")
    parser.add_argument("--format", choices=FORMATS, default="table")
    parser.add_argument("--output", help="write there instead of to standard output")
    parser.add_argument("--on-error", choices=("raise", "record"), default="record", help="what a bad file does")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict; 0 if all inputs were heard, 1 if some failed."""
    clips = expand(arguments.input)
    pipe = load_pipeline(arguments.model)
    labels = pipe.model.config.labels if arguments.labels is None else _words(arguments.labels)
    options = {"top_k": arguments.top_k, "on_error": arguments.on_error, "batch_size": arguments.batch_size}
    if arguments.labels is not None:
        options["candidate_labels"] = labels
    failed = False
    with _destination(arguments.output) as file:
        writer = _writer(arguments.format, file, labels, arguments.timeline)
        try:
            for record in _records(pipe, clips, arguments.timeline, options):
                failed |= "error" in record
                writer.write(record)
        except AudioError as error:
            print(f"mser predict: {error}", file=sys.stderr)
            failed = True
        writer.close()
    return int(failed)


def load_pipeline(model: str | None) -> Any:
    """The pipeline of a checkpoint, the embedded one by default, without Transformers' chatter."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    from transformers import pipeline

    from ..registration import EMBEDDED_CHECKPOINT, TASK

    try:
        return pipeline(TASK, model=model or str(EMBEDDED_CHECKPOINT))
    except OSError as error:
        raise ModelNotFoundError(f"The model {model!r} cannot be loaded: {error}") from error


def _records(pipe: Any, clips: list[NamedClip], timeline: bool, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    from tqdm import tqdm

    sources = (clip.source for clip in clips)
    answers = pipe(sources, return_timestamps=timeline, return_embeddings=False, **options)
    quiet = not sys.stderr.isatty() or len(clips) < 2
    bar = tqdm(total=len(clips), unit="clip", file=sys.stderr, disable=quiet)
    with bar:
        for clip, answer in zip(clips, answers, strict=True):
            yield as_record(clip.name, answer)
            bar.update()


def as_record(name: str, answer: Any) -> dict[str, Any]:
    """The pipeline's answer about one clip as the writers take it: scores by label, and the name of the input."""
    if isinstance(answer, dict) and "error" in answer:
        return {"input": name, "error": answer["error"]}
    ranked = answer["scores"] if isinstance(answer, dict) else answer
    record = {"input": name, **ranked[0], "scores": _by_label(ranked)}
    if isinstance(answer, dict):
        record["segments"] = [{**part, "scores": _by_label(part["scores"])} for part in answer["segments"]]
    return record


def _by_label(ranked: list[dict[str, Any]]) -> dict[str, float]:
    return {entry["label"]: entry["score"] for entry in ranked}


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _writer(form: str, file: IO[str], labels: list[str], timeline: bool) -> Any:
    if form == "csv":
        return CsvWriter(file, labels, timeline)
    return {"table": TableWriter, "json": JsonWriter, "jsonl": JsonlWriter}[form](file)


@contextlib.contextmanager
def _destination(path: str | None) -> Iterator[IO[str]]:
    """Standard output, or a file that appears under its name only when it is complete."""
    if path is None:
        yield sys.stdout
        return
    partial = f"{path}.partial"
    with open(partial, "w", encoding="utf-8", newline="") as file:
        yield file
    os.replace(partial, path)
