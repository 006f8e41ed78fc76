"""The HTML of an answer: right numbers, nothing of a visitor's words is taken as HTML, abstention has a face."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from hf_mser.commands.writers import UNSURE
from hf_mser.demo.drawing import BARS, COLOURS, UNSURE_COLOUR, answer_html, error_html, heights, timeline_html
from hf_mser.demo.hearing import Hearing

SAMPLES = np.sin(np.arange(160_000) / 7).astype(np.float32) * np.linspace(0.01, 1, 160_000, dtype=np.float32)


def hearing(label="happy", samples=SAMPLES, segments=None, labels=("happy", "sad")):
    record = {"input": "a.wav", "label": label, "score": 0.7, "scores": {labels[0]: 0.7, labels[1]: 0.3}}
    return Hearing({**record, **({"segments": segments} if segments else {})}, list(labels), samples)


def test_bars_are_as_wide_as_the_probabilities_and_in_their_colours():
    page = ElementTree.fromstring(answer_html(hearing()))
    assert page.find("p[@class='mser-word']").text.strip() == "happy"
    bars = page.findall(".//span[@class='mser-bar']")
    assert [bar.get("style") for bar in bars] == [
        f"width:70.0%;background:{COLOURS['happy']}",
        f"width:30.0%;background:{COLOURS['sad']}",
    ]
    assert [score.text for score in page.findall(".//span[@class='mser-score']")] == ["70 %", "30 %"]


def test_abstention_is_said_and_still_shows_the_scores():
    page = ElementTree.fromstring(answer_html(hearing(label=None)))
    assert page.find("p[@class='mser-word']").text == UNSURE
    assert len(page.findall(".//span[@class='mser-bar']")) == 2
    part = {"start": 0.0, "end": 10.0, "label": None, "score": 0.4, "scores": {}}
    drawn = timeline_html(hearing(label=None, segments=[part]), "a.wav")
    assert UNSURE in drawn
    assert UNSURE_COLOUR in drawn
    assert "None" not in drawn


def test_words_and_messages_of_a_visitor_stay_text():
    nasty = "<img src=x onerror=alert(1)>\"'"
    drawn = [
        answer_html(hearing(label=nasty, labels=(nasty, "sad"))),
        timeline_html(hearing(label=nasty, labels=(nasty, "sad")), f"file={nasty}"),
        error_html(nasty),
    ]
    for html in drawn:
        assert "<img" not in html
        assert "&lt;img src=x" in html


def test_every_bar_of_the_waveform_belongs_to_the_stretch_it_lies_in():
    segments = [
        {"start": 0.0, "end": 4.0, "label": "sad", "score": 0.6},
        {"start": 4.0, "end": 10.0, "label": "happy", "score": 0.8},
    ]
    drawn = timeline_html(hearing(segments=segments), "a.wav")
    paths = dict(re.findall(r'<path d="([^"]*)" stroke="([^"]*)"', drawn))
    counts = {colour: bars.count("M") for bars, colour in paths.items()}
    assert counts == {COLOURS["sad"]: 0.4 * BARS, COLOURS["happy"]: 0.6 * BARS}
    strips = re.findall(r'class="mser-strip" data-start="([\d.]+)" data-end="([\d.]+)" data-label="(\w+)"', drawn)
    assert strips == [("0.000", "4.000", "sad"), ("4.000", "10.000", "happy")]
    assert "left:40.000%;width:60.000%" in drawn


@pytest.mark.parametrize("count", [1, 7, 401, 16_000, 123_457])
def test_heights_are_the_loudest_samples_of_their_pieces(count):
    samples = np.random.default_rng(count).normal(size=count)
    tall = heights(samples, count / 16_000)
    edges = [int(place * count / len(tall)) for place in range(len(tall))] + [count]
    loudest = [np.abs(samples[start:end]).max() for start, end in itertools.pairwise(edges)]
    np.testing.assert_allclose(tall, np.array(loudest) / np.abs(samples).max())


def test_silence_is_drawn_and_named():
    silent = hearing(samples=np.zeros(16_000, np.float32))
    assert "digital silence" in answer_html(silent)
    assert "nan" not in timeline_html(silent, "a.wav").lower()
