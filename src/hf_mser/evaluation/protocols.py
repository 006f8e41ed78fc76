"""Protocols as named objects: what teaches, what chooses, what judges, under which classes and seeds.

    protocol("leave-one-language-out").tasks(clips)

gives checked tasks. A protocol never decides how a model is trained; it decides on which clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from . import held_out, pairs
from .clips import Clip
from .pool import Pool
from .tasks import ProtocolError, Task

Builder = Callable[[Pool, int], Iterable[Task]]


@dataclass(frozen=True)
class Protocol:
    """A way to evaluate, by name.

    Example:
        >>> speakers = [Clip("mine", f"{s}{e}.wav", None, e, s) for s in "abc" for e in ("sad", "happy")]
        >>> [task.name for task in protocol("within-corpus").tasks(speakers, seeds=[0])]
        ['mine--mine--fold1', 'mine--mine--fold2', 'mine--mine--fold3']
    """

    name: str
    description: str
    build: Builder
    seeds: tuple[int, ...] = (0, 1, 2)
    """The seeds under which a system should be reported."""
    draws: bool = False
    """Whether the seed changes the clips themselves (folds, shots); else it is the training's alone."""
    classes: tuple[str, ...] | None = None
    """The classes to which it is confined; `None` = those of each corpus."""

    def tasks(
        self,
        clips: Iterable[Clip],
        seeds: Sequence[int] | None = None,
        classes: Sequence[str] | None = None,
        duplicates: Mapping[str, str] | None = None,
    ) -> list[Task]:
        """The protocol's tasks on these clips, each checked; what takes no part is said in `task.notes`."""
        pool = Pool.of(clips, classes or self.classes)
        notes = tuple(f"{corpus} left out: {reason}" for corpus, reason in pool.left_out.items())
        tasks = [
            replace(task, notes=notes + task.notes).without_twins(duplicates or {}).check(duplicates)
            for seed in (self.seeds if seeds is None else seeds)
            for task in self.build(pool, seed)
        ]
        if not tasks:
            raise ProtocolError(
                f"{self.name} has no task on {', '.join(pool.corpora) or 'these clips'}. {self.description} "
                + " ".join(notes)
            )
        return tasks


def protocol(name: str) -> Protocol:
    """The protocol of that name (`names()` lists them); `emobox:DIR` reads EmoBox manifests under DIR.

    Example:
        >>> protocol("sere-any").seeds
        (0, 1, 2, 3, 4)
    """
    if name.startswith("emobox:"):
        from .emobox_folds import emobox

        return emobox(name.removeprefix("emobox:"))
    if name not in PROTOCOLS:
        raise ProtocolError(f"There is no protocol {name!r}. Known: {', '.join(PROTOCOLS)}, emobox:DIR.")
    return PROTOCOLS[name]


def names() -> tuple[str, ...]:
    """The names of the protocols."""
    return tuple(PROTOCOLS)


PROTOCOLS: dict[str, Protocol] = {
    entry.name: entry
    for entry in (
        Protocol(
            "whole-corpus",
            "Test every corpus whole, with a model taken as it is.",
            held_out.whole_corpus_tasks,
            seeds=(0,),
        ),
        Protocol("corpus-split", "The fixed split of each corpus.", held_out.corpus_split_tasks),
        Protocol(
            "within-corpus",
            "Speaker-independent folds (five, or one a speaker) inside each corpus; the next fold validates.",
            held_out.within_corpus_tasks,
            draws=True,
        ),
        Protocol(
            "leave-one-corpus-out",
            "Train on all corpora but one, test that one whole.",
            held_out.leave_one_corpus_out_tasks,
        ),
        Protocol(
            "leave-one-language-out",
            "Train on all corpora of other languages, test a corpus whole.",
            held_out.leave_one_language_out_tasks,
        ),
        Protocol(
            "mser-zero-shot",
            "Train on English (the paper's five corpora, else all) and M5SER; test unseen corpora whole.",
            held_out.mser_zero_shot_tasks,
        ),
        Protocol(
            "edrl",
            "EDRL's nine tasks: into EmoDB, CaFE, ESD (zh), from each other one and MELD; four classes.",
            pairs.edrl_nine_tasks,
            classes=pairs.FOUR_CLASSES,
        ),
        Protocol(
            "edrl-any",
            "EDRL's tasks over any corpora: each target from each source of another language; 4 classes.",
            pairs.edrl_any_tasks,
            classes=pairs.FOUR_CLASSES,
        ),
        Protocol(
            "sere",
            "SERE's twelve tasks: ordered pairs of EmoDB, CASIA, eNTERFACE, EMOVO; five labels per emotion.",
            pairs.sere_twelve_tasks,
            seeds=pairs.SERE_SEEDS,
            draws=True,
        ),
        Protocol(
            "sere-any",
            "SERE's tasks over every ordered pair of any corpora, five labels per emotion.",
            pairs.sere_any_tasks,
            seeds=pairs.SERE_SEEDS,
            draws=True,
        ),
        Protocol(
            "sere-any-inductive",
            "The same pairs; the target's unlabelled clips are of other speakers than the tested ones.",
            pairs.sere_inductive_tasks,
            seeds=pairs.SERE_SEEDS,
            draws=True,
        ),
    )
}
"""The protocols by name."""
