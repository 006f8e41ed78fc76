"""Protocols over pairs of corpora: EDRL's nine tasks, SERE's twelve, and both on any corpora.

[paper] marks what METHODS.md takes from the papers. [ours]: EDRL's published splits share speakers between
its sides and are tested once; here the whole target is tested, speakers never cross and three seeds are the
rule. URDU, which EDRL trains on, stays out of training, because its speakers and emotions are confounded.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import permutations

from .clips import Clip
from .held_out import speaker_folds
from .pool import Pool, Unit
from .tasks import Clips, Task

FOUR_CLASSES = ("neutral", "happy", "sad", "angry")
EDRL_SOURCES = ("meld", "esd", "emodb", "cafe")
EDRL_TARGETS = ("emodb", "cafe", "esd")
SERE_CORPORA = ("emodb", "casia", "enterface", "emovo")
SHOTS = 5
SERE_SEEDS = (0, 1, 2, 3, 4)
EDRL_LANGUAGES = {"esd": "zh", "meld": "en"}
"""The language that EDRL takes from a corpus of several."""


def edrl_tasks(pool: Pool, seed: int, sources: Sequence[str], targets: Sequence[str]) -> Iterable[Task]:
    """For each target, each corpus of another language as source, all remaining ones as labelled help.

    The source's validation speakers choose. Nothing of the target's language is trained on.
    """
    for target in (_in_language(pool, name, EDRL_LANGUAGES) for name in targets):
        foreign = [unit for unit in pool.trainable if _may_teach(unit, target)]
        for source in (_in_language(pool, name, EDRL_LANGUAGES) for name in sources):
            if source.corpus in pool.test_only or not _may_teach(source, target):
                continue
            help_units = [unit for unit in foreign if unit.corpus != source.corpus]
            yield Task(
                "edrl",
                source=source.name,
                target=target.name,
                classes=target.classes,
                train=tuple(clip for clip in source.clips if clip.split != "validation"),
                auxiliary=tuple(clip for unit in help_units for clip in unit.clips),
                validation=source.split("validation"),
                test=target.clips,
                seed=seed,
                training_set=f"{source.name}+all-but-{target.language}",
            )


def sere_tasks(pool: Pool, seed: int, corpora: Sequence[str]) -> Iterable[Task]:
    """Every ordered pair; five labelled clips per emotion of the source, everything else without labels.

    The target's clips are among the unlabelled ones [paper]: the task is transductive and says so.
    """
    for source, target in permutations((pool.corpus(name) for name in corpora), 2):
        if source.corpus in pool.test_only:
            continue
        classes = tuple(emotion for emotion in source.classes if emotion in target.classes)
        if len(classes) < 2:
            continue
        labelled = draw_shots(source.clips, classes, seed)
        taken = {clip.key for clip in labelled}
        rest = tuple(clip for clip in source.of(classes) if clip.key not in taken)
        test = target.of(classes)
        yield Task(
            "sere",
            source=source.name,
            target=target.name,
            classes=classes,
            train=labelled,
            unlabelled=rest + test,
            test=test,
            seed=seed,
            training_set=f"{source.name}-to-{target.name}",
            transductive=True,
        )


def edrl_nine_tasks(pool: Pool, seed: int) -> Iterable[Task]:
    """EDRL's own corpora [paper]."""
    return edrl_tasks(pool, seed, EDRL_SOURCES, EDRL_TARGETS)


def edrl_any_tasks(pool: Pool, seed: int) -> Iterable[Task]:
    """Every corpus that may teach as source, every corpus as target [ours]."""
    return edrl_tasks(pool, seed, _teaching(pool), pool.corpora)


def sere_inductive_tasks(pool: Pool, seed: int) -> Iterable[Task]:
    """The same pairs, but the unlabelled clips of the target are of other speakers than the tested ones [ours].

    The target's speakers fall into two halves; each is tested by a model that saw the other one without labels.
    """
    for task in sere_tasks(pool, seed, pool.corpora):
        halves = speaker_folds(task.test, 2, seed)
        rest = tuple(clip for clip in task.unlabelled if clip.corpus != task.test[0].corpus)
        for number, (test, seen) in enumerate(zip(halves, reversed(halves), strict=True), 1):
            if test and seen:
                yield replace(
                    task,
                    protocol="sere-any-inductive",
                    unlabelled=rest + seen,
                    test=test,
                    fold=f"half{number}",
                    training_set=f"{task.training_set}-without-half{number}",
                    transductive=False,
                )


def sere_twelve_tasks(pool: Pool, seed: int) -> Iterable[Task]:
    """SERE's own corpora [paper]."""
    return sere_tasks(pool, seed, SERE_CORPORA)


def sere_any_tasks(pool: Pool, seed: int) -> Iterable[Task]:
    """Every ordered pair of the corpora given [ours]."""
    return sere_tasks(pool, seed, pool.corpora)


def draw_shots(clips: Sequence[Clip], classes: Sequence[str], seed: int, shots: int = SHOTS) -> Clips:
    """`shots` clips of each class; a seed draws the same clips of a class whatever the other classes are.

    Example:
        >>> clips = [Clip("c", f"{i}.wav", None, "sad") for i in range(9)]
        >>> len(draw_shots(clips, ["sad"], seed=0))
        5
    """
    drawn: list[Clip] = []
    for emotion in classes:
        members = sorted((clip for clip in clips if clip.emotion == emotion), key=lambda clip: clip.key)
        drawn += random.Random(f"shots/{seed}/{emotion}").sample(members, min(shots, len(members)))
    return tuple(drawn)


def _in_language(pool: Pool, corpus: str, languages: dict[str, str]) -> Unit:
    parts = [unit for unit in pool.units if unit.corpus == corpus and unit.language == languages.get(corpus)]
    return parts[0] if parts else pool.corpus(corpus)


def _may_teach(unit: Unit, target: Unit) -> bool:
    return unit.corpus != target.corpus and unit.language != target.language


def _teaching(pool: Pool) -> list[str]:
    return list(dict.fromkeys(unit.corpus for unit in pool.trainable))
