"""Every corpus of the papers in one schema: definitions, readers, preparation, loading, EmoBox manifests.

`names()` lists the corpora, `get(name)` gives a definition, `load_corpus(name_or_dir)` a `datasets.Dataset`.
"""

from importlib import import_module

from .definition import Clip, Corpus, Expected, Problem, View
from .loading import corpora_root, load_corpus
from .schema import COLUMNS, CorpusError, CorpusNotFoundError, features

__all__ = [
    "COLUMNS",
    "Clip",
    "Corpus",
    "CorpusError",
    "CorpusNotFoundError",
    "Expected",
    "Problem",
    "View",
    "corpora_root",
    "features",
    "get",
    "load_corpus",
    "names",
]

_NAMES = (
    "aesdd",
    "baved",
    "cafe",
    "casia",
    "cmu_mosei",
    "crema_d",
    "emodb",
    "emotiontts_ko",
    "emov_db",
    "emovo",
    "emozionalmente",
    "enterface",
    "esd",
    "iemocap",
    "jl",
    "mead",
    "meld",
    "mesd",
    "msp_podcast",
    "nemo",
    "ravdess",
    "resd",
    "savee",
    "shemo",
    "spanish_uem",
    "subesco",
    "tess",
    "turev_db",
    "urdu",
)


def names() -> tuple[str, ...]:
    """The names of all known corpora, sorted.

    Example:
        >>> "emodb" in names()
        True
    """
    return _NAMES


def get(name: str) -> Corpus:
    """The definition of a corpus; `CREMA-D`, `crema_d` and `cremad` all find the same one.

    Example:
        >>> get("CREMA-D").title
        'CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset'
    """
    wanted = _plain(name)
    for known in _NAMES:
        if _plain(known) == wanted:
            corpus: Corpus = import_module(f".{known}", __name__).CORPUS
            return corpus
    raise CorpusNotFoundError(f"There is no corpus {name!r}. Known corpora: {', '.join(_NAMES)}.")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
