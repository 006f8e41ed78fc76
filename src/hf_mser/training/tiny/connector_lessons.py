"""The connector's lessons: batches in which corpora and their emotions are balanced, each clip in a random domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ...domains import Domain, stacked
from ..adaptable.speaker_traits import speaker_traits
from ..adaptable.voice_gate import voice_gate
from ..balance import balanced_weights
from .clips import Clip, emotions_of
from .domains import Views, measure
from .hearing import HeardClips
from .recipe import ConnectorRecipe

LONGEST_FRAMES = 200  # four seconds
EVERY = 4
"""In a lesson every fourth frame is heard: neighbours are alike, and lessons are four times as fast."""
BATCHES_AHEAD = 8


@dataclass
class Batch:
    """Frames and their mask, each clip's domain, its statistics (standardised by it), and its emotion's number."""

    frames: Tensor
    mask: Tensor
    domain: Domain
    statistics: Tensor
    emotion: Tensor


class ConnectorLessons:
    """Clips of all corpora, or of those named; each is heard in a random version and domain."""

    def __init__(
        self,
        recipe: ConnectorRecipe,
        clips: Sequence[Clip],
        versions: list[HeardClips],
        seed: int,
        corpora: Sequence[str] | None,
    ) -> None:
        self.recipe, self.versions = recipe, versions
        self.random = np.random.default_rng(seed)
        corpus = np.array([clip.corpus for clip in clips])
        speaker = np.array([clip.speaker for clip in clips])
        self.emotion = emotions_of(clips)
        taken = np.isin(corpus, list(corpora or np.unique(corpus)))
        self.labelled = np.flatnonzero(taken & (self.emotion >= 0))
        self.weights = balanced_weights(corpus[self.labelled], self.emotion[self.labelled], recipe.corpus_power)
        chosen = np.flatnonzero(taken)
        own = torch.from_numpy(chosen)
        self.place = np.full(len(clips), -1)
        self.place[chosen] = np.arange(len(chosen))
        lengths = [torch.from_numpy(version.lengths[chosen]).float() for version in versions]
        statistics = torch.stack([versions[0].means[own], versions[0].stds[own]], 2)
        self.voice_gate = voice_gate(statistics, [clips[int(clip)].gender for clip in chosen])
        self.traits = speaker_traits(recipe.traits, statistics, corpus[chosen], speaker[chosen], self.emotion[chosen])
        self.world = measure(versions[0].means[own], versions[0].stds[own], lengths[0])
        self.views = [
            Views(version.means[own], version.stds[own], length, corpus[chosen], speaker[chosen], self.world)
            for version, length in zip(versions, lengths, strict=True)
        ]
        self._ready: list[np.ndarray] = []

    def batch(self) -> Batch:
        """The next clips, of similar length."""
        if not self._ready:
            self._draw()
        frames, domains, rows, labels = [], [], [], []
        for clip, number in self._ready.pop():
            version, start = self.versions[number], self.versions[number].starts[clip]
            count, skipped = int(version.lengths[clip]), 0
            if count > LONGEST_FRAMES:
                skipped, count = int(self.random.integers(0, count - LONGEST_FRAMES + 1)), LONGEST_FRAMES
            first = start + skipped + int(self.random.integers(0, min(EVERY, count)))
            frames.append(torch.from_numpy(np.array(version.frames[first : start + skipped + count : EVERY])))
            domains.append(self.views[number].draw(int(self.place[clip]), self.random))
            rows.append(self._standardised(clip, number, domains[-1]))
            labels.append(int(self.emotion[clip]))
        lengths = torch.tensor([len(own) for own in frames])
        padded = nn.utils.rnn.pad_sequence(frames, batch_first=True).float().transpose(1, 2)
        mask = torch.arange(padded.shape[2])[None] < lengths[:, None]
        return Batch(padded, mask, stacked(domains), torch.stack(rows), torch.tensor(labels))

    def statistics(self, count: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """So many clips' statistics alone, each standardised by a random domain, and their emotions' numbers."""
        clips = random.choice(self.labelled, count, p=self.weights)
        numbers = self._versions_of(count, random)
        rows = [
            self._standardised(clip, number, self.views[number].draw(int(self.place[clip]), random))
            for clip, number in zip(clips, numbers, strict=True)
        ]
        return torch.stack(rows), torch.from_numpy(self.emotion[clips])

    def _versions_of(self, count: int, random: np.random.Generator) -> np.ndarray:
        """In which version each of so many clips is heard: the clean one, or one of the recorded ones."""
        numbers = np.zeros(count, int)
        if len(self.versions) > 1:
            recorded = random.random(count) < self.recipe.recorded_share
            numbers[recorded] = random.integers(1, len(self.versions), size=int(recorded.sum()))
        return numbers

    def _standardised(self, clip: int, number: int, domain: Domain) -> Tensor:
        version = self.versions[number]
        statistics = torch.stack([version.means[clip], version.stds[clip]], 1)
        return ((statistics - domain["statistics_mean"]) / domain["statistics_std"]).flatten()

    def _draw(self) -> None:
        """Several batches at once, so that clips of similar length can share one."""
        size = self.recipe.batch
        clips = self.random.choice(self.labelled, size * BATCHES_AHEAD, p=self.weights)
        numbers = self._versions_of(len(clips), self.random)
        lengths = [self.versions[number].lengths[clip] for clip, number in zip(clips, numbers, strict=True)]
        pairs = np.stack([clips, numbers], 1)[np.argsort(lengths, kind="stable")]
        batches = pairs.reshape(BATCHES_AHEAD, size, 2)
        self._ready = [batches[i] for i in self.random.permutation(BATCHES_AHEAD)]
