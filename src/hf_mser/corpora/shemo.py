"""ShEMO: 87 Persian speakers of radio plays, five emotions and neutral."""

from .definition import Corpus, Expected
from .reading import Groups, by_name

_LABELS = {
    "A": "anger",
    "F": "fear",
    "H": "happiness",
    "N": "neutral",
    "S": "sadness",
    "W": "surprise",
}


def _gender(groups: Groups) -> Groups:
    return groups | {"gender": {"F": "female", "M": "male"}[groups["speaker"][0]]}


CORPUS = Corpus(
    name="shemo",
    title="ShEMO: Sharif Emotional Speech Database",
    language="fa",
    licence="free for research; see its page",
    citation="Mohamad Nezami et al., ShEMO: a large-scale validated database for Persian speech emotion detection, "
    "LREV 53, 2019",
    homepage="https://github.com/mansourehk/ShEMO",
    layout="male/M01A01.wav, female/F01A01.wav: speaker, emotion letter, number",
    reader=by_name(r"(?P<speaker>[FM]\d\d)(?P<label>[A-Z])\d+\.wav", labels=_LABELS, details=_gender),
    expected=Expected(
        clips=3000,
        speakers=87,
        labels={
            "anger": 1059,
            "fear": 38,
            "happiness": 201,
            "neutral": 1028,
            "sadness": 449,
            "surprise": 225,
        },
    ),
    hashed_split=True,
    notes=("A few speakers hold most clips of some emotions; fear has 38 clips.",),
)
