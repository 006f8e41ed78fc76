"""IEMOCAP: ten English-speaking actors in five sessions of dialogue, ten categories by listeners."""

import re
from collections.abc import Iterator
from pathlib import Path

from .definition import Clip, Corpus, Expected, Problem
from .reading import by_tail, missing

_TURN = re.compile(r"^\[[\d.]+ - [\d.]+\]\t(\S+)\t([a-z]{3})\t\[", re.MULTILINE)
_LINE = re.compile(r"^(Ses\w+) \[[\d.]+-[\d.]+\]: ?(.*)$", re.MULTILINE)


def _read(source: Path) -> Iterator[Clip | Problem]:
    audio = by_tail(source, parts=2)
    texts = dict(_transcriptions(source))
    for table in sorted(source.rglob("EmoEvaluation/Ses*.txt")):
        for name, label in _TURN.findall(table.read_text(encoding="utf-8", errors="replace")):
            path = audio.get(f"{name.rpartition('_')[0]}/{name}")
            if path is None:
                yield missing(f"{name}.wav", table)
                continue
            # Ses01F_impro01_M003: the first letter says who wore the markers, the last who speaks.
            sex = name.rpartition("_")[2][0]
            yield Clip(
                id=name,
                path=path,
                label=label,
                speaker=f"{name[:5]}{sex}",
                gender={"F": "female", "M": "male"}[sex],
                text=texts.get(name),
                sentence=name.rpartition("_")[0][7:],
            )


def _transcriptions(source: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(source.rglob("transcriptions/Ses*.txt")):
        yield from _LINE.findall(path.read_text(encoding="utf-8", errors="replace"))


CORPUS = Corpus(
    name="iemocap",
    title="IEMOCAP: Interactive Emotional Dyadic Motion Capture",
    language="en",
    licence="research only, under the licence of USC SAIL",
    citation="Busso et al., IEMOCAP: Interactive emotional dyadic motion capture database, LREV 42, 2008",
    homepage="https://sail.usc.edu/iemocap/",
    layout="Session1/sentences/wav/*/*.wav and Session1/dialog/{EmoEvaluation,transcriptions}/*.txt",
    reader=_read,
    expected=Expected(
        clips=10_039,
        speakers=10,
        labels={
            "neu": 1708,
            "hap": 595,
            "exc": 1041,
            "sad": 1084,
            "ang": 1103,
            "sur": 107,
            "dis": 2,
            "fea": 40,
            "fru": 1849,
            "oth": 3,
            "xxx": 2507,
        },
    ),
    validation=("Ses04F", "Ses04M"),
    test=("Ses05F", "Ses05M"),
    notes=(
        "The 4-class view merges happy and excited (5,531 clips). Sessions are never divided. Two disgusted clips "
        "make the mean recall of the 7-class view unstable.",
    ),
)
