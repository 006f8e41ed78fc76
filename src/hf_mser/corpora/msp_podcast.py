"""MSP-Podcast: natural English speech from podcasts, eight emotions by many listeners."""

from collections.abc import Iterator
from pathlib import Path

from .definition import Clip, Corpus, Problem
from .reading import by_tail, missing, one_file, table, unlisted

_SPLITS = {"Train": "train", "Development": "validation", "Validation": "validation", "Test1": "test"}
_COLUMNS = ("FileName", "EmoClass", "SpkrID", "Gender", "Split_Set")


def _read(source: Path) -> Iterator[Clip | Problem]:
    audio = by_tail(source)
    csv_path = one_file(source, "labels_consensus.csv")
    listed: set[str] = set()
    for row in table(csv_path, *_COLUMNS):
        name = row["FileName"].removesuffix(".wav")
        listed.add(name)
        if name not in audio:
            yield missing(row["FileName"], csv_path)
            continue
        known = row["SpkrID"] not in ("", "Unknown")
        yield Clip(
            id=name,
            path=audio[name],
            label=row["EmoClass"],
            speaker=row["SpkrID"] if known else None,
            gender={"Male": "male", "Female": "female"}.get(row["Gender"]),
            official_split=_SPLITS.get(row["Split_Set"], row["Split_Set"].lower()),
        )
    yield from unlisted(audio, listed, csv_path)


CORPUS = Corpus(
    name="msp_podcast",
    title="MSP-Podcast",
    language="en",
    licence="academic licence of UT Dallas",
    citation="Lotfian and Busso, Building Naturalistic Emotionally Balanced Speech Corpus by Retrieving Emotional "
    "Speech from Existing Podcast Recordings, IEEE Trans. Affective Computing 10(4), 2019",
    homepage="https://lab-msp.com/MSP/MSP-Podcast.html",
    layout="Audios/MSP-PODCAST_0001_0008.wav and Labels/labels_consensus.csv",
    reader=_read,
    official_split="Train / Development / Test1, speakers apart; Test2 (other podcasts) stands as test2",
    official_keeps_speakers_apart=True,
    notes=(
        "Releases differ in size, so no counts are checked. Our split is the authors' own; a speaker on two of its "
        "sides would be reported.",
    ),
)
