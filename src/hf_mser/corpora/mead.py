"""MEAD: 48 public English-speaking actors, seven emotions at three levels, and neutral."""

from .definition import Corpus, Expected
from .reading import by_name

CORPUS = Corpus(
    name="mead",
    title="MEAD: Multi-view Emotional Audio-visual Dataset",
    language="en",
    licence="research only; see its page",
    citation="Wang et al., MEAD: A Large-scale Audio-visual Dataset for Emotional Talking-face Generation, ECCV 2020",
    homepage="https://github.com/uniBruce/Mead",
    layout="M003/audio/angry/level_1/001.m4a: actor, emotion, level, sentence; m4a needs ffmpeg, or wav files",
    reader=by_name(
        r"(?P<speaker>[MW]\d{3})/(?:audio/)?(?P<label>[a-z]+)/level_\d/(?P<sentence>\d+)\.(?:m4a|wav|flac)",
        genders=lambda speaker: "male" if speaker.startswith("M") else "female",
        ignore=r"video/.*",
    ),
    expected=Expected(
        clips=31_729,
        speakers=48,
        labels={
            "neutral": 1916,
            "angry": 4193,
            "happy": 4294,
            "fear": 4251,
            "contempt": 4215,
            "disgusted": 4284,
            "surprised": 4270,
            "sad": 4306,
        },
    ),
    validation=("M037", "M039", "W033", "W035"),
    test=("M040", "M041", "M042", "W036", "W037", "W038", "W040"),
    notes=("The counts are those of the public part's sound as EmoBox lists it.",),
)
