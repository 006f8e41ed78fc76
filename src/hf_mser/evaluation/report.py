"""`report.md` and `report.html`: the same sections, once as text with linked figures, once as one file.

Everything shown comes from `results.json` and the predictions; nothing is typed.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .files import write_text
from .matrix import matrix_of
from .plots import title_of
from .run import EMBEDDINGS

PLOTS = "plots"
_FEWEST_POINTS = 12

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0;display:block;overflow-x:auto}"
    "th,td{border:1px solid #ccc;padding:.25em .6em;text-align:right;white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left}img{max-width:100%}"
)


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it."""

    title: str
    paragraphs: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    """The head, then the rows."""
    figure: str | None = None
    bullets: tuple[str, ...] = field(default=())


def write_report(output: Path, results: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> None:
    """Draw the figures and write both reports into the results folder.

    Example:
        >>> write_report(Path("out"), results, lines)  # doctest: +SKIP
    """
    figures = _draw(output, results, lines)
    sections = _sections(results, figures)
    title = f"{results['model'].get('name')} under {results['protocol']['name']}"
    write_text(output / "report.md", _markdown(title, sections))
    write_text(output / "report.html", _html(title, sections, output))


def summary_table(results: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """The main table: one row a result, and the mean.

    Example:
        >>> summary_table(results)[0][:3]  # doctest: +SKIP
        ('test', 'language', 'n')
    """
    head = (
        "test",
        "language",
        "n",
        "speakers",
        "classes",
        "WA",
        "UA",
        "UA 95 %",
        "WF1",
        "precision",
        "macro-F1",
        "ECE",
    )
    rows = [
        (
            title_of(entry),
            entry["language"],
            str(entry["n"]),
            str(entry["speakers"]),
            str(len(entry["classes"])),
            percent(entry["WA"]),
            percent(entry["UA"]),
            span(entry["intervals"]["UA"]),
            percent(entry["WF1"]),
            percent(entry["precision"]),
            percent(entry["macro_F1"]),
            percent(entry["ECE"]),
        )
        for entry in results["results"]
    ]
    mean = results["mean"]
    if mean["of"] > 1:
        values = (mean["WA"], mean["UA"], mean["WF1"], mean["precision"], mean["macro_F1"])
        wa, ua, wf1, precision, macro = map(percent, values)
        interval = span(mean["intervals"]["UA"])
        rows.append((f"mean of {mean['of']}", "", "", "", "", wa, ua, interval, wf1, precision, macro, ""))
    return (head, *rows)


def text_table(table: Sequence[Sequence[str]]) -> str:
    """A table for the terminal, columns aligned.

    Example:
        >>> print(text_table([("test", "UA"), ("emodb", "61.3")]))
        test     UA
        emodb  61.3
    """
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    rows = (
        [
            cell.ljust(width) if position == 0 else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in table
    )
    return "\n".join("  ".join(row).rstrip() for row in rows)


def _draw(output: Path, results: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The figures that this evaluation has, by file name."""
    from . import plots

    folder = output / PLOTS
    entries = results["results"]
    plots.confusions(entries, folder / "confusion.png")
    plots.language_bars(entries, folder / "languages.png")
    plots.reliability(lines, folder / "reliability.png")
    drawn = ["confusion.png", "languages.png", "reliability.png"]
    matrix = matrix_of(results)
    if len(matrix.sources) > 1:
        plots.heat_map(matrix, folder / "matrix.png")
        drawn.append("matrix.png")
    if (output / EMBEDDINGS).is_file() and len(lines) >= _FEWEST_POINTS:
        plots.embedding_map(np.load(output / EMBEDDINGS), lines, folder / "embeddings.png")
        drawn.append("embeddings.png")
    return drawn


def _sections(results: Mapping[str, Any], figures: Sequence[str]) -> list[Section]:
    entries = results["results"]
    protocol = results["protocol"]
    sections = [
        Section(
            "Results",
            (f"Protocol {protocol['name']}: {protocol['description']} All values in per cent.",),
            summary_table(results),
            bullets=tuple(results["notes"]),
        ),
        Section("Languages", (), _languages(results), f"{PLOTS}/languages.png"),
        Section("Recall of each emotion", (), recalls_table(entries)),
        Section("Women and men", (), genders_table(entries)),
        Section("Confusion", ("Rows are the reference, shares of a row in per cent.",), (), f"{PLOTS}/confusion.png"),
        Section("Reliability", ("Answers by confidence, over all clips.",), (), f"{PLOTS}/reliability.png"),
    ]
    if "matrix.png" in figures:
        sections.append(Section("Train x test", (), _matrix(results), f"{PLOTS}/matrix.png"))
    if "embeddings.png" in figures:
        note = "t-SNE of the emotion embeddings: by emotion on the left, by language on the right."
        sections.append(Section("Embeddings", (note,), (), f"{PLOTS}/embeddings.png"))
    sections.append(Section("Clips", ("What taught, chose and judged.",), _sides(entries)))
    return sections


def _languages(results: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    rows = [
        (language, str(values["entries"]), percent(values["WA"]), percent(values["UA"]), percent(values["WF1"]))
        for language, values in results["languages"].items()
    ]
    return (("language", "results", "WA", "UA", "WF1"), *rows)


def recalls_table(entries: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], ...]:
    """The recall of each emotion, a row for each result."""
    emotions = list(dict.fromkeys(emotion for entry in entries for emotion in entry["classes"]))
    rows = [(title_of(entry), *(percent(entry["recall"].get(emotion)) for emotion in emotions)) for entry in entries]
    return (("test", *emotions), *rows)


def genders_table(entries: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], ...]:
    """Women and men apart, two rows for each result."""
    rows = [
        (title_of(entry), gender, str(values["n"]), percent(values["WA"]), percent(values["UA"]))
        for entry in entries
        for gender, values in entry["per_gender"].items()
    ]
    return (("test", "gender", "n", "WA", "UA"), *rows)


def _matrix(results: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    matrix = matrix_of(results)
    rows = [
        (source, *(percent(value) for value in row))
        for source, row in zip(matrix.sources, matrix.values.tolist(), strict=True)
    ]
    return (("train \\ test", *matrix.targets), *rows)


def _sides(entries: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], ...]:
    sides = ("train", "auxiliary", "unlabelled", "validation", "test")
    rows = []
    for entry in entries:
        for task in entry["tasks"]:
            found = [task["sides"].get(side) for side in sides]
            cells = [f"{side['clips']} ({side['speakers']})" if side else "" for side in found]
            rows.append((task["name"], *cells, str(task["shared_speakers"]), (found[-1] or {}).get("sha256", "")[:12]))
    heads = tuple(f"{side}: clips (speakers)" for side in sides)
    return (("task", *heads, "shared speakers", "digest of test"), *rows)


def _markdown(title: str, sections: Sequence[Section]) -> str:
    parts = [f"# {title}"]
    for section in sections:
        parts.append(f"## {section.title}")
        parts += section.paragraphs
        if len(section.table) > 1:
            parts.append(markdown_table(section.table))
        if section.figure:
            parts.append(f"![{section.title}]({section.figure})")
        if section.bullets:
            parts.append("\n".join(f"- {bullet}" for bullet in section.bullets))
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Sequence[Sequence[str]]) -> str:
    """A table as Markdown: the head, then the rows; numbers to the right.

    Example:
        >>> print(markdown_table([("test", "UA"), ("emodb", "61.3")]))
        | test | UA |
        |---|---:|
        | emodb | 61.3 |
    """
    head, *rows = table
    rule = "|".join(["---", *["---:"] * (len(head) - 1)])
    return "\n".join([_row(head), f"|{rule}|", *map(_row, rows)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _html(title: str, sections: Sequence[Section], output: Path) -> str:
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        parts.append(f"<h2>{html.escape(section.title)}</h2>")
        parts += [f"<p>{html.escape(paragraph)}</p>" for paragraph in section.paragraphs]
        if len(section.table) > 1:
            head, *rows = section.table
            body = "".join(_html_row(row, "td") for row in rows)
            parts.append(f"<table>{_html_row(head, 'th')}{body}</table>")
        if section.figure:
            image = base64.b64encode((output / section.figure).read_bytes()).decode()
            parts.append(f'<img alt="{html.escape(section.title)}" src="data:image/png;base64,{image}">')
        if section.bullets:
            parts.append("<ul>" + "".join(f"<li>{html.escape(b)}</li>" for b in section.bullets) + "</ul>")
    top = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{top}</head><body>{"".join(parts)}</body></html>\n'


def _html_row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def percent(value: float | None) -> str:
    """A share as per cent with one decimal; nothing for nothing."""
    return "" if value is None or not np.isfinite(value) else f"{100 * value:.1f}"


def span(interval: Sequence[float] | None) -> str:
    """An interval of shares in per cent."""
    return "" if interval is None else f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"
