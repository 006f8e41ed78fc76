"""Batches of P emotions x K clips: every batch can teach the contrastive objective something.

A *global batch* is what one optimiser step sees over all devices and accumulated steps. It is planned as a
whole (P emotions, K clips of each) and then cut into the local batches that devices read: consecutive local
batches go to successive ranks, as accelerate deals them. Everything follows from the seed and the epoch, so
that all ranks plan alike without talking, and a state is two numbers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from ..errors import MSERError


class SamplerError(MSERError, ValueError):
    """The wanted batches cannot be made from the clips that there are."""


class EmotionBatchSampler(Sampler[list[int]]):
    """Local batches of clip indices, cut from balanced global batches.

    Every global batch holds at least two emotions and at least two clips of each. No clip comes twice in a
    global batch, nor again in an epoch until its emotion (its emotion in its language, where languages are
    drawn) is used up; small emotions then start again, so that all emotions come equally often and every clip
    is seen.

    Args:
        emotions: the emotion of each clip (any hashable value); `None` or -100 leaves a clip out.
        emotions_per_batch: P, the emotions in a global batch (of each language, where languages are drawn).
        clips_per_emotion: K, the clips of each of them.
        local_batch_size: the clips that a device reads at once; the global batch is a multiple of it.
        languages: the language of each clip, when batches should mix `languages_per_batch` of them.
        languages_per_batch: how many languages a global batch draws (EDRL draws 3).
        speakers: the speaker of each clip, when the clips of an emotion should come from many speakers.
        durations: the seconds of each clip, when clips of similar length should meet in a batch.
        length_window: how far ahead the search for similar lengths looks, in batches; 1 turns it off.
        seed: batches are a function of the seed and the epoch alone.

    Example:
        >>> sampler = EmotionBatchSampler(["happy", "sad"] * 4, emotions_per_batch=2, clips_per_emotion=2)
        >>> [len(batch) for batch in sampler], sorted(index for batch in sampler for index in batch)
        ([4, 4], [0, 1, 2, 3, 4, 5, 6, 7])
    """

    def __init__(
        self,
        emotions: Sequence[Hashable],
        emotions_per_batch: int = 4,
        clips_per_emotion: int = 4,
        *,
        local_batch_size: int | None = None,
        languages: Sequence[Hashable] | None = None,
        languages_per_batch: int | None = None,
        speakers: Sequence[Hashable] | None = None,
        durations: Sequence[float] | None = None,
        length_window: int = 8,
        seed: int = 0,
    ) -> None:
        for name, value in (
            ("emotions_per_batch", emotions_per_batch),
            ("clips_per_emotion", clips_per_emotion),
        ):
            if value < 2:
                raise SamplerError(f"{name} is {value}; contrasts need at least 2.")
        for name, column in (("languages", languages), ("speakers", speakers), ("durations", durations)):
            if column is not None and len(column) != len(emotions):
                raise SamplerError(f"{len(column)} {name} for {len(emotions)} clips; there must be one for each.")
        if languages_per_batch is not None and (languages is None or languages_per_batch < 1):
            raise SamplerError("languages_per_batch needs the languages of the clips, and must be at least 1.")

        self.languages_per_batch = languages_per_batch
        self.emotions_per_batch = emotions_per_batch
        self.clips_per_emotion = clips_per_emotion
        self.length_window = length_window if durations is not None else 1
        self.seed = seed
        self.epoch = 0
        self._batches_to_skip = 0
        self._yielded = 0
        self._speakers = speakers
        self._durations = None if durations is None else np.asarray(durations, dtype=np.float64)
        self._cells = self._group(emotions, languages if languages_per_batch is not None else None)

        self.batch_size = local_batch_size or self.global_batch_size
        if self.global_batch_size % self.batch_size:
            raise SamplerError(
                f"A global batch of {self.global_batch_size} clips cannot be cut into local batches of "
                f"{self.batch_size}. Choose emotions_per_batch x clips_per_emotion = local batch size x "
                "devices x accumulated steps."
            )
        self.drop_last = True  # read by accelerate: every rank gets equally many whole batches

    @property
    def global_batch_size(self) -> int:
        """The clips that one optimiser step sees."""
        return (self.languages_per_batch or 1) * self.emotions_per_batch * self.clips_per_emotion

    @property
    def local_batches_per_global(self) -> int:
        """How many local batches make a global one: devices x accumulated steps."""
        return self.global_batch_size // self.batch_size

    def __len__(self) -> int:
        return self._global_batches() * self.local_batches_per_global

    def __iter__(self) -> Iterator[list[int]]:
        start, self._batches_to_skip = self._batches_to_skip, 0
        for position, batch in enumerate(self._plan(self.epoch)):
            if position < start:
                continue
            self._yielded = position + 1
            yield batch
        self.epoch += 1
        self._yielded = 0

    def set_epoch(self, epoch: int) -> None:
        """Plan this epoch from now on; called by the training loop."""
        if epoch != self.epoch:
            self.epoch, self._batches_to_skip = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Where the sampler stands: enough to go on with exactly the batches that remain."""
        return {"epoch": self.epoch, "yielded": self._yielded, "seed": self.seed, "batches": len(self)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken; refuses the state of other data or another seed."""
        for name, own in (("seed", self.seed), ("batches", len(self))):
            if state[name] != own:
                raise SamplerError(
                    f"The saved state belongs to another run: its {name} is {state[name]}, here it is {own}. "
                    "Resume with the same data, seed and batch shape."
                )
        self.epoch, self._batches_to_skip = state["epoch"], state["yielded"]
        self._yielded = state["yielded"]

    # The plan of an epoch

    def _group(
        self, emotions: Sequence[Hashable], languages: Sequence[Hashable] | None
    ) -> dict[Hashable, dict[Hashable, list[int]]]:
        """Clip indices by language (one group where none are drawn) and emotion, in a stable order."""
        cells: dict[Hashable, dict[Hashable, list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, emotion in enumerate(emotions):
            if emotion is not None and emotion != -100:
                cells["any" if languages is None else languages[index]][emotion].append(index)
        ordered = {
            language: {emotion: cells[language][emotion] for emotion in sorted(cells[language], key=str)}
            for language in sorted(cells, key=str)
        }
        wanted = self.languages_per_batch or 1
        if len(ordered) < wanted:
            raise SamplerError(f"Batches of {wanted} languages are wanted, but the clips have {len(ordered)}.")
        for language, by_emotion in ordered.items():
            place = "" if languages is None else f" in language {language!r}"
            if len(by_emotion) < self.emotions_per_batch:
                raise SamplerError(
                    f"Batches of {self.emotions_per_batch} emotions are wanted, but there are "
                    f"{len(by_emotion)}{place}: {', '.join(map(str, by_emotion))}. Lower emotions_per_batch."
                )
            for emotion, clips in by_emotion.items():
                if len(clips) < self.clips_per_emotion:
                    raise SamplerError(
                        f"{self.clips_per_emotion} clips of each emotion are wanted, but {emotion!r} has "
                        f"{len(clips)}{place}. Lower clips_per_emotion or leave the emotion out."
                    )
        return ordered

    def _global_batches(self) -> int:
        """Enough batches for every clip, when cells are drawn equally often."""
        draws_of_a_language = max(
            math.ceil(self._draws(by_emotion) * len(by_emotion) / self.emotions_per_batch)
            for by_emotion in self._cells.values()
        )
        return math.ceil(draws_of_a_language * len(self._cells) / (self.languages_per_batch or 1))

    def _draws(self, by_emotion: dict[Hashable, list[int]]) -> int:
        return math.ceil(max(map(len, by_emotion.values())) / self.clips_per_emotion)

    def _plan(self, epoch: int) -> Iterator[list[int]]:
        random = np.random.default_rng([self.seed, epoch])
        decks = {
            (language, emotion): _Deck(clips, self._speakers, self._durations, random)
            for language, by_emotion in self._cells.items()
            for emotion, clips in by_emotion.items()
        }
        languages = _EqualTurns(list(self._cells), random)
        emotions = {language: _EqualTurns(list(by_emotion), random) for language, by_emotion in self._cells.items()}
        for _ in range(self._global_batches()):
            length = None if self._durations is None else random.choice(self._durations)
            cells = [
                decks[language, emotion].draw(self.clips_per_emotion, self.length_window, length)
                for language in languages.take(self.languages_per_batch or 1)
                for emotion in emotions[language].take(self.emotions_per_batch)
            ]
            yield from self._cut(cells, random)

    def _cut(self, cells: list[list[int]], random: np.random.Generator) -> Iterator[list[int]]:
        """Deal a global batch to local ones so that each has several emotions, in pairs where it can."""
        unit = 2 if self.clips_per_emotion % 2 == 0 and self.batch_size % 2 == 0 else 1
        order = random.permutation(len(cells))
        dealt = [
            clip
            for start in range(0, self.clips_per_emotion, unit)
            for cell in order
            for clip in cells[cell][start : start + unit]
        ]
        for start in range(0, len(dealt), self.batch_size):
            yield dealt[start : start + self.batch_size]


class _EqualTurns:
    """Hands out values so that all come equally often, in random order."""

    def __init__(self, values: list[Hashable], random: np.random.Generator) -> None:
        self._turns = dict.fromkeys(values, 0)
        self._random = random

    def take(self, count: int) -> list[Hashable]:
        values = list(self._turns)
        ties = self._random.random(len(values))
        order = sorted(range(len(values)), key=lambda place: (self._turns[values[place]], ties[place]))
        chosen = [values[place] for place in order[:count]]
        for value in chosen:
            self._turns[value] += 1
        return chosen


class _Deck:
    """The clips of one cell: dealt without repetition until used up, then shuffled again."""

    def __init__(
        self,
        clips: list[int],
        speakers: Sequence[Hashable] | None,
        durations: np.ndarray | None,
        random: np.random.Generator,
    ) -> None:
        self._clips, self._speakers, self._durations, self._random = clips, speakers, durations, random
        self._left: list[int] = []  # the next clip is the last of the list

    def draw(self, count: int, window: int, length: float | None) -> list[int]:
        if len(self._left) >= count:
            return self._deal(count, window, length)
        drawn, fresh = self._left[::-1], self._shuffled()
        already = set(drawn)
        self._left = [clip for clip in fresh if clip not in already]
        rest = self._deal(count - len(drawn), window, length)
        # What this batch already held comes last in the new round, and so not twice in the batch.
        self._left = [clip for clip in fresh if clip in already] + self._left
        return drawn + rest

    def _deal(self, count: int, window: int, length: float | None) -> list[int]:
        """The next clips, or those among the next few batches that are nearest to a length."""
        if self._durations is None or length is None:
            chosen = self._left[-count:]
            del self._left[-count:]
            return chosen[::-1]
        durations = self._durations
        ahead = self._left[-count * window :]
        nearest = ahead[::-1]
        nearest.sort(key=lambda clip: abs(durations[clip] - length))
        chosen = nearest[:count]
        taken = set(chosen)
        self._left[-len(ahead) :] = [clip for clip in ahead if clip not in taken]
        return chosen

    def _shuffled(self) -> list[int]:
        shuffled = [self._clips[place] for place in self._random.permutation(len(self._clips))]
        if self._speakers is None:
            return shuffled
        by_speaker: dict[Hashable, list[int]] = defaultdict(list)
        for clip in shuffled:
            by_speaker[self._speakers[clip]].append(clip)
        rounds = max(map(len, by_speaker.values()))
        # In turns, so that neighbours come from different speakers for as long as there are several.
        in_turns = [clips[turn] for turn in range(rounds) for clips in by_speaker.values() if turn < len(clips)]
        return in_turns[::-1]
