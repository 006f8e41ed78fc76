"""AESDD: Greek actors, five emotions without neutral."""

from .definition import Corpus, Expected
from .reading import by_name

CORPUS = Corpus(
    name="aesdd",
    title="AESDD: Acted Emotional Speech Dynamic Database",
    language="el",
    licence="CC BY 4.0",
    citation="Vryzas et al., Speech Emotion Recognition for Performance Interaction, JAES 66(6), 2018",
    homepage="http://m3c.web.auth.gr/research/aesdd-speech-emotion-recognition/",
    layout="anger/a01 (1).wav: folder of an emotion; letter, utterance, speaker in brackets",
    reader=by_name(
        r"(?P<label>[a-z]+)/[adfhs](?P<sentence>\d\d)(?: ?\(0?(?P<speaker>\d)\))?\w?\.wav",
    ),
    expected=Expected(clips=604, labels={"anger": 121, "disgust": 122, "fear": 120, "happiness": 119, "sadness": 122}),
    validation=("5",),
    test=("4", "6"),
    notes=("The database grows; the counts are those of the copy that EmoBox lists. No neutral speech.",),
)
