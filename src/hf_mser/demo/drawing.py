"""What was heard, as HTML: the word, a bar for each emotion, and the waveform in the colours of its emotions."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from ..commands.writers import UNSURE, clock, percent
from ..evaluation.plots import COLOURS
from .hearing import Hearing
from .stretches import Stretch, stretches

UNSURE_COLOUR = "#9a9aa2"
OTHER_COLOURS = ("#2f7ed8", "#d9822b", "#3c9d5f", "#b8488f", "#6f5bd0", "#a3742f", "#14919b", "#c2474b")
"""For words that are none of the seven emotions, in turn."""

BARS = 300
"""Bars of the waveform; at most, on a short clip."""

_SHORTEST_SECONDS_PER_BAR = 0.01
_EMPTY_HEIGHT = 0.02  # silence is a thin line, not nothing


def error_html(message: str) -> str:
    """An error as a sentence.

    Example:
        >>> error_html("a.wav: damaged.")
        '<p class="mser-error" role="alert">a.wav: damaged.</p>'
    """
    return f'<p class="mser-error" role="alert">{escape(message)}</p>'


def answer_html(hearing: Hearing) -> str:
    """The word that fits best, and how well every word fits."""
    record = hearing.record
    colours = colours_of(hearing.labels)
    rows = "".join(
        f'<div class="mser-row"><span class="mser-label">{escape(label)}</span>'
        f'<span class="mser-track"><span class="mser-bar" style="width:{100 * score:.1f}%;'
        f'background:{colours[label]}"></span></span><span class="mser-score">{percent(score)}</span></div>'
        for label, score in record["scores"].items()
    )
    silent = '<p class="mser-note">This is digital silence: the answer says nothing.</p>' if hearing.is_silent else ""
    word = record["label"]
    said = f"{escape(word)} <small>{percent(record['score'])}</small>" if word is not None else UNSURE
    return (
        f'<div class="mser-answer"><p class="mser-word" style="--emotion:{colours.get(word, UNSURE_COLOUR)}">{said}</p>'
        f"{silent}{rows}</div>"
    )


def timeline_html(hearing: Hearing, audio_url: str) -> str:
    """The waveform, coloured by what was heard; each stretch is a button that plays it."""
    parts = stretches(hearing.record, hearing.seconds)
    colours = colours_of(hearing.labels)
    strips = "".join(_strip(part, hearing.seconds, colours) for part in parts)
    listed = "".join(f"<li>{_list_entry(part, colours)}</li>" for part in parts) if len(parts) > 1 else ""
    whole = f'data-start="0" data-end="{hearing.seconds:.3f}"'
    return (
        f'<div class="mser-timeline"><audio preload="auto" src="{escape(audio_url)}"></audio>'
        f'<div class="mser-wave">{_waveform(hearing, parts, colours)}{strips}<span class="mser-head"></span></div>'
        f'<div class="mser-times"><button type="button" class="mser-play" {whole}>Play all</button>'
        f"<span>{len(parts)} stretch{'es' if len(parts) > 1 else ''} in {clock(hearing.seconds)}</span></div>"
        f'<ol class="mser-list">{listed}</ol></div>'
    )


def colours_of(labels: Iterable[str]) -> dict[str | None, str]:
    """A colour for each label: its own for the seven emotions, one after the other for other words.

    Example:
        >>> colours_of(["happy", "bored"]) == {"happy": COLOURS["happy"], "bored": OTHER_COLOURS[0]}
        True
    """
    others = [label for label in labels if label not in COLOURS]
    turns = {label: OTHER_COLOURS[index % len(OTHER_COLOURS)] for index, label in enumerate(others)}
    return {label: COLOURS.get(label) or turns[label] for label in labels}


def heights(samples: np.ndarray, seconds: float) -> np.ndarray:
    """The loudest sample of each of equally long pieces, 1 for the loudest of all.

    Example:
        >>> heights(np.array([0.0, 0.1, -0.5, 0.2]), 0.02).round(2).tolist()
        [0.2, 1.0]
    """
    count = max(1, min(BARS, int(seconds / _SHORTEST_SECONDS_PER_BAR), len(samples)))
    edges = np.linspace(0, len(samples), count, endpoint=False).astype(int)
    loudest = np.maximum.reduceat(np.abs(samples), edges)
    return loudest / max(float(loudest.max()), 1e-9)


def _waveform(hearing: Hearing, parts: Sequence[Stretch], colours: Mapping[str | None, str]) -> str:
    """One path for each stretch; a bar belongs to the stretch that its middle lies in."""
    tall = np.maximum(heights(hearing.samples, hearing.seconds), _EMPTY_HEIGHT)
    middles = (np.arange(len(tall)) + 0.5) * hearing.seconds / len(tall)
    owner = np.clip(np.searchsorted([part.start for part in parts], middles, side="right") - 1, 0, None)
    paths = []
    for place, part in enumerate(parts):
        bars = "".join(f"M{at + 0.5:g} {-tall[at]:.3f}V{tall[at]:.3f}" for at in np.flatnonzero(owner == place))
        paths.append(f'<path d="{bars}" stroke="{colours.get(part.label, UNSURE_COLOUR)}"/>')
    return (
        f'<svg viewBox="0 -1.05 {len(tall)} 2.1" preserveAspectRatio="none" role="img" '
        f'aria-label="Waveform, coloured by emotion">{"".join(paths)}</svg>'
    )


def _strip(part: Stretch, seconds: float, colours: Mapping[str | None, str]) -> str:
    """An invisible button over the waveform, with the word where there is room for it."""
    left, width = 100 * part.start / seconds, 100 * (part.end - part.start) / seconds
    return (
        f'<button type="button" class="mser-strip" {_data(part)} title="{escape(_said(part))}" tabindex="-1" '
        f'style="left:{left:.3f}%;width:{width:.3f}%;--emotion:{colours.get(part.label, UNSURE_COLOUR)}">'
        f"<span>{escape(part.label or UNSURE)}</span></button>"
    )


def _list_entry(part: Stretch, colours: Mapping[str | None, str]) -> str:
    score = percent(part.score) if part.label is not None else ""
    return (
        f'<button type="button" {_data(part)} style="--emotion:{colours.get(part.label, UNSURE_COLOUR)}">'
        f'<span class="mser-when">{clock(part.start)} – {clock(part.end)}</span>'
        f'<span class="mser-label">{escape(part.label or UNSURE)}</span>'
        f'<span class="mser-score">{score}</span></button>'
    )


def _data(part: Stretch) -> str:
    return f'data-start="{part.start:.3f}" data-end="{part.end:.3f}" data-label="{escape(part.label or "")}"'


def _said(part: Stretch) -> str:
    return f"{clock(part.start)} – {clock(part.end)}: {part.label or UNSURE}; click to hear it"
