"""ESD: ten Mandarin and ten English speakers, the same 350 sentences in four emotions and neutral."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .definition import Clip, Corpus, Expected, Problem
from .reading import Groups, by_name, people

_CHINESE = {"中立": "Neutral", "快乐": "Happy", "伤心": "Sad", "生气": "Angry", "惊喜": "Surprise"}
_FOLDERS = {"train": "train", "evaluation": "validation", "test": "test"}


def _details(groups: Groups) -> Groups:
    """Language by speaker; the authors' split by folder or, in copies without its folders, by number."""
    place = (int(groups["sentence"]) - 1) % 350
    numbered = "validation" if place < 20 else "test" if place < 50 else "train"
    return groups | {
        "language": "zh" if groups["speaker"] <= "0010" else "en",
        "official_split": _FOLDERS.get(groups.get("official_split", ""), numbered),
    }


_names = by_name(
    r"(?P<label>[A-Za-z\u4e00-\u9fff]+)/(?:(?P<official_split>train|evaluation|test)/)?"
    r"(?P<speaker>\d{4})_(?P<sentence>\d{6})\.wav",
    labels=_CHINESE,
    genders=people(
        female="0001 0002 0003 0007 0009 0015 0016 0017 0018 0019",
        male="0004 0005 0006 0008 0010 0011 0012 0013 0014 0020",
    ),
    details=_details,
)


def _read(source: Path) -> Iterator[Clip | Problem]:
    texts = dict(_texts(source))
    for found in _names(source):
        if isinstance(found, Clip):
            yield replace(found, text=texts.get(f"{found.speaker}_{found.sentence}"))
        else:
            yield found


def _texts(source: Path) -> Iterator[tuple[str, str]]:
    """Lines are name, text, emotion; the files of a few speakers are in other encodings."""
    for path in sorted(source.rglob("00[0-9][0-9].txt")):
        raw = path.read_bytes()
        encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        for line in raw.decode(encoding, errors="replace").splitlines():
            name, _, rest = line.strip().partition("\t")
            if rest:
                yield name, rest.split("\t")[0].strip()


CORPUS = Corpus(
    name="esd",
    title="ESD: Emotional Speech Database",
    language="zh",
    licence="research only, under its licence form",
    citation="Zhou et al., Emotional voice conversion: Theory, databases and ESD, Speech Communication 137, 2022",
    homepage="https://hltsingapore.github.io/ESD/",
    layout="0001/Angry/0001_000351.wav (some copies: 0001/Angry/train/...) and 0001/0001.txt",
    reader=_read,
    expected=Expected(
        clips=35_000,
        speakers=20,
        labels=dict.fromkeys(("Neutral", "Happy", "Sad", "Angry", "Surprise"), 7_000),
    ),
    validation=("0007", "0008", "0017", "0013"),
    test=("0009", "0010", "0019", "0020"),
    official_split="parallel sentences apart, speakers shared: 300 / 20 / 30 of each speaker and emotion",
    notes=("Speakers 0001 to 0010 speak Mandarin, 0011 to 0020 English; all read the same 350 sentences.",),
)
