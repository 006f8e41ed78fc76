"""`mser evaluate`: any checkpoint, any corpora, any protocol; and the comparison of two results folders."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .clips import Clip, read_clips
from .protocols import PROTOCOLS, protocol
from .tasks import ProtocolError, Task

_EPILOG = """examples:
  mser evaluate --data ../corpora/emodb ../corpora/emovo
  mser evaluate --model org/mser --data ../corpora --protocol leave-one-language-out --output results/lolo
  mser evaluate --model 'runs/{training_set}-seed{seed}' --data ../corpora --protocol edrl-any
  mser evaluate --compare results/old results/new
  torchrun --nproc-per-node 8 -m hf_mser evaluate --model org/mser --data ../corpora     (one process a GPU)

An interrupted evaluation goes on where it was: give the same command again.
"""


def add_subcommand(subparsers: Any) -> None:
    """Add `evaluate` to the subparsers of `mser`."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a model on corpora, under a protocol",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", metavar="M", help="a folder, a name on the Hub, or a pattern (default: mser-tiny)")
    parser.add_argument("--revision", help="the revision on the Hub")
    parser.add_argument("--data", nargs="+", metavar="DIR|NAME", help="prepared corpora, or a folder of them")
    parser.add_argument(
        "--protocol", default="whole-corpus", metavar="NAME", help=f"{', '.join(PROTOCOLS)}, emobox:DIR"
    )
    parser.add_argument("--seeds", type=int, nargs="+", metavar="S", help="default: those that change the result")
    parser.add_argument("--classes", type=_words, metavar="A,B,C", help="confine clips and answers to these emotions")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: results/MODEL/PROTOCOL")
    parser.add_argument("--batch-size", type=_positive, default=16, metavar="N")
    parser.add_argument("--device", metavar="D", help="cpu, cuda:0 ... (default: the process' own GPU, else the CPU)")
    parser.add_argument("--adapt", action="store_true", help="let the model see each test corpus without its labels")
    parser.add_argument("--no-duplicate-check", action="store_true", help="do not look for recordings on both sides")
    parser.add_argument("--no-report", action="store_true", help="results.json and predictions.jsonl alone")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("A", "B"), help="compare two results folders")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run a parsed `evaluate` command; 2 is wrong use."""
    if args.compare:
        from .compare import compare, table

        print(table(compare(*args.compare)))
        return 0
    if not args.data:
        print("mser evaluate: give --data DIR|NAME..., or --compare A B", file=sys.stderr)
        return 2
    return _evaluate(args)


def _evaluate(args: argparse.Namespace) -> int:
    from .checkpoint import EMBEDDED, CheckpointFactory
    from .evaluate import evaluate
    from .report import summary_table, text_table
    from .run import Share

    share = Share.from_environment()
    factory = CheckpointFactory(args.model, args.device or _own_device(), args.revision, args.adapt)
    chosen = protocol(args.protocol)
    # One checkpoint gives one answer whatever the seed, unless the seed moves the clips.
    seeds = args.seeds or (chosen.seeds if factory.by_task or chosen.draws else chosen.seeds[:1])
    clips = [clip for folder in corpora_of(args.data) for clip in read_clips(folder)]
    tasks = chosen.tasks(clips, seeds, args.classes)
    if not args.no_duplicate_check:
        tasks = _checked(tasks, share.first)
    output = args.output or Path("results") / _file_name(args.model or EMBEDDED) / _file_name(args.protocol)
    results = evaluate(
        chosen,
        tasks,
        factory,
        factory.identity(tasks),
        output,
        args.batch_size,
        share,
        report=not args.no_report,
    )
    if results is not None:
        for note in results["notes"]:
            print(f"note: {note}", file=sys.stderr)
        print(text_table(summary_table(results)))
        print(f"results in {output}", file=sys.stderr)
    return 0


def corpora_of(data: Sequence[str]) -> list[str | Path]:
    """What `--data` means: names and folders as they are, a folder of corpora as its corpora.

    Example:
        >>> corpora_of(["emodb"])
        ['emodb']
    """
    found: list[str | Path] = []
    for entry in data:
        folder = Path(entry).expanduser()
        if folder.is_dir() and not (folder / "metadata.jsonl").is_file():
            inside = sorted(path.parent for path in folder.glob("*/metadata.jsonl"))
            if not inside:
                raise ProtocolError(f"{folder} is no prepared corpus and holds none (no metadata.jsonl).")
            found += inside
        else:
            found.append(folder if folder.is_dir() else entry)
    return found


def _checked(tasks: Sequence[Task], loud: bool) -> list[Task]:
    """The tasks without recordings on both sides; only those with a training side can have any."""
    from .duplicates import find_duplicates, recordings

    clips: dict[str, Clip] = {}
    for task in tasks:
        if task.labelled:
            clips.update({clip.key: clip for clip in (*task.labelled, *task.validation, *task.test)})
    if not clips:
        return list(tasks)
    if loud:
        print(f"looking for recordings that occur twice among {len(clips)} clips ...", file=sys.stderr)
    processes = max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    pairs = find_duplicates(list(clips.values()), cache=_cache(), processes=processes)
    twins: Mapping[str, str] = recordings(pairs)
    return [task.without_twins(twins).check(twins) for task in tasks]


def _cache() -> Path:
    base = os.environ.get("HF_MSER_CACHE") or "~/.cache/hf_mser"
    return Path(base).expanduser() / "fingerprints"


def _own_device() -> str | None:
    """The GPU that torchrun or accelerate means for this process."""
    import torch

    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else None


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip("-.")


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if len(words) < 2:
        raise argparse.ArgumentTypeError("give at least two emotions, as in neutral,happy,sad,angry")
    return words


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)
