"""TESS: two English-speaking actresses, two hundred carrier words, six emotions and neutral."""

from .definition import Corpus, Expected
from .reading import Groups, by_name, people

_LABELS = ("neutral", "happy", "sad", "angry", "pleasant surprise", "disgust", "fear")


def _sentence(groups: Groups) -> Groups:
    # A few files of the older actress carry OA in place of OAF.
    speaker = {"OA": "OAF"}.get(groups["speaker"], groups["speaker"])
    return groups | {"speaker": speaker, "text": f"Say the word {groups['sentence'].replace('_', ' ')}"}


CORPUS = Corpus(
    name="tess",
    title="TESS: Toronto emotional speech set",
    language="en",
    licence="CC BY-NC-ND 4.0",
    citation="Pichora-Fuller and Dupuis, Toronto emotional speech set (TESS), Borealis, 2020",
    homepage="https://borealisdata.ca/dataset.xhtml?persistentId=doi:10.5683/SP2/E8H2MF",
    layout="OAF_angry/OAF_back_angry.wav: actress, word, emotion",
    reader=by_name(
        r"(?P<speaker>OAF?|YAF)_(?P<sentence>\w+)_(?P<label>[a-z]+)\.wav",
        labels={"ps": "pleasant surprise"},
        genders=people(female="OAF YAF"),
        details=_sentence,
    ),
    expected=Expected(clips=2800, speakers=2, labels=dict.fromkeys(_LABELS, 400)),
    test=("YAF",),
    notes=("Two speakers: one to train, one to test, none left for validation.",),
)
