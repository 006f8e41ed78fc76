"""EmoBox' published folds as a protocol, for comparison with its figures.

About half of those folds have speakers on both sides. They are kept as published, and every task says how
many of its test speakers were trained on; our own folds are `within-corpus`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..corpora.emobox import ManifestEntry, read_fold
from .clips import Clip
from .pool import Pool
from .protocols import Protocol
from .tasks import Clips, ProtocolError, Task

NAMES = {"cremad": "crema_d", "jlcorpus": "jl", "emovdb": "emov_db", "turevdb": "turev_db"}
"""EmoBox' names of corpora where ours differ."""


def emobox(folder: str | Path) -> Protocol:
    """The protocol that tests the folds under `folder`, EmoBox' manifests of one or of several corpora.

    Example:
        >>> emobox("emobox/emodb").tasks(clips)  # doctest: +SKIP
    """
    folder = Path(folder)
    corpora = [folder] if _folds(folder) else sorted(path for path in folder.iterdir() if _folds(path))
    if not corpora:
        raise ProtocolError(f"{folder} holds no EmoBox manifests (CORPUS/fold_1/CORPUS_train_fold_1.jsonl).")

    def build(pool: Pool, seed: int) -> Iterable[Task]:
        for corpus in corpora:
            if NAMES.get(corpus.name, corpus.name) in pool.corpora:
                yield from _tasks(corpus, pool, seed)

    return Protocol("emobox", "EmoBox' folds as published, shared speakers included.", build)


def _tasks(corpus: Path, pool: Pool, seed: int) -> Iterable[Task]:
    unit = pool.corpus(NAMES.get(corpus.name, corpus.name))
    by_stem = _by_stem(unit.clips)
    for fold in _folds(corpus):
        sides = read_fold(corpus, fold)
        found = {side: _clips(entries, by_stem) for side, entries in sides.items()}
        missing = sum(map(len, sides.values())) - sum(map(len, found.values()))
        notes = [f"{corpus.name} fold {fold}: {missing} clips of the manifest are not here"] if missing else []
        task = Task(
            "emobox",
            source=unit.name,
            target=unit.name,
            classes=unit.classes,
            train=found["train"],
            validation=found.get("validation", ()),
            test=found["test"],
            seed=seed,
            fold=f"fold{fold}",
            training_set=f"{unit.name}-emobox-fold{fold}",
            speaker_independent=False,
        )
        total = len({clip.speaker_key for clip in task.test})
        shared = len(task.shared_speakers)
        notes.append(f"{corpus.name} fold {fold}: {shared} of {total} test speakers are trained on")
        yield replace(task, notes=tuple(notes))


def _folds(folder: Path) -> list[int]:
    numbers = [path.name.removeprefix("fold_") for path in folder.glob("fold_*") if path.is_dir()]
    return sorted(int(number) for number in numbers if number.isdecimal())


def _by_stem(clips: Sequence[Clip]) -> dict[str, Clip]:
    """File names without folder and ending identify clips; names that occur twice are of no use."""
    stems: dict[str, Clip | None] = {}
    for clip in clips:
        stem = PurePosixPath(clip.name).stem.lower()  # CASIA comes in two spellings
        stems[stem] = clip if stem not in stems else None
    return {stem: clip for stem, clip in stems.items() if clip is not None}


def _clips(entries: Sequence[ManifestEntry], by_stem: dict[str, Clip]) -> Clips:
    """The clips of manifest entries, by file name or, as CASIA's `speaker/emotion/number.wav`, by its last parts."""
    found = []
    for entry in entries:
        parts = PurePosixPath(entry.wav).with_suffix("").parts
        names = ["_".join(parts[-count:]).lower() for count in (1, 2, 3) if count <= len(parts)]
        clip = next((by_stem[name] for name in names if name in by_stem), None)
        if clip is not None:
            found.append(clip)
    return tuple(found)
