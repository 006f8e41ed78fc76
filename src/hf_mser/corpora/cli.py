"""`mser corpora list | info NAME | prepare NAME --source DIR --output DIR`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import get, names
from .schema import CorpusError, CorpusNotFoundError


def add_subcommand(subparsers: Any) -> None:
    """Add `corpora` and its three verbs to the subparsers of `mser`."""
    parser = subparsers.add_parser("corpora", help="list, describe and prepare speech emotion corpora")
    parser.set_defaults(run=run)
    verbs = parser.add_subparsers(dest="corpora_command", required=True, metavar="{list,info,prepare}")
    verbs.add_parser("list", help="every known corpus: language, clips, speakers, classes, licence")
    info = verbs.add_parser("info", help="one corpus: where to get it, its terms, labels, splits and caveats")
    info.add_argument("name", metavar="NAME")
    info.add_argument("--format", choices=("text", "json"), default="text")
    prep = verbs.add_parser("prepare", help="turn an original distribution into an audio folder; resumable")
    prep.add_argument("name", metavar="NAME", help="a corpus, or `all`: every folder of --source named after one")
    prep.add_argument("--source", type=Path, required=True, metavar="DIR", help="the unpacked distribution")
    prep.add_argument("--output", type=Path, metavar="DIR", help="default: where load_corpus(NAME) looks")
    prep.add_argument("--workers", type=int, metavar="N", help="processes (default: by the number of clips)")


def run(args: argparse.Namespace) -> int:
    """Run a parsed `corpora` command. 0: all well; 1: prepared, with problems in the report."""
    if args.corpora_command == "list":
        print(_table())
        return 0
    if args.corpora_command == "info":
        print(_info(args.name, as_json=args.format == "json"))
        return 0
    return _prepare(args)


def _prepare(args: argparse.Namespace) -> int:
    from .loading import corpora_root
    from .prepare import prepare

    if args.name != "all":
        tasks = [(args.name, args.source, args.output)]
    else:
        folder = args.output or corpora_root()
        tasks = [(name, source, folder / name) for name, source in sorted(_corpora_in(args.source))]
        if not tasks:
            raise CorpusNotFoundError(f"{args.source}: no folder is named after a corpus ({', '.join(names())}).")
    reports, failed = [], False
    for name, source, output in tasks:
        try:
            reports.append(prepare(name, source, output, workers=args.workers))
            print(reports[-1].summary())
        except CorpusError as error:
            if args.name != "all":
                raise
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
    return int(failed or not all(report.ok for report in reports))


def _corpora_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """The folders that are named after a corpus, however it is written (`CREMA-D`, `crema_d`)."""
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            yield get(path.name).name, path
        except CorpusNotFoundError:
            continue


def _table() -> str:
    rows = [("name", "language", "clips", "speakers", "emotions", "licence")]
    for name in names():
        corpus = get(name)
        rows.append(
            (
                corpus.name,
                corpus.language,
                str(corpus.expected.clips or "?"),
                str(corpus.expected.speakers or "?"),
                str(len(corpus.emotions)) if corpus.emotional else "arousal",
                corpus.licence,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]) for row in rows
    )


def _info(name: str, *, as_json: bool) -> str:
    corpus = get(name)
    facts = {
        "name": corpus.name,
        "title": corpus.title,
        "language": corpus.language,
        "licence": corpus.licence,
        "trains published weights": corpus.trains_published_weights,
        "citation": corpus.citation,
        "homepage": corpus.homepage,
        "layout": corpus.layout,
        "clips": corpus.expected.clips,
        "speakers": corpus.expected.speakers,
        "labels": corpus.labels,
        "views": {view: list(definition.classes) for view, definition in corpus.views.items()},
        "split": _split_text(name),
        "official split": corpus.official_split,
        "notes": list(corpus.notes),
    }
    if as_json:
        return json.dumps(facts, ensure_ascii=False, indent=2)
    return "\n".join(f"{key}: {_plain(value)}" for key, value in facts.items() if value not in (None, []))


def _split_text(name: str) -> str:
    corpus = get(name)
    if corpus.official_keeps_speakers_apart:
        return "the official one, which keeps speakers apart"
    if corpus.single_split is not None:
        return f"{corpus.single_split} alone"
    rest = "the others by the SHA-256 of their names, 80/10/10" if corpus.hashed_split else "train: the others"
    listed = [
        f"{split}: {' '.join(part)}"
        for split, part in (("validation", corpus.validation), ("test", corpus.test))
        if part
    ]
    return "; ".join([*listed, rest])


def _plain(value: Any) -> str:
    if value is None:
        return "(none of the seven)"
    if isinstance(value, dict):
        return "".join(f"\n  {key}: {_plain(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
