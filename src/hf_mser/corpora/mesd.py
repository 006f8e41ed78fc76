"""MESD: Mexican Spanish words by women, men and children, five emotions and neutral."""

from .definition import Corpus, Expected
from .reading import by_name

CORPUS = Corpus(
    name="mesd",
    title="MESD: Mexican Emotional Speech Database",
    language="es",
    licence="CC BY 4.0",
    citation="Duville et al., The Mexican Emotional Speech Database (MESD), EMBC 2021",
    homepage="https://data.mendeley.com/datasets/cy34mh68j9/5",
    layout="Anger_C_A_abajo.wav: emotion, voice (female, male, child), word list, word",
    reader=by_name(
        r"(?P<label>[A-Z][a-z]+)_(?P<speaker>[FMC])_[AB]_(?P<text>[^/]+)\.wav",
        genders={"F": "female", "M": "male"},
        details=lambda groups: groups | {"text": groups["text"].replace("_", " ")},
    ),
    expected=Expected(
        clips=862,
        labels={
            "Anger": 143,
            "Disgust": 144,
            "Fear": 144,
            "Happiness": 144,
            "Neutral": 143,
            "Sadness": 144,
        },
    ),
    test=("M",),
    notes=(
        "Files name the kind of voice, not the speaker: `speaker` is that group (F, M, C), and the split keeps whole "
        "groups together. The words are single.",
    ),
)
