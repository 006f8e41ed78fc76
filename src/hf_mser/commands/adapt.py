"""`mser adapt`: fit a checkpoint to unlabelled clips of one's own domain, and save it."""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from ..audio import AudioError, load_audio
from .inputs import expand
from .predict import load_pipeline


def add_subcommand(subparsers: Any) -> None:
    """Describe the command to argparse."""
    parser = subparsers.add_parser("adapt", help="fit a model to unlabelled clips of your own", description=__doc__)
    parser.add_argument("input", nargs="+", help="folder, file or glob of clips from the new domain")
    parser.add_argument("--model", help="checkpoint on the Hub or in a folder (default: the embedded mser-tiny)")
    parser.add_argument("--output", required=True, metavar="DIR", help="where the adapted checkpoint goes")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Adapt and save; 0 if all clips were heard, 1 if some could not be read."""
    clips = expand(arguments.input)
    pipe = load_pipeline(arguments.model)
    unread: list[str] = []
    report = pipe.adapt(_readable(clips, unread), sampling_rate=16_000)
    pipe.save_pretrained(arguments.output)
    print(
        f"Adapted to {report.clips} clips ({report.seconds:.0f} s); the statistics moved "
        f"{100 * report.weight:.0f} % of the way. Saved to {arguments.output}",
        file=sys.stderr,
    )
    if report.high_voices is not None:
        print(f"High voices: {report.high_voices:.0%}, low voices: {1 - report.high_voices:.0%}", file=sys.stderr)
    if report.label_shares:
        shares = ", ".join(f"{label} {share:.0%}" for label, share in report.label_shares.items())
        print(f"Labels heard: {shares}", file=sys.stderr)
    return int(bool(unread))


def _readable(clips: list[Any], unread: list[str]) -> Iterator[Any]:
    from tqdm import tqdm

    for clip in tqdm(clips, unit="clip", file=sys.stderr, disable=not sys.stderr.isatty()):
        try:
            yield load_audio(clip.source)
        except AudioError as error:
            print(f"mser adapt: {error}", file=sys.stderr)
            unread.append(clip.name)
