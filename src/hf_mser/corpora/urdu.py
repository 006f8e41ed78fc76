"""URDU: clips of Urdu talk shows, four emotions. For zero-shot tests alone."""

from .definition import Corpus, Expected
from .reading import Groups, by_name

_LABELS = {"A": "Angry", "H": "Happy", "N": "Neutral", "S": "Sad"}


def _gender(groups: Groups) -> Groups:
    return groups | {"gender": {"F": "female", "M": "male"}[groups["speaker"][1]]}


CORPUS = Corpus(
    name="urdu",
    title="URDU: Urdu-language speech emotion database",
    language="ur",
    licence="research purposes only (README); clips cut from television talk shows",
    citation="Latif et al., Cross Lingual Speech Emotion Recognition: Urdu vs. Western Languages, FIT 2018",
    homepage="https://github.com/siddiquelatif/URDU-Dataset",
    layout="Angry/SM1_F1_A001.wav: speaker (second letter is the gender), file, emotion letter and number",
    reader=by_name(r"(?P<speaker>S[FM]\d+)_F\d+_(?P<label>[A-Z])\d+\.wav", labels=_LABELS, details=_gender),
    expected=Expected(clips=400, speakers=29, labels=dict.fromkeys(_LABELS.values(), 100)),
    single_split="test",
    notes=(
        "No valid split exists inside it: speaker and emotion are almost fully confounded (three speakers hold "
        "98 of the 100 angry clips). Test a model that never saw it, and nothing else.",
    ),
)
