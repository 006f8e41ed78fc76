"""RAVDESS, speech: 24 North American actors, two sentences, seven emotions (calm among them) and neutral."""

from .definition import Corpus, Expected
from .reading import by_name

_LABELS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}

CORPUS = Corpus(
    name="ravdess",
    title="RAVDESS: Ryerson Audio-Visual Database of Emotional Speech and Song, speech",
    language="en",
    licence="CC BY-NC-SA 4.0",
    citation="Livingstone and Russo, The Ryerson Audio-Visual Database of Emotional Speech and Song, PLoS ONE "
    "13(5), 2018",
    homepage="https://zenodo.org/records/1188976",
    layout="Actor_01/03-01-06-01-02-01-12.wav: modality, channel, emotion, intensity, sentence, repetition, actor",
    reader=by_name(
        r"03-01-(?P<label>\d\d)-\d\d-(?P<sentence>\d\d)-\d\d-(?P<speaker>\d\d)\.wav",
        labels=_LABELS,
        genders=lambda speaker: "male" if int(speaker) % 2 else "female",
        texts={"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"},
        ignore=r"(?:03-02|0[12]-0[12])-[\d-]+\.(?:wav|mp4)",
    ),
    expected=Expected(
        clips=1440,
        speakers=24,
        labels={label: 96 if label == "neutral" else 192 for label in _LABELS.values()},
    ),
    validation=("17", "18"),
    test=("19", "20", "21", "22", "23", "24"),
    notes=("Calm has no canonical emotion; the 7-class view leaves it out.",),
)
