"""Fill in the card of the embedded mser-tiny from model_cards/mser-tiny.yaml and benchmarks/results.

    python model_cards/mser_tiny.py                                  # write the card
    python model_cards/mser_tiny.py --check                          # is it up to date?
    python model_cards/mser_tiny.py --evaluate ../shared/corpora/{casia,emovo,spanish_uem,tess,urdu}

With --evaluate the checkpoint first answers whole corpora (`mser evaluate`), for the figures by language, gender and
emotion. Results of other weights than the checkpoint's are left out, as are files that do not exist.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hf_mser.cards.model_card import ModelFacts, model_card
from hf_mser.cards.results import Entry, entries_of
from hf_mser.cards.run_card import cost_text
from hf_mser.corpora import get
from hf_mser.evaluation.checkpoint import digest_of
from hf_mser.evaluation.files import write_json, write_text
from hf_mser.evaluation.report import markdown_table
from hf_mser.registration import EMBEDDED_CHECKPOINT

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CARD = EMBEDDED_CHECKPOINT / "README.md"
ACCURACY, EVALUATION, CORPORA = "accuracy_mser_tiny", "evaluation_mser_tiny", "corpora"
COST = "cost_mser_tiny"


def main() -> int:
    """Write the card, or with `--check` say by the exit status whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 if the card is not up to date")
    parser.add_argument("--evaluate", nargs="+", metavar="DIR", help="folders of prepared corpora to answer first")
    arguments = parser.parse_args()
    if arguments.evaluate:
        evaluate(arguments.evaluate)
    text = card()
    if arguments.check:
        return int(text != CARD.read_text(encoding="utf-8"))
    write_text(CARD, text)
    return 0


def evaluate(corpora: list[str]) -> None:
    """`mser evaluate`, kept without the parts that a card does not quote."""
    from hf_mser.cli import main as mser

    with tempfile.TemporaryDirectory() as folder:
        if mser(["evaluate", "--data", *corpora, "--no-report", "--output", folder]):
            sys.exit(2)
        results = json.loads((Path(folder) / "results.json").read_text(encoding="utf-8"))
    for entry in results["results"]:
        entry.pop("calibration"), entry.pop("tasks")
    write_json(RESULTS / f"{EVALUATION}.json", results)


def card(results: Path = RESULTS) -> str:
    """The card, from whatever results there are."""
    facts = yaml.safe_load((ROOT / "model_cards" / "mser-tiny.yaml").read_text(encoding="utf-8"))
    names = yaml.safe_load((ROOT / facts["recipe"]).read_text(encoding="utf-8"))["corpora"]
    known = _read(results / f"{CORPORA}.json").get("corpora", {})
    return model_card(
        ModelFacts(
            name=facts["name"],
            description=facts["description"].strip(),
            config=_read(EMBEDDED_CHECKPOINT / "config.json"),
            licence=facts["licence"],
            languages=sorted({get(name).language for name in names}),
            datasets=names,
            training_data=_training_data(names, known),
            data_terms=facts["data_terms"].strip(),
            procedure=facts["procedure"].strip(),
            protocols=[facts["protocol"].strip(), "Written by `python benchmarks/accuracy/zero_shot.py`."],
            sections=_tables(results),
            limits=[limit.strip() for limit in facts["limits"]],
            cost=cost_text(_read(results / f"{COST}.json")),
            entries=_entries(results),
        )
    )


def _entries(results: Path) -> list[Entry]:
    """What `mser evaluate` found with these weights, or else what the zero-shot benchmark did."""
    evaluated = _read(results / f"{EVALUATION}.json")
    if evaluated.get("model", {}).get("digest") == digest_of(EMBEDDED_CHECKPOINT):
        return entries_of(evaluated)
    accuracy = entries_of(_read(results / f"{ACCURACY}.json"))
    return [{"language": get(str(entry["corpus"])).language, **entry} for entry in accuracy]


def _tables(results: Path) -> list[tuple[str, str]]:
    """Every table that a benchmark wrote about mser-tiny, under the name of its file."""
    first = [results / f"{ACCURACY}.md"]
    others = sorted(set(results.glob("*_mser_tiny.md")) - set(first))
    titles = {ACCURACY: "Adapted to unlabelled clips"}
    return [
        (titles.get(path.stem, path.stem.removesuffix("_mser_tiny").capitalize()), path.read_text("utf-8").strip())
        for path in (*first, *others)
        if path.is_file()
    ]


def _training_data(names: list[str], known: Mapping[str, Any]) -> str:
    rows = []
    for name in names:
        corpus, counts = get(name), known.get(name, {})
        rows.append(
            (
                corpus.title,
                corpus.language,
                *(str(counts.get(key, "")) for key in ("clips", "speakers", "hours")),
                corpus.licence,
            )
        )
    head = ("corpus", "language", "clips", "speakers", "hours", "licence")
    total = sum(known.get(name, {}).get("clips", 0) for name in names)
    hours = sum(known.get(name, {}).get("hours", 0) for name in names)
    more = f"{total} clips, {hours:.1f} hours of acted speech, and copies with changed speed and recording conditions."
    return f"{markdown_table([head, *rows])}\n\n{more}"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


if __name__ == "__main__":
    sys.exit(main())
