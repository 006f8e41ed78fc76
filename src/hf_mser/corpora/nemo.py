"""nEMO: nine Polish actors, ninety sentences, five emotions and neutral."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .definition import Clip, Corpus, Expected, Problem
from .reading import by_name, people, table

_names = by_name(
    r"(?P<speaker>[A-Z]{2}\d)_(?P<label>[a-z]+)_(?P<sentence>\d+)\.wav",
    genders=people(female="EB0 IC0 KD0 MK0", male="KS0 MP0 SM0 TP0 WR0"),
)


def _read(source: Path) -> Iterator[Clip | Problem]:
    texts: dict[str, str] = {}
    for path in sorted(source.rglob("data.tsv")):
        rows = table(path, "file_id", "raw_text", delimiter="\t")
        texts.update((row["file_id"].removesuffix(".wav"), row["raw_text"]) for row in rows)
    for found in _names(source):
        yield replace(found, text=texts.get(Path(found.path).stem)) if isinstance(found, Clip) else found


CORPUS = Corpus(
    name="nemo",
    title="nEMO: Dataset of Emotional Speech in Polish",
    language="pl",
    licence="CC BY-NC-SA 4.0",
    citation="Christop, nEMO: Dataset of Emotional Speech in Polish, LREC-COLING 2024",
    homepage="https://huggingface.co/datasets/amu-cai/nEMO",
    layout="samples/EB0_anger_1.wav: speaker, emotion, sentence; data.tsv holds the texts",
    reader=_read,
    expected=Expected(clips=4481, speakers=9),
    validation=("KD0", "MP0"),
    test=("MK0", "WR0"),
    trains_published_weights=True,
)
