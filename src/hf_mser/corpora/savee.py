"""SAVEE: four English men, six emotions and neutral."""

from .definition import Corpus, Expected
from .reading import by_name, people

_LABELS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}

CORPUS = Corpus(
    name="savee",
    title="SAVEE: Surrey Audio-Visual Expressed Emotion",
    language="en",
    licence="free for research, on registration",
    citation="Haq and Jackson, Speaker-dependent audio-visual emotion recognition, AVSP 2009",
    homepage="http://kahlan.eps.surrey.ac.uk/savee/",
    layout="AudioData/DC/a01.wav (or ALL/DC_a01.wav): speaker, emotion letter, sentence",
    reader=by_name(
        r"(?P<speaker>DC|JE|JK|KL)[/_](?P<label>[a-z]+)(?P<sentence>\d\d)\.wav",
        labels=_LABELS,
        genders=people(male="DC JE JK KL"),
    ),
    expected=Expected(
        clips=480,
        speakers=4,
        labels={label: 120 if label == "neutral" else 60 for label in _LABELS.values()},
    ),
    validation=("JK",),
    test=("KL",),
    notes=("Men only.",),
)
