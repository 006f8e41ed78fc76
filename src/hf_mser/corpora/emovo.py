"""EMOVO: six Italian actors, fourteen sentences (some without meaning), six emotions and neutral."""

from .definition import Corpus, Expected
from .reading import by_name, people

_LABELS = {
    "neu": "neutrale",
    "gio": "gioia",
    "tri": "tristezza",
    "rab": "rabbia",
    "sor": "sorpresa",
    "dis": "disgusto",
    "pau": "paura",
}

CORPUS = Corpus(
    name="emovo",
    title="EMOVO: Italian emotional speech",
    language="it",
    licence="openly downloadable for research, no licence text; cite Costantini et al. 2014",
    citation="Costantini et al., EMOVO Corpus: an Italian Emotional Speech Database, LREC 2014",
    homepage="http://voice.fub.it/activities/corpora/emovo/index.html",
    layout="f1/dis-f1-b1.wav: emotion, speaker, sentence",
    reader=by_name(
        r"(?P<label>[a-z]{3})-(?P<speaker>[fm]\d)-(?P<sentence>[a-z]+\d?)\.wav",
        labels=_LABELS,
        genders=people(female="f1 f2 f3", male="m1 m2 m3"),
        texts={
            "b1": "Gli operai si alzano presto.",
            "b2": "I vigili sono muniti di pistola.",
            "b3": "La cascata fa molto rumore.",
            "d1": "Sabato sera cosa farà?",
            "d2": "Porti con te quella cosa?",
            "l1": "L'autunno prossimo Tony partirà per la Spagna nella prima metà di ottobre.",
            "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
            "l3": "Un attimo dopo s'è incamminato ... ed è inciampato.",
            "l4": "Vorrei il numero telefonico del Signor Piatti.",
            "n1": "La casa forte vuole col pane.",
            "n2": "La forza trova il passo e l'aglio rosso.",
            "n3": "Il gatto sta scorrendo nella pera",
            "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
            "n5": "Uno quarantatré dieci mille cinquantasette venti.",
        },
    ),
    expected=Expected(clips=588, speakers=6, labels=dict.fromkeys(_LABELS.values(), 84)),
    validation=("f2",),
    test=("f3", "m3"),
)
