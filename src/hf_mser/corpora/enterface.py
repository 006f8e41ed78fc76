"""eNTERFACE'05: people of fourteen nations speak English, six emotions without neutral."""

from .definition import Corpus
from .reading import Groups, by_name


def _speaker(groups: Groups) -> Groups:
    # Names are not consistent (s_3_an_1.avi beside s3_an_1.avi); the folder of the subject is.
    kept = {name: value for name, value in groups.items() if name != "subject"}
    return kept | {"speaker": f"s{int(groups.get('subject') or groups['speaker'])}"}


CORPUS = Corpus(
    name="enterface",
    title="eNTERFACE'05 Audio-Visual Emotion Database",
    language="en",
    licence="free for research; see its page",
    citation="Martin et al., The eNTERFACE'05 Audio-Visual Emotion Database, ICDE workshops 2006",
    homepage="https://enterface.net/enterface05/main.php?frame=emotion",
    layout="subject 1/anger/sentence 1/s1_an_1.avi: subject, emotion, sentence; sound needs ffmpeg, or wav files",
    reader=by_name(
        r"(?:subject ?(?P<subject>\d+)/(?:.*/)?)?s_?(?P<speaker>\d+)_(?P<label>[a-z]{2})_(?P<sentence>\d)"
        r"\.(?:avi|wav)",
        labels={
            "an": "anger",
            "di": "disgust",
            "fe": "fear",
            "ha": "happiness",
            "sa": "sadness",
            "su": "surprise",
        },
        details=_speaker,
    ),
    validation=tuple(f"s{number}" for number in range(33, 37)),
    test=tuple(f"s{number}" for number in range(37, 47)),
    notes=("Copies differ in size, so no counts are checked. Genders are not stated.",),
)
