"""Emozionalmente: 431 Italian volunteers, eighteen sentences, six emotions and neutral."""

from collections.abc import Iterator
from pathlib import Path

from .definition import Clip, Corpus, Expected, Problem
from .reading import by_tail, missing, one_file, table, unlisted

_LABELS = ("neutrality", "joy", "sadness", "anger", "surprise", "disgust", "fear")
_GENDERS = {"f": "female", "female": "female", "m": "male", "male": "male"}


def _read(source: Path) -> Iterator[Clip | Problem]:
    audio = by_tail(source)
    users = {row["username"]: row for row in table(one_file(source, "users.csv"), "username", "gender")}
    samples = one_file(source, "samples.csv")
    listed: set[str] = set()
    for row in table(samples, "file_name", "actor", "sentence", "emotion_expressed"):
        name = row["file_name"].removesuffix(".wav")
        listed.add(name)
        if name not in audio:
            yield missing(row["file_name"], samples)
            continue
        yield Clip(
            id=name,
            path=audio[name],
            label=row["emotion_expressed"],
            speaker=row["actor"],
            gender=_GENDERS.get(users.get(row["actor"], {}).get("gender", "").lower()),
            text=row["sentence"],
        )
    yield from unlisted(audio, listed, samples)


CORPUS = Corpus(
    name="emozionalmente",
    title="Emozionalmente: crowd-sourced Italian emotional speech",
    language="it",
    licence="CC BY 4.0",
    citation="Catania et al., Emozionalmente: A Crowdsourced Corpus of Simulated Emotional Speech in Italian, "
    "IEEE/ACM TASLP, 2025",
    homepage="https://zenodo.org/records/6569824",
    layout="audio/*.wav, metadata/samples.csv, metadata/users.csv",
    reader=_read,
    expected=Expected(clips=6902, speakers=431, labels=dict.fromkeys(_LABELS, 986)),
    hashed_split=True,
)
