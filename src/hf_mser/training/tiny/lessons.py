"""Batches of clips for the distillation, each time in another voice and recorded in another place."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from .clips import Spectra, by_length, features
from .recipe import EncoderRecipe
from .recording import recorded
from .voices import another_voice, together

FRAMES_PER_SECOND = 50


class Lessons:
    """Step by step the same batches for the same seed, wherever training goes on from."""

    def __init__(self, recipe: EncoderRecipe, spectra: Spectra, seed: int) -> None:
        self.recipe, self.spectra, self.seed = recipe, spectra, seed
        self.longest = int(recipe.longest_seconds * FRAMES_PER_SECOND)
        self._epoch, self._batches = -1, self._batches_of(0)
        self._per_epoch = len(self._batches)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """Features (batch, bands, time) and their mask."""
        epoch, number = divmod(step, self._per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._batches_of(epoch)
        return self._spoken(self._batches[number % len(self._batches)], np.random.default_rng([self.seed, 1, step]))

    def _batches_of(self, epoch: int) -> list[np.ndarray]:
        random = np.random.default_rng([self.seed, 0, epoch])
        lengths = np.minimum(self.spectra.frames, self.longest) * random.uniform(0.9, 1.1, len(self.spectra.frames))
        batches = list(by_length(lengths, self.recipe.seconds_per_batch * FRAMES_PER_SECOND))
        return [batches[number] for number in random.permutation(len(batches))]

    def _spoken(self, clips: np.ndarray, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        spectra = [another_voice(self._excerpt(int(clip), random), random) for clip in clips]
        lengths = torch.tensor([len(own) for own in spectra])
        padded = nn.utils.rnn.pad_sequence(spectra, batch_first=True, padding_value=-10.0).transpose(1, 2)
        mask = torch.arange(padded.shape[2])[None] < lengths[:, None]
        power = 10**padded * mask[:, None]
        if random.random() < self.recipe.together_share:
            power = together(power, random)
        if random.random() < self.recipe.recorded_share:
            power = recorded(power, mask, random)
        return features(power.clamp(min=1e-10).log10(), mask), mask

    def _excerpt(self, clip: int, random: np.random.Generator) -> Tensor:
        values = self.spectra[clip]
        spare = len(values) // 2 - self.longest
        if spare > 0:
            start = int(random.integers(spare + 1))
            values = values[2 * start : 2 * (start + self.longest)]
        return torch.from_numpy(values.astype(np.float32))
