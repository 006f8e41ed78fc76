"""Spanish course recordings of the Universidad Europea de Madrid: sixteen students, seven emotions."""

from .definition import Corpus, Expected
from .reading import Groups, by_name

_LABELS = {
    "Alegria": "alegría",
    "Asco": "asco",
    "Ira": "ira",
    "Miedo": "miedo",
    "Neutro": "neutro",
    "Sorpresa": "sorpresa",
    "Tristeza": "tristeza",
}


def _speaker(groups: Groups) -> Groups:
    folder = groups["speaker"]
    speaker = f"spk{folder}" if folder.isdigit() else folder
    return groups | {"speaker": speaker, "label": groups["label"].title()}


CORPUS = Corpus(
    name="spanish_uem",
    title="Spanish acted course recordings, Universidad Europea de Madrid",
    language="es",
    licence="none stated; do not redistribute",
    citation="rcebrian/speech-emotion-recognition, GitHub, 2020",
    homepage="https://github.com/rcebrian/speech-emotion-recognition",
    layout="data/0/Alegria_1.WAV: folder of a student; emotion, number",
    reader=by_name(
        r"(?P<speaker>\w+)/(?P<label>[A-Za-z]+)_+(?P<sentence>\d+)\.(?:WAV|wav)",
        labels=_LABELS,
        details=_speaker,
    ),
    expected=Expected(speakers=16),
    validation=("spk10", "spk11"),
    test=("spk12", "spk13", "test1", "test2"),
    notes=(
        "Acted by students and not validated by listeners; that test1 and test2 are other people than the "
        "fourteen is an assumption. Genders are not stated.",
    ),
)
