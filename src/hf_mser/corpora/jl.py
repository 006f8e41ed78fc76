"""JL corpus: four New Zealand English speakers, five primary and five secondary emotions."""

from .definition import Corpus, Expected
from .reading import Groups, by_name

_LABELS = (
    *("neutral", "happy", "sad", "angry", "excited"),
    *("anxious", "apologetic", "assertive", "concerned", "encouraging"),
)


def _gender(groups: Groups) -> Groups:
    return groups | {"gender": groups["speaker"].rstrip("0123456789")}


CORPUS = Corpus(
    name="jl",
    title="JL corpus: New Zealand English emotional speech",
    language="en",
    licence="CC0 1.0",
    citation="James et al., An Open Source Emotional Speech Corpus for Human Robot Interaction, Interspeech 2018",
    homepage="https://www.kaggle.com/datasets/tli725/jl-corpus",
    layout="Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/female1_angry_10a_1.wav",
    reader=by_name(
        r"(?P<speaker>(?:fe)?male\d)_(?P<label>[a-z]+)_(?P<sentence>\d+[ab])_\d\.wav",
        details=_gender,
    ),
    expected=Expected(clips=2400, speakers=4, labels=dict.fromkeys(_LABELS, 240)),
    validation=("female2",),
    test=("male2",),
    notes=("Excited is a primary emotion of its own here and is not counted as happy.",),
)
