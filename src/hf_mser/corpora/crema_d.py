"""CREMA-D: 91 English-speaking actors, twelve sentences, six emotions at up to four intensities."""

from .definition import Corpus, Expected
from .reading import by_name

_NUMBERS = (
    "02 03 04 06 07 08 09 10 12 13 18 20 21 24 25 28 29 30 37 43 46 47 49 52 53 54 55 56 58 60 61 63 72 73 74 "
    "75 76 78 79 82 84 89 91"
)
_WOMEN = frozenset(f"10{number}" for number in _NUMBERS.split())

CORPUS = Corpus(
    name="crema_d",
    title="CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset",
    language="en",
    licence="Open Database License 1.0, contents DbCL 1.0",
    citation="Cao et al., CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset, IEEE Trans. Affective "
    "Computing 5(4), 2014",
    homepage="https://github.com/CheyneyComputerScience/CREMA-D",
    layout="AudioWAV/1001_DFA_ANG_XX.wav: actor, sentence, emotion, intensity",
    reader=by_name(
        r"(?:AudioWAV/)?(?P<speaker>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<label>[A-Z]{3})_(?:LO|MD|HI|XX|X)\.wav",
        genders=lambda speaker: "female" if speaker in _WOMEN else "male",
        texts={
            "DFA": "Don't forget a jacket",
            "IEO": "It's eleven o'clock",
            "IOM": "I'm on my way to the meeting",
            "ITH": "I think I have a doctor's appointment",
            "ITS": "I think I've seen this before",
            "IWL": "I would like a new alarm clock",
            "IWW": "I wonder what this is about",
            "MTI": "Maybe tomorrow it will be cold",
            "TAI": "The airplane is almost full",
            "TIE": "That is exactly what happened",
            "TSI": "The surface is slick",
            "WSI": "We'll stop in a couple of minutes",
        },
        ignore=r"(?:AudioMP3|VideoFlash)/.*",
    ),
    expected=Expected(
        clips=7442,
        speakers=91,
        labels={"NEU": 1087, "HAP": 1271, "SAD": 1271, "ANG": 1271, "DIS": 1271, "FEA": 1271},
    ),
    validation=tuple(f"10{number}" for number in range(64, 74)),
    test=tuple(f"10{number}" for number in range(74, 92)),
    trains_published_weights=True,
    notes=("Labels are what the actors intended; listeners often heard something else.",),
)
