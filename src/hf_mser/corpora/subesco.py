"""SUBESCO: twenty Bangla actors, ten sentences, six emotions and neutral, five takes each."""

from .definition import Corpus, Expected
from .reading import Groups, by_name

_LABELS = ("NEUTRAL", "HAPPY", "SAD", "ANGRY", "SURPRISE", "DISGUST", "FEAR")


def _gender(groups: Groups) -> Groups:
    return groups | {"gender": {"F": "female", "M": "male"}[groups["speaker"][0]]}


CORPUS = Corpus(
    name="subesco",
    title="SUBESCO: SUST Bangla Emotional Speech Corpus",
    language="bn",
    licence="CC BY 4.0",
    citation="Sultana et al., SUST Bangla Emotional Speech Corpus (SUBESCO), PLoS ONE 16(4), 2021",
    homepage="https://zenodo.org/records/4526477",
    layout="F_01_OISHI_S_1_ANGRY_1.wav: speaker, name, sentence, emotion, take",
    reader=by_name(
        r"(?P<speaker>[FM]_\d\d)_[A-Z]+_(?P<sentence>S_\d+)_(?P<label>[A-Z]+)_\d+\.(?:wav|WAV)",
        details=_gender,
    ),
    expected=Expected(clips=7000, speakers=20, labels=dict.fromkeys(_LABELS, 1000)),
    validation=("F_08", "M_08"),
    test=("F_09", "F_10", "M_09", "M_10"),
)
