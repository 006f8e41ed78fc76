"""CaFE: twelve Canadian French actors, six sentences, six emotions at two intensities, and neutral."""

from .definition import Corpus, Expected
from .reading import by_name, people

_LABELS = {
    "C": "Colère",
    "D": "Dégoût",
    "J": "Joie",
    "N": "Neutre",
    "P": "Peur",
    "S": "Surprise",
    "T": "Tristesse",
}

CORPUS = Corpus(
    name="cafe",
    title="CaFE: Canadian French Emotional speech",
    language="fr",
    licence="CC BY-NC-SA 4.0",
    citation="Gournay et al., A Canadian French Emotional Speech Dataset, ACM MMSys 2018",
    homepage="https://zenodo.org/records/1478765",
    layout="Colère/Fort/01-C-2-1.wav: actor, emotion letter, intensity, sentence",
    reader=by_name(
        r"(?P<speaker>\d\d)-(?P<label>[A-Z])-\d-(?P<sentence>\d)\.(?:wav|aiff)",
        labels=_LABELS,
        genders=people(male="01 03 05 07 09 11", female="02 04 06 08 10 12"),
        texts={
            "1": "Un cheval fou dans mon jardin",
            "2": "Deux ânes aigris au pelage brun",
            "3": "Trois cygnes aveugles au bord du lac",
            "4": "Quatre vieilles truies éléphantesques",
            "5": "Cinq pumas fiers et passionnés",
            "6": "Six ours aimants domestiqués",
        },
    ),
    expected=Expected(
        clips=936,
        speakers=12,
        labels={label: 72 if label == "Neutre" else 144 for label in _LABELS.values()},
    ),
    validation=("07", "08"),
    test=("09", "10", "11", "12"),
)
