"""Protocols that hold something out: speakers, a corpus, a language, or everything that is not English.

Each function takes the pool of corpora and a seed and yields tasks; `protocols.py` gives them their names.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from .clips import Clip
from .pool import Pool, Unit
from .tasks import Clips, Task

FOLDS = 5
NONE = "-"
"""The source of tasks in which nothing is trained, and the model is taken as it is."""

MSER_TRAINING = ("iemocap", "meld", "mead", "cmu_mosei", "msp_podcast")
SYNTHETIC_PREFIX = "m5ser"


def whole_corpus_tasks(pool: Pool, seed: int) -> Iterable[Task]:
    for name in pool.corpora:
        units = [unit for unit in pool.units if unit.corpus == name]
        poor = [unit.language for unit in units if len(unit.classes) < 2]
        notes: tuple[str, ...] = ()
        if poor:
            units = [pool.corpus(name)]
            notes = (f"{name}: tested as one, since there is only one emotion in {', '.join(poor)}",)
        for unit in units:
            yield Task("whole-corpus", NONE, unit.name, unit.classes, test=unit.clips, seed=seed, notes=notes)


def corpus_split_tasks(pool: Pool, seed: int) -> Iterable[Task]:
    for name in pool.corpora:
        unit = pool.corpus(name)
        if unit.split("test"):
            yield Task(
                "corpus-split",
                source=name,
                target=name,
                classes=unit.classes,
                train=unit.split("train"),
                validation=unit.split("validation"),
                test=unit.split("test"),
                seed=seed,
                training_set=name,
            )


def speaker_folds(clips: Sequence[Clip], folds: int, seed: int) -> list[Clips]:
    """Clips in `folds` parts of nearly equal size, every speaker in one part.

    Example:
        >>> clips = [Clip("c", f"{s}{i}.wav", None, "sad", s) for s in "abcd" for i in range(2)]
        >>> [len(part) for part in speaker_folds(clips, folds=2, seed=0)]
        [4, 4]
    """
    members: dict[str, int] = {}
    for clip in clips:
        members[clip.speaker_key] = members.get(clip.speaker_key, 0) + 1
    order = sorted(members)
    random.Random(f"folds/{seed}").shuffle(order)
    sizes = [0] * folds
    home: dict[str, int] = {}
    for speaker in sorted(order, key=lambda name: -members[name]):  # stable: the shuffle decides among equals
        home[speaker] = sizes.index(min(sizes))
        sizes[home[speaker]] += members[speaker]
    return [tuple(clip for clip in clips if home[clip.speaker_key] == fold) for fold in range(folds)]


def within_corpus_tasks(pool: Pool, seed: int, folds: int = FOLDS) -> Iterable[Task]:
    for name in pool.corpora:
        unit = pool.corpus(name)
        speakers = {clip.speaker_key for clip in unit.clips if clip.speaker}
        if name in pool.test_only or len(speakers) < 2:
            continue
        clips = [clip for clip in unit.clips if clip.speaker]
        parts = speaker_folds(clips, min(folds, len(speakers)), seed)
        for index, test in enumerate(parts):
            # The next fold chooses, so that no fold both chooses and teaches; with two folds nobody chooses.
            chooser = (index + 1) % len(parts) if len(parts) > 2 else index
            rest = [part for other, part in enumerate(parts) if other not in (index, chooser)]
            yield Task(
                "within-corpus",
                source=name,
                target=name,
                classes=unit.classes,
                train=tuple(clip for part in rest for clip in part),
                validation=parts[chooser] if chooser != index else (),
                test=test,
                seed=seed,
                fold=f"fold{index + 1}",
                training_set=f"{name}-without-fold{index + 1}",
            )


def leave_one_corpus_out_tasks(pool: Pool, seed: int) -> Iterable[Task]:
    """Each corpus against all others, those of its own language among them."""
    for unit in pool.units:
        others = [other for other in pool.trainable if other.corpus != unit.corpus]
        yield from _against("leave-one-corpus-out", unit, others, f"all-but-{unit.corpus}", seed)


def leave_one_language_out_tasks(pool: Pool, seed: int) -> Iterable[Task]:
    """Each corpus against all clips of other languages; corpora of one language share their training side."""
    for unit in pool.units:
        others = [o for o in pool.trainable if o.language != unit.language and o.corpus != unit.corpus]
        # The other languages of a corpus of several have the same speakers: they stay out as well.
        several = unit.name != unit.corpus
        source = f"all-but-{unit.language}" + (f"-and-{unit.corpus}" if several else "")
        yield from _against("leave-one-language-out", unit, others, source, seed)


def _against(protocol: str, unit: Unit, others: Sequence[Unit], source: str, seed: int) -> Iterable[Task]:
    """Test `unit` whole; the validation speakers of the other corpora choose, their other speakers teach."""
    clips = tuple(clip for other in others for clip in other.clips)
    if clips:
        yield Task(
            protocol,
            source=source,
            target=unit.name,
            classes=unit.classes,
            train=tuple(clip for clip in clips if clip.split != "validation"),
            validation=tuple(clip for clip in clips if clip.split == "validation"),
            test=unit.clips,
            seed=seed,
            training_set=source,
        )


def mser_zero_shot_tasks(pool: Pool, seed: int) -> Iterable[Task]:
    """Train on English and its synthetic translations, test every other corpus whole."""
    synthetic = [unit for unit in pool.trainable if unit.corpus.startswith(SYNTHETIC_PREFIX)]
    papers = [unit for unit in pool.trainable if unit.corpus in MSER_TRAINING]
    english = papers or [unit for unit in pool.trainable if unit.language == "en" and unit not in synthetic]
    sources = {unit.corpus for unit in (*english, *synthetic)}
    clips = tuple(clip for unit in pool.trainable if unit.corpus in sources for clip in unit.clips)
    for name in pool.corpora:
        if name in sources:
            continue
        unit = pool.corpus(name)
        yield Task(
            "mser-zero-shot",
            source="english+synthetic" if synthetic else "english",
            target=name,
            classes=unit.classes,
            train=tuple(clip for clip in clips if clip.split != "validation"),
            validation=tuple(clip for clip in clips if clip.split == "validation"),
            test=unit.clips,
            seed=seed,
            training_set="english+synthetic" if synthetic else "english",
        )
