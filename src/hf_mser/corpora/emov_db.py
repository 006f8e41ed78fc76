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
        clips=7000,
        speakers=4,
        labels={"amused": 1330, "anger": 1308, "disgust": 1033, "neutral": 1585, "sleepiness": 1744},
    ),
    validation=("sam",),
    test=("jenie",),
    notes=(
        "josh recorded no anger and no disgust. Amused and sleepy speech has no canonical emotion. The counts are "
        "the authors'; public copies hold about a hundred files less.",
    ),
)
