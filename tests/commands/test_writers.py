"""The four ways to write results; programs must be able to read back what was written."""

import csv
import io
import json

import pytest

from hf_mser.commands.writers import CsvWriter, JsonlWriter, JsonWriter, TableWriter

GOOD = {"input": "é, 1.wav", "label": "sad", "score": 0.75, "scores": {"sad": 0.75, "fear": 0.25}}
BAD = {"input": "b.wav", "error": 'no "such" file'}
SEGMENT = {"start": 0.0, "end": 4.0, "label": "fear", "score": 0.6, "scores": {"fear": 0.6, "sad": 0.4}}
LONG = {**GOOD, "segments": [SEGMENT, {**SEGMENT, "start": 3601.5, "end": 3605.5}]}


def written(make, *records):
    file = io.StringIO()
    writer = make(file)
    for record in records:
        writer.write(record)
    writer.close()
    return file.getvalue()


def test_jsonl_is_one_object_a_line():
    assert [json.loads(line) for line in written(JsonlWriter, GOOD, BAD, LONG).splitlines()] == [GOOD, BAD, LONG]


@pytest.mark.parametrize("records", [(), (GOOD,), (GOOD, BAD, LONG)])
def test_json_is_one_array(records):
    assert json.loads(written(JsonWriter, *records)) == list(records)


def test_csv_has_a_row_per_clip_and_a_column_per_label():
    text = written(lambda file: CsvWriter(file, ["fear", "sad"], timeline=False), GOOD, BAD)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[0] == {
        "input": "é, 1.wav",
        "label": "sad",
        "score": "0.75",
        "fear": "0.25",
        "sad": "0.75",
        "error": "",
    }
    assert (rows[1]["input"], rows[1]["error"], rows[1]["label"]) == ("b.wav", 'no "such" file', "")


def test_csv_time_line_has_a_row_per_window():
    text = written(lambda file: CsvWriter(file, ["fear", "sad"], timeline=True), LONG, BAD)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["input"], row["start"], row["label"], row["fear"]) for row in rows] == [
        ("é, 1.wav", "0.0", "fear", "0.6"),
        ("é, 1.wav", "3601.5", "fear", "0.6"),
        ("b.wav", "", "", ""),
    ]


def test_table_shows_the_word_bars_in_proportion_and_the_time_line():
    lines = written(TableWriter, LONG).splitlines()
    assert lines[0] == "é, 1.wav: sad (75 %)"
    assert [line.count("█") for line in lines[1:3]] == [18, 6]
    assert lines[3].startswith("  00:00.0 – 00:04.0  fear")
    assert lines[4].startswith("  1:00:01.5 – 1:00:05.5  fear")


def test_table_shows_an_error_under_its_input():
    assert written(TableWriter, BAD).splitlines()[:2] == ["b.wav", '  ✗ no "such" file']
