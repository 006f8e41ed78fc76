"""`mser m5ser build | filter | analyse | info`: a synthetic multilingual corpus, from labelled recordings."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from ..corpora.schema import SPLITS
from .translate import LANGUAGES, TRANSLATORS

_EPILOG = """examples:
  mser m5ser build --source corpora/crema_d --output m5ser-mini --splits train --clips-per-emotion 90
  mser m5ser build --source iemocap meld mead --output m5ser --translator seamless-expressive --devices cuda:0 cuda:1
  mser m5ser filter m5ser --output m5ser-clean --min-speech 0.3 --max-clipped 0.001
  mser m5ser analyse m5ser-mini
  mser m5ser info m5ser-mini

An interrupted build goes on where it was: give the same command again.
"""


def add_subcommand(subparsers: Any) -> None:
    """Add `m5ser` and its verbs to the subparsers of `mser`."""
    parser = subparsers.add_parser(
        "m5ser",
        help="build, filter and analyse a synthetic multilingual corpus",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    verbs = parser.add_subparsers(dest="m5ser_command", required=True, metavar="{build,filter,analyse,info}")
    build = verbs.add_parser("build", help="translate corpora; resumable")
    build.add_argument("--source", nargs="+", required=True, metavar="DIR|NAME", help="prepared corpora")
    build.add_argument("--output", type=Path, required=True, metavar="DIR")
    build.add_argument("--languages", type=_words, default=LANGUAGES, metavar="fr,de,…", help=",".join(LANGUAGES))
    build.add_argument(
        "--translator", default=TRANSLATORS[0], metavar="T", help=f"{', '.join(TRANSLATORS)}, or module:Class"
    )
    build.add_argument("--model", help="weights of the translator: a folder or a name on the Hub")
    build.add_argument("--splits", nargs="+", choices=SPLITS, default=SPLITS, help="of the sources (default: all)")
    build.add_argument("--clips-per-emotion", type=_positive, metavar="N", help="a fair sample of each source corpus")
    build.add_argument("--workers", type=_positive, metavar="N", help="processes (default: devices, or cores)")
    build.add_argument("--devices", nargs="+", default=(), metavar="D", help="cuda:0 cuda:1 …")
    build.add_argument("--clips-per-unit", type=_positive, metavar="N", help="sources in one file (default: 100)")
    build.add_argument("--ray", action="store_true", help="run on Ray Data, over all machines of its cluster")
    _add_rules(build)
    sift = verbs.add_parser("filter", help="copy a dataset without the clips that rules drop")
    sift.add_argument("folder", type=Path, metavar="DIR")
    sift.add_argument("--output", type=Path, required=True, metavar="DIR")
    _add_rules(sift)
    look = verbs.add_parser("analyse", help="report: figures, contents, and how much of the emotion is left")
    look.add_argument("folder", type=Path, metavar="DIR")
    look.add_argument("--output", type=Path, metavar="DIR", help="of the report (default: DIR-analysis)")
    info = verbs.add_parser("info", help="what a dataset holds")
    info.add_argument("folder", type=Path, metavar="DIR")
    info.add_argument("--verify", action="store_true", help="compare all files with their checksums")


def _add_rules(parser: argparse.ArgumentParser) -> None:
    rules = parser.add_argument_group("filter", "the paper's rules always hold; these come on top")
    rules.add_argument("--drop-silence", action="store_true", help="drop digital silence")
    rules.add_argument("--max-clipped", type=float, metavar="SHARE", help="of samples at full scale")
    rules.add_argument("--min-ratio", type=float, metavar="R", help="duration over the source's, at least")
    rules.add_argument("--max-ratio", type=float, metavar="R", help="duration over the source's, at most")
    rules.add_argument("--min-speech", type=float, metavar="SHARE", help="of a clip in which somebody speaks")
    rules.add_argument("--unbalanced", action="store_true", help="keep sources that lost some of their languages")


def run(args: argparse.Namespace) -> int:
    """Run a parsed `m5ser` command. 1: done, but sources were unreadable or translations failed."""
    return {"build": _build, "filter": _filter, "analyse": _analyse, "info": _info}[args.m5ser_command](args)


def _build(args: argparse.Namespace) -> int:
    from .build import CLIPS_PER_UNIT, Settings, build

    settings = Settings(
        languages=args.languages,
        translator=args.translator,
        options={"model": args.model} if args.model else {},
        rules=_rules(args),
        balanced=not args.unbalanced,
        clips_per_unit=args.clips_per_unit or CLIPS_PER_UNIT,
    )
    result = build(
        args.source,
        args.output,
        settings,
        splits=args.splits,
        clips_per_emotion=args.clips_per_emotion,
        workers=args.workers,
        devices=args.devices,
        ray=args.ray,
    )
    print(result.summary())
    return int(_report(args.output))


def _filter(args: argparse.Namespace) -> int:
    from .refilter import refilter

    print(refilter(args.folder, args.output, _rules(args), balanced=not args.unbalanced).summary())
    _report(args.output)
    return 0


def _analyse(args: argparse.Namespace) -> int:
    from .analyse import analyse, survival_table

    print("\n".join(survival_table(analyse(args.folder, args.output))))
    return 0


def _info(args: argparse.Namespace) -> int:
    from ..corpora.metadata import verify_checksums
    from .build import BUILD, CARD
    from .loading import finished_folder

    folder = finished_folder(args.folder)
    if args.verify:
        verify_checksums(folder)
    plan = json.loads((folder / BUILD).read_text(encoding="utf-8"))["plan"]
    print(f"{folder}: {', '.join(plan['corpora'])} by {plan['translator']} ({plan['translator_version']})\n")
    card = (folder / CARD).read_text(encoding="utf-8")
    print(card[card.index("## Contents") : card.index("## Limits")].strip())
    if args.verify:
        print("\nAll files match their checksums.")
    return 0


def _report(folder: Path) -> bool:
    """Print why clips were dropped; true if sources or translations failed."""
    from .build import DROPPED

    lines = (folder / DROPPED).read_text(encoding="utf-8").splitlines()
    counts = Counter(json.loads(line)["reason"].partition(":")[0] for line in lines)
    for reason, count in counts.most_common():
        print(f"  dropped, {reason}: {count}")
    if counts:
        print(f"  each with its reason: {folder / DROPPED}")
    return bool({"unreadable source", "failed synthesis"} & set(counts))


def _rules(args: argparse.Namespace) -> Any:
    from .filter import FilterRules

    return FilterRules(
        drop_silence=args.drop_silence,
        max_clipped=args.max_clipped,
        min_ratio=args.min_ratio,
        max_ratio=args.max_ratio,
        min_speech=args.min_speech,
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)
