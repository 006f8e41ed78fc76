"""BAVED: seven Arabic words at three levels of arousal. The levels are not emotions."""

from .definition import Corpus, Expected
from .reading import Groups, by_name

_WORDS = ("اعجبني", "لم يعجبني", "هذا", "الفيلم", "رائع", "مقول", "سيئ")


def _details(groups: Groups) -> Groups:
    return groups | {
        "speaker": f"spk{groups['speaker']}",
        "gender": {"m": "male", "f": "female"}[groups["gender"]],
        "sentence": f"word{groups['sentence']}",
    }


CORPUS = Corpus(
    name="baved",
    title="BAVED: Basic Arabic Vocal Emotions Dataset",
    language="ar",
    licence="none stated",
    citation="Aouf, Basic Arabic Vocal Emotions Dataset (BAVED), GitHub/Kaggle, 2019",
    homepage="https://github.com/40uf411/Basic-Arabic-Vocal-Emotions-Dataset",
    layout="0/0-m-21-0-1-105.wav: folder of a word; speaker, gender, age, word, level, number",
    reader=by_name(
        r"(?P<speaker>\d+)-(?P<gender>[mf])-\d+-(?P<sentence>[0-6])-(?P<label>\d)-\d+\.wav",
        labels={"0": "level0_low", "1": "level1_normal", "2": "level2_high"},
        texts={f"word{number}": word for number, word in enumerate(_WORDS)},
        details=_details,
    ),
    expected=Expected(clips=1935, speakers=61),
    hashed_split=True,
    emotional=False,
    notes=(
        "The labels are levels of arousal (low, normal, high), not emotions; single words. Only the normal level "
        "maps, to neutral: no evaluation of emotions on it.",
    ),
)
