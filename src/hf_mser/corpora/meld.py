"""MELD: utterances of the series Friends, seven emotions, with the authors' split by dialogue."""

import re
from collections.abc import Iterator
from pathlib import Path

from .definition import Clip, Corpus, Expected, Problem
from .reading import by_tail, missing, one_file, people, table

_PARTS = {
    "train": ("train_sent_emo.csv", "train_splits", "train"),
    "validation": ("dev_sent_emo.csv", "dev_splits_complete", "dev"),
    "test": ("test_sent_emo.csv", "output_repeated_splits_test", "test"),
}
_GENDERS = people(female="Monica Phoebe Rachel", male="Chandler Joey Ross")
# A line of several people is nobody's: under a name of its own, it would bring Ross into the training.
_SEVERAL = re.compile(r" and |[/,&]|^(?:all|both|everyone|everybody|the .*s)$", re.IGNORECASE)
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")


def _read(source: Path) -> Iterator[Clip | Problem]:
    video = by_tail(source, parts=2)
    for split, (csv_name, folder, part) in _PARTS.items():
        csv_path = one_file(source, csv_name)
        for row in table(csv_path, *_COLUMNS):
            name = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
            path = video.get(f"{folder}/{name}")
            if path is None:
                yield missing(f"{folder}/{name}.mp4", csv_path)
                continue
            speaker = None if _SEVERAL.search(row["Speaker"]) else row["Speaker"]
            yield Clip(
                id=f"{part}/{name}",
                path=path,
                label=row["Emotion"],
                speaker=speaker,
                gender=_GENDERS.get(row["Speaker"]),
                text=row["Utterance"],
                official_split=split,
            )


CORPUS = Corpus(
    name="meld",
    title="MELD: Multimodal EmotionLines Dataset",
    language="en",
    licence="GPL-3.0 for the annotations; the sound is of the series Friends",
    citation="Poria et al., MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations, ACL 2019",
    homepage="https://affective-meld.github.io/",
    layout="*_sent_emo.csv, train_splits/, dev_splits_complete/, output_repeated_splits_test/ with dia0_utt0.mp4 "
    "(needs ffmpeg, or wav files in the same places)",
    reader=_read,
    expected=Expected(
        clips=13_708,
        labels={
            "neutral": 6436,
            "joy": 2308,
            "sadness": 1002,
            "anger": 1607,
            "surprise": 1636,
            "disgust": 361,
            "fear": 358,
        },
    ),
    validation=("Phoebe",),
    test=("Ross",),
    hashed_split=True,
    official_split="by dialogue; the six friends stand on every side",
    notes=(
        "One clip of the train part is damaged and one of the dev part is missing in the distribution itself. In our "
        "speaker-independent split Ross is the test, Phoebe the validation, guests are spread by their names, "
        "and lines that several people speak have no split.",
    ),
)
