"""EmoV-DB: four English speakers, three emotions and neutral; happiness is not among them."""

from .definition import Corpus, Expected
from .reading import by_name, people

CORPUS = Corpus(
    name="emov_db",
    title="EmoV-DB: Emotional Voices Database",
    language="en",
    licence="as stated with the data: non-commercial research",
    citation="Adigwe et al., The Emotional Voices Database, arXiv 1806.09514, 2018",
    homepage="https://www.openslr.org/115/",
    layout="bea_Amused/amused_1-15_0001.wav: folder of a speaker and an emotion; sentence of CMU Arctic",
    reader=by_name(
        r"(?P<speaker>[a-z]+)_(?P<label>[A-Za-z]+)/[^/]*_(?P<sentence>\d{4})\.wav",
        labels={
            "Amused": "amused",
            "Angry": "anger",
            "Disgust": "disgust",
            "Disgusted": "disgust",
            "Neutral": "neutral",
            "Sleepy": "sleepiness",
        },
        genders=people(female="bea jenie", male="josh sam"),
    ),
    expected=Expected(
        clips=6887,
        speakers=4,
        labels={"amused": 1315, "anger": 1267, "disgust": 1019, "neutral": 1566, "sleepiness": 1720},
    ),
    validation=("sam",),
    test=("jenie",),
    notes=("josh recorded no anger and no disgust. Amused and sleepy speech has no canonical emotion.",),
)
