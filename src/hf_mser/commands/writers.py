"""Results on paper: a table with bars for people, json, jsonl and csv for programs.

A record is a dictionary `{"input", "label", "score", "scores": {label: score}}`, with `"segments"` if a time line
was asked for, or `{"input", "error"}`. The label is None where the model abstained.
"""

import csv
import json
from typing import IO, Any

BAR = "█"
BAR_WIDTH = 24
UNSURE = "not sure"


class JsonlWriter:
    """One object a line, as soon as it is there."""

    def __init__(self, file: IO[str]):
        self.file = file

    def write(self, record: dict[str, Any]) -> None:
        self.file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self.file.flush()

    def close(self) -> None:
        """Nothing is held back."""


class JsonWriter:
    """One array of all objects, written as it grows: memory stays flat."""

    def __init__(self, file: IO[str]):
        self.file = file
        self.separator = "[\n  "

    def write(self, record: dict[str, Any]) -> None:
        self.file.write(self.separator + json.dumps(record, ensure_ascii=False))
        self.separator = ",\n  "

    def close(self) -> None:
        self.file.write("[]\n" if self.separator.startswith("[") else "\n]\n")


class CsvWriter:
    """A row per clip, or per window of the time line, with a column per emotion."""

    def __init__(self, file: IO[str], labels: list[str], timeline: bool):
        times = ["start", "end"] if timeline else []
        self.rows = csv.DictWriter(file, ["input", *times, "label", "score", *labels, "error"], lineterminator="\n")
        self.rows.writeheader()

    def write(self, record: dict[str, Any]) -> None:
        for part in record.get("segments", [record]):
            row = {"input": record["input"], **{key: value for key, value in part.items() if key != "scores"}}
            self.rows.writerow({**row, **part.get("scores", {})})

    def close(self) -> None:
        """Nothing is held back."""


class TableWriter:
    """For people: the word, then a bar per emotion; for a time line a row per window."""

    def __init__(self, file: IO[str]):
        self.file = file

    def write(self, record: dict[str, Any]) -> None:
        self.file.write(_table(record) + "\n")
        self.file.flush()

    def close(self) -> None:
        """Nothing is held back."""


def _table(record: dict[str, Any]) -> str:
    if "error" in record:
        return f"{record['input']}\n  ✗ {record['error']}\n"
    width = max(len(label) for label in record["scores"])
    lines = [f"{record['input']}: {record['label'] or UNSURE} ({percent(record['score'])})"]
    lines += [f"  {label:<{width}}  {_bar(score)} {percent(score):>5}" for label, score in record["scores"].items()]
    for part in record.get("segments", []):
        when = f"{clock(part['start'])} – {clock(part['end'])}"
        lines.append(f"  {when}  {part['label'] or UNSURE:<{width}}  {_bar(part['score'])} {percent(part['score']):>5}")
    return "\n".join(lines) + "\n"


def _bar(score: float) -> str:
    return f"{BAR * round(score * BAR_WIDTH):<{BAR_WIDTH}}"


def percent(score: float) -> str:
    """A probability in whole per cent.

    Example:
        >>> percent(0.714)
        '71 %'
    """
    return f"{100 * score:.0f} %"


def clock(seconds: float) -> str:
    """A moment in minutes and seconds, with hours if there are any.

    Example:
        >>> clock(83.2)
        '01:23.2'
    """
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes:02d}:{rest:04.1f}"
