"""TurEV-DB: six Turkish speakers, single words, three emotions and calm."""

from .definition import Corpus, Expected
from .reading import by_name

CORPUS = Corpus(
    name="turev_db",
    title="TurEV-DB: Turkish Emotion-Voice Database",
    language="tr",
    licence="CC BY-NC-ND 4.0",
    citation="Canpolat et al., Turkish Emotion Voice Database (TurEV-DB), SLTU-CCURL 2020",
    homepage="https://github.com/Xeonen/TurEV-DB",
    layout="Sound Source/Angry/1157_kz_acik.wav: folder of an emotion; speaker, emotion code, word",
    reader=by_name(r"(?P<label>[A-Z][a-z]+)/(?P<speaker>\d+)_[a-z]+_(?P<sentence>[^/]+)\.(?:wav|webm)"),
    expected=Expected(clips=1735, speakers=6, labels={"Angry": 487, "Calm": 408, "Happy": 357, "Sad": 483}),
    validation=("6783",),
    test=("1984", "7895"),
    notes=("Calm has no canonical emotion: three classes remain. The words are single.",),
)
