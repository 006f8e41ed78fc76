"""EmoDB: ten German actors, ten sentences, six emotions and boredom."""

from .definition import Corpus, Expected
from .reading import by_name, people

CORPUS = Corpus(
    name="emodb",
    title="EmoDB: Berlin Database of Emotional Speech",
    language="de",
    licence="openly downloadable from its authors, no licence text; cite Burkhardt et al. 2005",
    citation="Burkhardt et al., A Database of German Emotional Speech, Interspeech 2005",
    homepage="http://emodb.bilderbar.info/",
    layout="wav/03a01Fa.wav: speaker, sentence, emotion letter, version",
    reader=by_name(
        r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<label>[A-Z])[a-z]?\.wav",
        labels={
            "N": "neutral",
            "F": "Freude (happiness)",
            "T": "Trauer (sadness)",
            "W": "Wut (anger)",
            "E": "Ekel (disgust)",
            "A": "Angst (anxiety/fear)",
            "L": "Langeweile (boredom)",
        },
        genders=people(male="03 10 11 12 15", female="08 09 13 14 16"),
        texts={
            "a01": "Der Lappen liegt auf dem Eisschrank.",
            "a02": "Das will sie am Mittwoch abgeben.",
            "a04": "Heute abend könnte ich es ihm sagen.",
            "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
            "a07": "In sieben Stunden wird es soweit sein.",
            "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
            "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
            "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
            "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
            "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
        },
    ),
    expected=Expected(
        clips=535,
        speakers=10,
        labels={
            "neutral": 79,
            "Freude (happiness)": 71,
            "Trauer (sadness)": 62,
            "Wut (anger)": 127,
            "Ekel (disgust)": 46,
            "Angst (anxiety/fear)": 69,
            "Langeweile (boredom)": 81,
        },
    ),
    validation=("11", "14"),
    test=("15", "16"),
    trains_published_weights=True,
)
