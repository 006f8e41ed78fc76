"""Results files of all kinds -> one shape, the tables of a card, and the Hub's `model-index`.

The shape is an entry of `mser evaluate`'s results.json; whatever a source does not have is absent, and its column or
table is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..evaluation.report import genders_table, markdown_table, percent, recalls_table, span

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

Entry = Mapping[str, Any]

# The measures that the Hub's leaderboards know, by their names there.
MEASURES = (
    ("UA", "recall", "Unweighted accuracy (mean recall)", {"average": "macro"}),
    ("WA", "accuracy", "Weighted accuracy", None),
    ("WF1", "f1", "Weighted F1", {"average": "weighted"}),
)


def entries_of(results: Mapping[str, Any]) -> list[Entry]:
    """The entries of a results file of `mser evaluate`, of a training run, or of the zero-shot benchmark.

    Example:
        >>> entries_of({"sets": {"test/emodb": {"n": 8, "UA": 0.5}}})
        [{'corpus': 'test/emodb', 'source': '-', 'seed': 0, 'n': 8, 'UA': 0.5}]
    """
    if "results" in results:
        return list(results["results"])
    if "sets" in results:
        return [{"corpus": name, "source": "-", "seed": 0, **entry} for name, entry in results["sets"].items()]
    return [_of_zero_shot(name, entry) for name, entry in results.get("corpora", {}).items()]


def summary(entries: Sequence[Entry]) -> str:
    """The main table, with a column for everything that is known of any entry."""
    columns: list[tuple[str, Callable[[Entry], str]]] = [
        ("clips of", lambda entry: str(entry["corpus"])),
        ("language", lambda entry: str(entry.get("language", ""))),
        ("clips", lambda entry: str(entry.get("n", ""))),
        ("speakers", lambda entry: str(entry.get("speakers", ""))),
        ("classes", lambda entry: str(len(entry.get("classes_present") or entry.get("classes", ())) or "")),
        ("UA", lambda entry: percent(entry.get("UA"))),
        ("95 %", lambda entry: span((entry.get("intervals") or {}).get("UA"))),
        ("WA", lambda entry: percent(entry.get("WA"))),
        ("WF1", lambda entry: percent(entry.get("WF1"))),
        ("ECE", lambda entry: percent(entry.get("ECE"))),
    ]
    rows = [[show(entry) for _, show in columns] for entry in entries]
    shown = [number for number in range(len(columns)) if any(row[number] for row in rows)]
    head = [columns[number][0] for number in shown]
    return markdown_table([head, *([row[number] for number in shown] for row in rows)])


def languages(entries: Sequence[Entry]) -> str:
    """For each language the mean of its entries; nothing where no entry tells languages apart."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        for language, values in entry.get("per_language", {}).items():
            found.setdefault(language, []).append(values)
    if not found:
        return ""
    rows = [
        [
            language,
            str(sum(value["n"] for value in values)),
            *(percent(sum(value[name] for value in values) / len(values)) for name in ("UA", "WA", "WF1")),
        ]
        for language, values in sorted(found.items())
    ]
    return markdown_table([["language", "clips", "UA", "WA", "WF1"], *rows])


def genders(entries: Sequence[Entry]) -> str:
    """Women and men apart; nothing where no entry tells them apart."""
    known = [entry for entry in entries if {*entry.get("per_gender", ())} - {"unknown"}]
    return markdown_table(genders_table(known)) if known else ""


def recalls(entries: Sequence[Entry]) -> str:
    """The recall of each emotion; nothing where no entry has it."""
    known = [entry for entry in entries if entry.get("recall")]
    return markdown_table(recalls_table(known)) if known else ""


def model_index(entries: Sequence[Entry]) -> list[EvalResult]:
    """The entries as the Hub's evaluation results, in per cent."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="audio-classification",
            task_name="Speech emotion recognition",
            dataset_type=str(entry["corpus"]).split("/")[-1],
            dataset_name=str(entry["corpus"]),
            metric_type=kind,
            metric_name=title,
            metric_value=round(100 * entry[name], 1),
            metric_args=arguments,
        )
        for entry in entries
        for name, kind, title, arguments in MEASURES
        if entry.get(name) is not None
    ]


def _of_zero_shot(name: str, entry: Mapping[str, Any]) -> Entry:
    plain = entry["UA"]["without"]
    interval = plain.get("interval_95")
    known = {key: entry[key] for key in ("language", "speakers", "classes", "ECE") if key in entry}
    return {
        "corpus": name,
        "source": "-",
        "seed": 0,
        "n": entry["clips"],
        "UA": plain["own_classes"] / 100,
        "intervals": {"UA": [value / 100 for value in interval]} if interval else {},
        **known,
    }
