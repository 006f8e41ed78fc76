"""Every label of every corpus and the emotion that it means: the one table of the package.

Keys are the words that stand in `original_label`, as the distribution spells them, misspellings included.
`None` marks a label outside the seven emotions (boredom, calm, a level of arousal): its clips keep the
original word and have no emotion. Where a choice was open, the comment says what was chosen.
"""

_WORDS: dict[str, str | None] = {
    "neutral": "neutral",
    "happy": "happy",
    "sad": "sad",
    "angry": "angry",
    "surprise": "surprise",
    "disgust": "disgust",
    "fear": "fear",
}
_NOUNS: dict[str, str | None] = {
    "neutral": "neutral",
    "happiness": "happy",
    "sadness": "sad",
    "anger": "angry",
    "surprise": "surprise",
    "disgust": "disgust",
    "fear": "fear",
}


def _of(words: dict[str, str | None], *kept: str) -> dict[str, str | None]:
    return {word: words[word] for word in kept}


CORPUS_LABELS: dict[str, dict[str, str | None]] = {
    "aesdd": _of(_NOUNS, "anger", "disgust", "fear", "happiness", "sadness"),
    # Levels of arousal, not emotions: only the normal level has a counterpart.
    "baved": {"level0_low": None, "level1_normal": "neutral", "level2_high": None},
    "cafe": {
        "Colère": "angry",
        "Dégoût": "disgust",
        "Joie": "happy",
        "Neutre": "neutral",
        "Peur": "fear",
        "Surprise": "surprise",
        "Tristesse": "sad",
    },
    "casia": _of(_WORDS, "neutral", "happy", "sad", "angry", "surprise", "fear"),
    # The strongest of six rated emotions; a segment with none is neutral, a tie is ambiguous.
    "cmu_mosei": _NOUNS | {"ambiguous": None},
    "crema_d": {
        "NEU": "neutral",
        "HAP": "happy",
        "SAD": "sad",
        "ANG": "angry",
        "DIS": "disgust",
        "FEA": "fear",
    },
    "emodb": {
        "neutral": "neutral",
        "Freude (happiness)": "happy",
        "Trauer (sadness)": "sad",
        "Wut (anger)": "angry",
        "Ekel (disgust)": "disgust",
        "Angst (anxiety/fear)": "fear",
        "Langeweile (boredom)": None,
    },
    # The unified words of EmoBox' label maps, and the codes of EMOVO, which has no map there.
    "emobox": {
        "Neutral": "neutral",
        "Happy": "happy",
        "Sad": "sad",
        "Angry": "angry",
        "Surprise": "surprise",
        "Disgust": "disgust",
        "Fear": "fear",
        "neu": "neutral",
        "gio": "happy",
        "tri": "sad",
        "rab": "angry",
        "sor": "surprise",
        "dis": "disgust",
        "pau": "fear",
        "Amused": None,
        "Anxious": None,
        "Apologetic": None,
        "Assertive": None,
        "Boredom": None,
        "Calm": None,
        "Concerned": None,
        "Contempt": None,
        "Encouraging": None,
        "Enthusiastic": None,
        "Excited": None,
        "Sleepy": None,
    },
    "emotiontts_ko": {
        "일반 (neutral)": "neutral",
        "기쁨 (joy)": "happy",
        "슬픔 (sadness)": "sad",
        "화남 (anger)": "angry",
    },
    # Amused is laughter in speech, not happiness as the other corpora act it; sleepy is no emotion.
    "emov_db": {
        "neutral": "neutral",
        "amused": None,
        "anger": "angry",
        "disgust": "disgust",
        "sleepiness": None,
    },
    "emovo": {
        "neutrale": "neutral",
        "gioia": "happy",
        "tristezza": "sad",
        "rabbia": "angry",
        "sorpresa": "surprise",
        "disgusto": "disgust",
        "paura": "fear",
    },
    "emozionalmente": {
        "neutrality": "neutral",
        "joy": "happy",
        "sadness": "sad",
        "anger": "angry",
        "surprise": "surprise",
        "disgust": "disgust",
        "fear": "fear",
    },
    "enterface": _of(_NOUNS, "happiness", "sadness", "anger", "surprise", "disgust", "fear"),
    "esd": {"Neutral": "neutral", "Happy": "happy", "Sad": "sad", "Angry": "angry", "Surprise": "surprise"},
    # Excited counts as happy, which the four-class literature does; frustration has no counterpart.
    "iemocap": {
        "neu": "neutral",
        "hap": "happy",
        "exc": "happy",
        "sad": "sad",
        "ang": "angry",
        "sur": "surprise",
        "dis": "disgust",
        "fea": "fear",
        "fru": None,
        "oth": None,
        "xxx": None,
    },
    # Excited is one of the five primary emotions here, recorded beside happy, and stays apart.
    "jl": {
        "neutral": "neutral",
        "happy": "happy",
        "sad": "sad",
        "angry": "angry",
        "excited": None,
        "anxious": None,
        "apologetic": None,
        "assertive": None,
        "concerned": None,
        "encouraging": None,
    },
    "mead": _of(_WORDS, "neutral", "happy", "sad", "angry", "fear")
    | {"surprised": "surprise", "disgusted": "disgust", "contempt": None},
    "meld": {
        "neutral": "neutral",
        "joy": "happy",
        "sadness": "sad",
        "anger": "angry",
        "surprise": "surprise",
        "disgust": "disgust",
        "fear": "fear",
    },
    "mesd": {
        "Neutral": "neutral",
        "Happiness": "happy",
        "Sadness": "sad",
        "Anger": "angry",
        "Disgust": "disgust",
        "Fear": "fear",
    },
    "msp_podcast": {
        "N": "neutral",
        "H": "happy",
        "S": "sad",
        "A": "angry",
        "U": "surprise",
        "D": "disgust",
        "F": "fear",
        "C": None,
        "O": None,
        "X": None,
    },
    "nemo": _of(_NOUNS, "neutral", "happiness", "sadness", "anger", "fear") | {"surprised": "surprise"},
    "ravdess": _of(_WORDS, "neutral", "happy", "sad", "angry", "disgust")
    | {"fearful": "fear", "surprised": "surprise", "calm": None},
    "resd": _of(_NOUNS, "neutral", "happiness", "sadness", "anger", "disgust", "fear") | {"enthusiasm": None},
    "savee": _NOUNS,
    "shemo": _of(_NOUNS, "neutral", "happiness", "sadness", "anger", "surprise", "fear"),
    "spanish_uem": {
        "neutro": "neutral",
        "alegría": "happy",
        "tristeza": "sad",
        "ira": "angry",
        "sorpresa": "surprise",
        "asco": "disgust",
        "miedo": "fear",
    },
    "subesco": {
        "NEUTRAL": "neutral",
        "HAPPY": "happy",
        "SAD": "sad",
        "ANGRY": "angry",
        "SURPRISE": "surprise",
        "DISGUST": "disgust",
        "FEAR": "fear",
    },
    "tess": _of(_WORDS, "neutral", "happy", "sad", "angry", "disgust", "fear") | {"pleasant surprise": "surprise"},
    "turev_db": {"Angry": "angry", "Calm": None, "Happy": "happy", "Sad": "sad"},
    "urdu": {"Neutral": "neutral", "Happy": "happy", "Sad": "sad", "Angry": "angry"},
}
"""Corpus -> original label -> canonical emotion, or `None` for a label outside the seven."""
