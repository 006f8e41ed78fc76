"""Overlapping windows become stretches that lie end to end."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_mser.demo.stretches import stretches

LABELS = ["happy", "sad", None]


def windows(labels, window=4.0, hop=2.0):
    return [
        {"start": hop * place, "end": hop * place + window, "label": label, "score": 0.5 + place / 100}
        for place, label in enumerate(labels)
    ]


def test_a_short_clip_is_one_stretch():
    assert stretches({"label": "sad", "score": 0.6, "scores": {}}, 2.5) == [(0.0, 2.5, "sad", 0.6)]


def test_neighbours_that_agree_are_joined_and_cut_in_the_middle_of_the_overlap():
    parts = stretches({"segments": windows(["sad", "sad", "happy", None])}, 10.0)
    assert [(part.start, part.end, part.label) for part in parts] == [
        (0.0, 5.0, "sad"),
        (5.0, 7.0, "happy"),
        (7.0, 10.0, None),
    ]
    assert parts[0].score == pytest.approx((0.5 * 3 + 0.51 * 2) / 5)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=40), st.floats(2.001, 4.0))
def test_stretches_cover_everything_once_and_say_what_the_windows_said(labels, last):
    segments = windows(labels)
    segments[-1]["end"] = segments[-1]["start"] + last  # the last window always reaches further than the one before
    seconds = segments[-1]["end"]
    parts = stretches({"segments": segments}, seconds)
    assert parts[0].start == 0
    assert parts[-1].end == seconds
    assert all(part.start < part.end for part in parts)
    for before, after in itertools.pairwise(parts):
        assert before.end == after.start
        assert before.label != after.label
    for segment in segments[:-1]:  # the middle of a window is its own
        middle = (segment["start"] + segment["end"]) / 2
        assert next(part for part in parts if part.start <= middle < part.end).label == segment["label"]
