"""emotiontts_open_db: the public part of a Korean corpus for expressive synthesis, three emotions and neutral."""

from .definition import Corpus, Expected
from .reading import Groups, by_name, people

_LABELS = ("일반 (neutral)", "기쁨 (joy)", "슬픔 (sadness)", "화남 (anger)")


def _emotion(groups: Groups) -> Groups:
    """Every speaker's files are numbered in blocks of five: neutral, joy, then anger or sadness."""
    return groups


CORPUS = Corpus(
    name="emotiontts_ko",
    title="emotiontts_open_db: Korean emotional speech, public part",
    language="ko",
    licence="CC BY-NC-SA 4.0 (README of the repository), research only",
    citation="emotiontts_open_db: Korean database for expressive speech synthesis, GitHub, 2019",
    homepage="https://github.com/emotiontts/emotiontts_open_db",
    layout="TODO",
    reader=by_name(
        r"(?P<speaker>[en]e?[a-z]+)(?P<label>\d{5})\.wav",
        genders=people(female="ema emb nea neb nec ned nee", male="emf emg emh nek nel nem nen neo"),
        details=_emotion,
    ),
    expected=Expected(clips=300, speakers=15, labels=dict.fromkeys(_LABELS, 75)),
    validation=("nea", "nek"),
    test=("emb", "emh", "nee", "neo"),
    trains_published_weights=True,
    notes=(
        "The source's documentation swaps anger and sadness; corrected here. The emotional scripts differ by emotion.",
    ),
)
