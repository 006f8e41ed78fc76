"""RESD: Russian dialogues of actors, six emotions and neutral."""

from collections.abc import Iterator
from pathlib import Path

from .definition import Clip, Corpus, Expected, Problem, View
from .reading import by_tail, clip_id, missing, one_file, table, unlisted


def _read(source: Path) -> Iterator[Clip | Problem]:
    audio = by_tail(source, parts=3)
    listed: set[str] = set()
    for split in ("train", "test"):
        csv_path = one_file(source, f"{split}.csv")
        for row in table(csv_path, "path", "emotion"):
            name = f"{split}/{clip_id(row['path'])}"
            listed.add(name)
            if name not in audio:
                yield missing(name, csv_path)
                continue
            yield Clip(
                id=name,
                path=audio[name],
                label=row["emotion"],
                text=row.get("text"),
                official_split=split,
                sentence=name.split("/")[1],
            )
    yield from unlisted(audio, listed, csv_path)


CORPUS = Corpus(
    name="resd",
    title="RESD: Russian Emotional Speech Dialogs",
    language="ru",
    licence="MIT",
    citation="Amentes et al., Russian Emotional Speech Dialogs with annotated text, Hugging Face, 2022",
    homepage="https://huggingface.co/datasets/Aniemore/resd_annotated",
    layout="the sound files, not the parquet files: train.csv, test.csv, "
    "train/happiness_enthusiasm_32/32_happiness_enthusiasm_h_120.wav",
    reader=_read,
    expected=Expected(
        clips=1396,
        labels={
            "anger": 219,
            "disgust": 185,
            "enthusiasm": 198,
            "fear": 223,
            "happiness": 218,
            "neutral": 191,
            "sadness": 162,
        },
    ),
    single_split="test",
    official_split="1,116 / 280 clips, speakers unknown and shared",
    extra_views={
        "7-class": View(
            ("neutral", "happy", "sad", "angry", "enthusiastic", "disgust", "fear"),
            relabel={"enthusiasm": "enthusiastic"},
        )
    },
    notes=(
        "Speakers are not published, so no speaker-independent split can be made: the whole corpus is a test. Its "
        "seventh class is enthusiasm, which has no canonical emotion; the 7-class view names it.",
    ),
)
