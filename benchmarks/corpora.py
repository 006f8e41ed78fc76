"""Prepare and load every corpus of a folder, compare the counts with its README, write the fact table.

    python benchmarks/corpora.py [--corpora ../shared/corpora] [--emobox ../shared/emobox] [--prepared DIR]

The folder holds one audio folder per corpus and a README.md with the table of what must be there. The
results go to benchmarks/results/corpora.json; the exit status is 1 when any count differs.
"""

import argparse
import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hf_mser.corpora import get, load_corpus
from hf_mser.corpora.emobox import check_fold, read_fold
from hf_mser.corpora.prepare import prepare
from hf_mser.emotions import EMOTIONS

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "corpora.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, default=REPOSITORY.parent / "shared" / "corpora")
    parser.add_argument("--emobox", type=Path, default=REPOSITORY.parent / "shared" / "emobox")
    parser.add_argument("--prepared", type=Path, help="keep the prepared folders here (default: a temporary folder)")
    arguments = parser.parse_args()

    documented = read_table(arguments.corpora / "README.md")
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.prepared or Path(scratch)
        corpora = {name: facts_of(name, arguments.corpora / name, root / name, row) for name, row in documented.items()}
    results = {"corpora": corpora, "totals": totals(corpora), "emobox_folds": emobox(arguments.emobox)}
    write(results)
    for name, facts in corpora.items():
        print(f"{name:14} {facts['clips']:5} clips  {facts['speakers']:3} speakers  counts equal: {facts['equal']}")
    return int(not all(facts["equal"] for facts in corpora.values()))


def read_table(readme: Path) -> dict[str, dict[str, str]]:
    """The Markdown table of the README: corpus -> its cells by the names of the columns."""
    lines = [line for line in readme.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head, rows = cells[0], cells[2:]
    return {row[head.index("folder")]: dict(zip(head, row, strict=True)) for row in rows}


def facts_of(name: str, source: Path, output: Path, documented: dict[str, str]) -> dict[str, Any]:
    """One corpus, prepared and loaded again, beside what its documentation says."""
    report = prepare(name, source, output)
    dataset, original = load_corpus(output, verify=True), load_corpus(source)
    emotions = Counter("null" if index is None else EMOTIONS[index] for index in dataset["emotion"][:])
    found = {
        "clips": len(dataset),
        "speakers": len(set(dataset["speaker"][:])),
        "hours": round(sum(dataset["duration"][:]) / 3600, 2),
        "language": sorted(set(dataset["language"][:])),
    }
    expected = {
        "clips": int(documented["clips"]),
        "speakers": int(documented["speakers"]),
        "hours": float(documented["hours"]),
        "language": [documented["language"]],
    }
    same = ("emotion", "original_label", "speaker", "gender", "language", "text", "split")
    return {
        **found,
        "emotions": dict(sorted(emotions.items())),
        "splits": report.facts["splits"],
        "licence": get(name).licence,
        "trains_published_weights": get(name).trains_published_weights,
        "notes": list(get(name).notes),
        "problems": [str(problem) for problem in report.problems],
        "documented": {**expected, "group": documented["group"], "emotions": documented["emotions"]},
        "equal": found == expected and all(dataset[column][:] == original[column][:] for column in same),
    }


def totals(corpora: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "corpora": len(corpora),
        "clips": sum(facts["clips"] for facts in corpora.values()),
        "languages": sorted({language for facts in corpora.values() for language in facts["language"]}),
        "hours": round(sum(facts["hours"] for facts in corpora.values()), 2),
    }


def emobox(folder: Path) -> dict[str, dict[str, Any]]:
    """The overlap of speakers in the published folds, corpus by corpus."""
    reports = {}
    for corpus in sorted(path for path in folder.iterdir() if (path / "fold_1").is_dir()):
        try:
            report = check_fold(read_fold(corpus))
        except FileNotFoundError:  # a sample without one of its sides
            continue
        reports[corpus.name] = {
            "clips": dict(report.clips),
            "speakers_known": report.speakers_known,
            "test_speakers": report.speakers["test"] if report.speakers_known else None,
            "test_speakers_also_trained_on": len(report.shared_speakers) if report.speakers_known else None,
        }
    return reports


def write(results: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    partial = RESULTS.with_suffix(".partial")
    partial.write_text(json.dumps(results, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, RESULTS)


if __name__ == "__main__":
    raise SystemExit(main())
