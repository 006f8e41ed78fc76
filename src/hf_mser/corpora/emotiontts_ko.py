"""emotiontts_open_db: the public part of a Korean corpus for expressive synthesis, four classes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .definition import Clip, Corpus, Expected, Problem
from .reading import Groups, by_name, people

# The documentation swaps the last two; the scripts and the sound say otherwise.
_LABELS = {"0": "일반 (neutral)", "1": "기쁨 (joy)", "2": "슬픔 (sadness)", "3": "화남 (anger)"}


def _details(groups: Groups) -> Groups:
    """`neutral` scripts repeat in every emotion, emotional ones differ by emotion: the number tells which."""
    hundreds = groups["label"] if groups["sentence"] == "emotional" else "0"
    number = f"{hundreds}{groups.pop('number')}"
    return groups | {"sentence": f"{groups['sentence']}-{number}"}


_names = by_name(
    r"(?P<sentence>plain|emotional)-to-emotional/(?P<speaker>[a-z]{3})/wav/[a-z]{3}00(?P<label>\d)(?P<number>\d\d)"
    r"\.wav",
    labels=_LABELS,
    genders=people(female="ema emb nea neb nec ned nee", male="emf emg emh nek nel nem nen neo"),
    details=_details,
)


def _read(source: Path) -> Iterator[Clip | Problem]:
    for found in _names(source):
        if isinstance(found, Clip):
            script = (source / found.path.replace("/wav/", "/script/")).with_suffix(".txt")
            text = script.read_text(encoding="utf-8-sig", errors="replace").strip() if script.is_file() else None
            yield replace(found, text=text or None)
        else:
            yield found


CORPUS = Corpus(
    name="emotiontts_ko",
    title="emotiontts_open_db: Korean emotional speech, public part",
    language="ko",
    licence="CC BY-NC-SA 4.0 (README of the repository), research only",
    citation="emotiontts_open_db: Korean database for expressive speech synthesis, GitHub, 2019",
    homepage="https://github.com/emotiontts/emotiontts_open_db",
    layout="Dataset/SpeechCorpus/Emotional/plain-to-emotional/ema/{wav,script}/ema00101.*: block and number",
    reader=_read,
    expected=Expected(clips=300, speakers=15, labels=dict.fromkeys(_LABELS.values(), 75)),
    validation=("nea", "nek"),
    test=("emb", "emh", "nee", "neo"),
    trains_published_weights=True,
    notes=(
        "The source's documentation swaps anger and sadness; corrected here. The emotional scripts differ by "
        "emotion, so words alone give them away.",
    ),
)
