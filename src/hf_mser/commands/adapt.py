"""`mser adapt`: fit a checkpoint to unlabelled clips of one's own domain, and save it."""

import argparse
import sys
from collections.abc import Iterator
from itertools import tee
from pathlib import Path
from typing import Any

from ..adapted_answers import EQUAL_SHARES
from ..audio import AudioError, load_audio
from .inputs import NamedClip, expand
from .predict import load_pipeline, words_of


def add_subcommand(subparsers: Any) -> None:
    """Describe the command to argparse."""
    parser = subparsers.add_parser("adapt", help="fit a model to unlabelled clips of your own", description=__doc__)
    parser.add_argument("input", nargs="+", help="folder, file or glob of clips from the new domain")
    parser.add_argument("--model", help="checkpoint on the Hub or in a folder (default: the embedded mser-tiny)")
    parser.add_argument("--output", required=True, metavar="DIR", help="where the adapted checkpoint goes")
    parser.add_argument(
        "--speaker-folders", action="store_true", help="each folder holds the clips of one person, which helps"
    )
    parser.add_argument("--labels", help="comma-separated labels that the clips have, if not all that the model knows")
    parser.add_argument(
        "--equal-shares",
        type=float,
        default=EQUAL_SHARES,
        metavar="X",
        help="how far emotions are taken to be equally frequent: 1 if they are, 0 if most clips are of one (default: "
        "%(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Adapt and save; 0 if all clips were heard, 1 if some could not be read."""
    clips = expand(arguments.input)
    pipe = load_pipeline(arguments.model)
    unread: list[str] = []
    heard, named = tee(_readable(clips, unread))
    speakers = (str(Path(name).parent) for name, _ in named) if arguments.speaker_folders else None
    sounds = (samples for _, samples in heard)
    labels = None if arguments.labels is None else words_of(arguments.labels)
    options: dict[str, Any] = {"speakers": speakers, "labels": labels, "equal_shares": arguments.equal_shares}
    report = pipe.adapt(sounds, sampling_rate=16_000, **options)
    pipe.save_pretrained(arguments.output)
    print(
        f"Adapted to {report.clips} clips ({report.seconds:.0f} s); the statistics moved "
        f"{100 * report.weight:.0f} % of the way. Saved to {arguments.output}",
        file=sys.stderr,
    )
    if report.high_voices is not None:
        print(f"High voices: {report.high_voices:.0%}, low voices: {1 - report.high_voices:.0%}", file=sys.stderr)
    if report.speakers:
        print(f"{'Speakers' if speakers else 'Groups of like voices'}: {report.speakers}", file=sys.stderr)
    if report.label_shares:
        shares = ", ".join(f"{label} {share:.0%}" for label, share in report.label_shares.items())
        print(f"Labels heard: {shares}", file=sys.stderr)
    return int(bool(unread))


def _readable(clips: list[NamedClip], unread: list[str]) -> Iterator[tuple[str, Any]]:
    """The name and the samples of each clip that can be read."""
    from tqdm import tqdm

    for clip in tqdm(clips, unit="clip", file=sys.stderr, disable=not sys.stderr.isatty()):
        try:
            yield clip.name, load_audio(clip.source)
        except AudioError as error:
            print(f"mser adapt: {error}", file=sys.stderr)
            unread.append(clip.name)
