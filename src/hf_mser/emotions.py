"""The vocabulary: the seven emotions, the words that mean them, and how corpora spell them.

Every label that enters the package passes through here. A word that nobody listed is an error and
never a silent drop: a misspelt label that quietly becomes "other" is how results go wrong.
"""

from .corpus_labels import CORPUS_LABELS
from .errors import MSERError

EMOTIONS: tuple[str, ...] = ("neutral", "happy", "sad", "angry", "surprise", "disgust", "fear")
"""The canonical words, in the order that every default `id2label` follows."""

SYNONYMS: dict[str, tuple[str, ...]] = {
    "neutral": ("neutral", "calm", "unemotional", "matter-of-fact", "even", "indifferent"),
    "happy": (
        "happy",
        "joyful",
        "happiness",
        "joy",
        "glad",
        "cheerful",
        "delighted",
        "pleased",
        "merry",
        "elated",
    ),
    "sad": (
        "sad",
        "sadness",
        "unhappy",
        "sorrowful",
        "gloomy",
        "miserable",
        "heartbroken",
        "tearful",
        "grieving",
    ),
    "angry": ("angry", "anger", "furious", "mad", "irritated", "enraged", "annoyed", "irate", "outraged"),
    "surprise": ("surprise", "surprised", "astonished", "amazed", "startled", "astonishment", "amazement"),
    "disgust": ("disgust", "disgusted", "revolted", "repulsed", "sickened", "revulsion"),
    "fear": (
        "fear",
        "fearful",
        "afraid",
        "scared",
        "anxious",
        "frightened",
        "terrified",
        "worried",
        "panicked",
    ),
}
"""English words for each emotion, the canonical one first. They are what `mser-tiny`'s decoder learned."""


class UnknownLabelError(MSERError, KeyError):
    """A corpus holds a label that its map does not list."""

    def __str__(self) -> str:  # KeyError would print the message in quotes
        return str(self.args[0])


def emotion_of(word: str) -> str | None:
    """The canonical emotion that an English word names, or `None` for a word outside the vocabulary.

    Example:
        >>> emotion_of("Furious"), emotion_of("bored")
        ('angry', None)
    """
    return _EMOTION_OF_WORD.get(word.strip().lower())


def emotion_of_label(corpus: str, label: str) -> str | None:
    """The canonical emotion of a corpus' own label, or `None` for a known label outside the seven.

    Example:
        >>> emotion_of_label("emodb", "Wut (anger)"), emotion_of_label("emodb", "Langeweile (boredom)")
        ('angry', None)
    """
    labels = CORPUS_LABELS.get(corpus)
    if labels is None:
        known = ", ".join(CORPUS_LABELS)
        raise UnknownLabelError(f"There is no label map for the corpus {corpus!r}. Known: {known}.")
    if label not in labels:
        raise UnknownLabelError(
            f"{corpus}: unknown label {label!r}. Known labels: {', '.join(labels)}. "
            "Mend the file, or extend CORPUS_LABELS if the corpus has it."
        )
    return labels[label]


_EMOTION_OF_WORD = {word: emotion for emotion, words in SYNONYMS.items() for word in words}
