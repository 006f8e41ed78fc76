"""How far the emotion survives a translation, in numbers: contours, classifiers, distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..emotions import EMOTIONS
from ..evaluation.intervals import count_by_speaker, measure_intervals
from ..evaluation.metrics import measure
from .measures import CONTOURS, Measured

FOLDS = 5


def contour_agreement(clips: Measured, seed: int = 0) -> dict[str, dict[str, dict[str, float]]]:
    """For each language and contour: the mean correlation of a translation with its own source, and with the source of
    another clip, drawn at random, for comparison."""
    place = {source: index for index, source in enumerate(clips.sources) if clips.original[index]}
    found: dict[str, dict[str, dict[str, float]]] = {}
    for language in _synthetic_languages(clips):
        members = [
            index
            for index in np.flatnonzero((clips.languages == language) & ~clips.original)
            if clips.sources[index] in place
        ]
        own = np.array([place[clips.sources[index]] for index in members])
        strangers = np.random.default_rng(seed).permutation(own)
        found[language] = {
            name: {
                "own source": _correlation(clips.contours[members, row], clips.contours[own, row]),
                "other source": _correlation(clips.contours[members, row], clips.contours[strangers, row]),
            }
            for row, name in enumerate(CONTOURS)
        }
    return found


def classifier(clips: Measured) -> dict[str, Any]:
    """A classifier of eGeMAPS functionals, trained on the originals and tested on other speakers: on their originals,
    and on the translations of these. `kept` is the share of the UA above chance that a language keeps.

    Speakers never cross: each fold tests originals and translations of speakers that it did not train on. `adapted`:
    every language is standardised by its own statistics, without labels.
    """
    return kept_by_language(clips, clips.functionals)


def kept_by_language(clips: Measured, features: np.ndarray) -> dict[str, Any]:
    """The same for features of any kind, one row a clip."""
    classes = [emotion for emotion in EMOTIONS if emotion in set(clips.emotions[clips.original])]
    chance = 1 / len(classes)
    result: dict[str, Any] = {"chance": chance, "classes": classes, "plain": {}, "adapted": {}}
    for name, table in (("plain", features), ("adapted", _standardised(features, clips.languages))):
        answers = _answers(clips, table)
        entries = {language: _measured(clips, answers, language, classes) for language in _languages(clips)}
        source = next(entry["UA"] for language, entry in entries.items() if entry["original"])
        for entry in entries.values():
            # Where the recordings themselves are not above chance there is nothing to keep.
            entry["kept"] = (entry["UA"] - chance) / (source - chance) if source > chance else float("nan")
        result[name] = entries
    return result


def distances(clips: Measured) -> dict[str, float]:
    """Mean distance of mean spectrograms: between languages for one emotion, between emotions in one language.

    Each language's own mean is taken out first for `..., languages centred`: what remains is emotion.
    """
    found: dict[str, float] = {}
    means = cell_means(clips)
    centred = _centred(means)
    for name, cells in (("", means), (", languages centred", centred)):
        keys = list(cells)
        across: dict[str, list[float]] = {"between languages, one emotion": [], "between emotions, one language": []}
        for position, first in enumerate(keys):
            for second in keys[position + 1 :]:
                if first[0] != second[0]:
                    continue
                gap = float(np.sqrt(((cells[first] - cells[second]) ** 2).mean()))
                if first[1] == second[1]:
                    across["between languages, one emotion"].append(gap)
                elif first[2] == second[2]:
                    across["between emotions, one language"].append(gap)
        found |= {key + name: float(np.mean(gaps)) for key, gaps in across.items() if gaps}
    return found


def cell_means(clips: Measured) -> dict[tuple[str, str, str], np.ndarray]:
    """The mean spectrogram of each (corpus, emotion, language), flat."""
    cells = sorted(set(zip(clips.corpora.tolist(), clips.emotions.tolist(), clips.languages.tolist(), strict=True)))
    return {
        (corpus, emotion, language): clips.pictures[
            (clips.corpora == corpus) & (clips.emotions == emotion) & (clips.languages == language)
        ]
        .mean(0)
        .ravel()
        for corpus, emotion, language in cells
    }


def _centred(means: dict[tuple[str, str, str], np.ndarray]) -> dict[tuple[str, str, str], np.ndarray]:
    return {
        key: mean - np.mean([other for kin, other in means.items() if (kin[0], kin[2]) == (key[0], key[2])], axis=0)
        for key, mean in means.items()
    }


def _answers(clips: Measured, features: np.ndarray) -> np.ndarray:
    """What the classifier says to each clip whose speaker it never heard."""
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    originals = np.flatnonzero(clips.original)
    speakers = clips.speakers[originals]
    folds = GroupKFold(min(FOLDS, len(set(speakers))))
    answers = np.empty(len(features), dtype=clips.emotions.dtype)
    for taught, held_out in folds.split(originals, groups=speakers):
        model = make_pipeline(StandardScaler(), SVC(C=1.0))
        model.fit(features[originals[taught]], clips.emotions[originals[taught]])
        tested = np.flatnonzero(np.isin(clips.speakers, speakers[held_out]))
        answers[tested] = model.predict(features[tested])
    return answers


def _measured(clips: Measured, answers: np.ndarray, language: str, classes: list[str]) -> dict[str, Any]:
    own = clips.languages == language
    counts = count_by_speaker(
        clips.emotions[own].tolist(), answers[own].tolist(), clips.speakers[own].tolist(), classes
    )
    return {
        "original": bool(clips.original[own].all()),
        "clips": int(own.sum()),
        "UA": measure(counts.confusion)["UA"],
        "interval": measure_intervals(counts)["UA"],
    }


def _standardised(features: np.ndarray, languages: np.ndarray) -> np.ndarray:
    result = np.empty_like(features)
    for language in set(languages.tolist()):
        own = languages == language
        result[own] = (features[own] - features[own].mean(0)) / np.maximum(features[own].std(0), 1e-6)
    return result


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """The mean over clips of the correlation of two contours; a flat one correlates with nothing."""
    first, second = first - first.mean(1, keepdims=True), second - second.mean(1, keepdims=True)
    scale = np.sqrt((first**2).sum(1) * (second**2).sum(1))
    return float(np.mean(np.where(scale > 1e-9, (first * second).sum(1) / np.maximum(scale, 1e-9), 0.0)))


def _languages(clips: Measured) -> list[str]:
    """The recordings' languages first."""
    recorded = set(clips.languages[clips.original].tolist())
    return sorted(set(clips.languages.tolist()), key=lambda language: (language not in recorded, language))


def _synthetic_languages(clips: Measured) -> list[str]:
    return sorted(set(clips.languages[~clips.original].tolist()))
