"""A small Whisper encoder learns to hear what a large one hears, from the clips alone.

The teacher's middle layers carry emotion. Layer by layer the student predicts the teacher's frames, and what
the connector will read of them: their mean and deviation over the clip. Half of the time the student hears
the clip through another room or telephone, while the teacher heard it clean. Towards the end it is also asked
for the emotion, from the same statistics, so that what little it cannot learn is not what matters.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.whisper.configuration_whisper import WhisperConfig

from ...backbones import speech_encoder_weights
from ...emotions import EMOTIONS
from ...speech_encoder import TrueLengthWhisperEncoder
from .clips import Clip, Spectra, balanced, by_length, emotions_of, features
from .recipe import EncoderRecipe
from .recording import recorded

FRAMES_PER_SECOND = 50


def student_config(recipe: EncoderRecipe) -> WhisperConfig:
    """The student's size. A Whisper config needs a decoder; this one's is never built."""
    return WhisperConfig(
        d_model=recipe.width,
        encoder_layers=recipe.layers,
        encoder_attention_heads=recipe.heads,
        encoder_ffn_dim=4 * recipe.width,
        dropout=0.0,
        decoder_layers=1,
        decoder_attention_heads=1,
        decoder_ffn_dim=64,
        vocab_size=64,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=0,
    )


def new_student(recipe: EncoderRecipe) -> TrueLengthWhisperEncoder:
    """A student with random weights. Its convolutions start loud enough to be heard beside the positions."""
    student = TrueLengthWhisperEncoder(student_config(recipe), recipe.student_layers)
    for convolution in (student.conv1, student.conv2):
        nn.init.normal_(convolution.weight, std=1.6 / convolution.weight[0].numel() ** 0.5)
        nn.init.zeros_(convolution.bias)
    student.layer_norm.requires_grad_(False)  # what it normalises is normalised again by the connector
    return student


def teacher_frames(
    teacher: str | Path, spectra: Spectra, layers: tuple[int, ...]
) -> Iterator[tuple[np.ndarray, Tensor, np.ndarray]]:
    """(clips, normalised frames (batch, layers, time, width), lengths) of a Whisper checkpoint's encoder."""
    config = WhisperConfig.from_pretrained(teacher)
    encoder = TrueLengthWhisperEncoder(config, layers)
    weights, _ = speech_encoder_weights(teacher)
    wanted = encoder.state_dict()
    encoder.load_state_dict({name: tensor.float() for name, tensor in weights.items() if name in wanted})
    encoder.eval()
    for batch in by_length(spectra.frames, 60 * FRAMES_PER_SECOND):
        log_power, mask = _padded(spectra, batch)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            frames, _ = encoder(features(log_power, mask), mask)
        yield batch, F.layer_norm(frames.float(), frames.shape[-1:]), spectra.frames[batch]


def ask_teacher(
    teacher: str | Path, folder: Path, versions: list[Spectra], layers: tuple[int, ...], width: int
) -> None:
    """Write the teacher's frames for every version: `targets-N.f16` (frames, layers, width)."""
    for spectra in versions:
        path = folder / f"targets-{spectra.version}.f16"
        if path.exists():
            continue
        shape = (int(spectra.frames.sum()), len(layers), width)
        targets = np.memmap(f"{path}.part", np.float16, "w+", shape=shape)
        for batch, frames, lengths in teacher_frames(teacher, spectra, layers):
            for row, clip in enumerate(batch):
                start = spectra.starts[clip]
                targets[start : start + lengths[row]] = frames[row, :, : lengths[row]].transpose(0, 1).numpy()
        targets.flush()
        os.replace(f"{path}.part", path)


def distil(
    recipe: EncoderRecipe,
    folder: Path,
    clips: Sequence[Clip],
    versions: list[Spectra],
    teacher_width: int,
    seed: int,
    log: Callable[[dict[str, float]], None],
) -> dict[str, Tensor]:
    """Train the student; its weights. Goes on from `student.pt` in the folder after an interruption."""
    torch.manual_seed(seed)
    lessons = _Lessons(recipe, folder, clips, versions, teacher_width)
    master = _Pupil(recipe, teacher_width)
    # The working copy is in bfloat16, which processors multiply fast; the weights that learn are in float32.
    working = copy.deepcopy(master).bfloat16()
    learning = [parameter for parameter in master.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        learning, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.98)
    )
    steps_per_epoch = len(lessons.epoch(seed, 0))
    first, path = 0, folder / "student.pt"
    if path.exists():
        saved = torch.load(path, weights_only=True)
        master.load_state_dict(saved["master"])
        optimizer.load_state_dict(saved["optimizer"])
        first = saved["epoch"]
    for epoch in range(first, recipe.epochs):
        random = np.random.default_rng([seed, epoch])
        began, losses = time.monotonic(), []
        for number, batch in enumerate(lessons.epoch(seed, epoch)):
            progress = (epoch * steps_per_epoch + number) / (recipe.epochs * steps_per_epoch)
            warm = min(1.0, (epoch * steps_per_epoch + number + 1) / 60)
            rate = recipe.learning_rate * warm * (0.02 + 0.49 * (1 + np.cos(np.pi * min(1.0, progress))))
            _copy(master, working)
            loss, parts = lessons.loss(working, batch, random, progress >= recipe.emotion_from)
            working.zero_grad()
            loss.backward()
            _step(optimizer, master, working, rate)
            losses.append(parts)
        log({"epoch": epoch + 1, "seconds": time.monotonic() - began, **_mean(losses)})
        state = {"master": master.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1}
        torch.save(state, f"{path}.part")
        os.replace(f"{path}.part", path)
    return master.student.state_dict()


class _Pupil(nn.Module):
    """The student, and what turns its layers into the teacher's frames and their deviation over the clip."""

    def __init__(self, recipe: EncoderRecipe, teacher_width: int) -> None:
        super().__init__()
        self.student = new_student(recipe)
        layers = range(len(recipe.student_layers))
        self.to_frames = nn.ModuleList(nn.Linear(recipe.width, teacher_width) for _ in layers)
        self.to_emotion = nn.Linear(2 * recipe.width * len(layers), len(EMOTIONS))
        nn.init.zeros_(self.to_emotion.weight)
        self.to_deviation = nn.ModuleList(nn.Linear(2 * recipe.width, teacher_width) for _ in layers)


class _Lessons:
    """Batches of clips with the teacher's answers, and how far the student is from them."""

    def __init__(
        self, recipe: EncoderRecipe, folder: Path, clips: Sequence[Clip], versions: list[Spectra], teacher_width: int
    ) -> None:
        self.recipe, self.versions = recipe, versions
        self.corpus = np.array([clip.corpus for clip in clips])
        self.emotion = emotions_of(clips)
        self.weight = balanced(self.corpus, self.emotion)
        self.usual = _Usual()
        self.longest = int(recipe.longest_seconds * FRAMES_PER_SECOND)
        layers = len(recipe.teacher_layers)
        self.targets = [
            np.memmap(folder / f"targets-{spectra.version}.f16", np.float16, "r").reshape(-1, layers, teacher_width)
            for spectra in versions
        ]
        self._measure(versions[0], self.targets[0])

    def _measure(self, spectra: Spectra, targets: np.ndarray) -> None:
        """What the teacher's frames and their statistics look like: every dimension counts the same."""
        mean, square, clip_mean, clip_std, count = 0.0, 0.0, [], [], 0
        for start, frames in zip(spectra.starts[::5], spectra.frames[::5], strict=True):
            values = targets[start : start + frames].astype(np.float32)
            mean, square, count = mean + values.sum(0), square + np.square(values).sum(0), count + frames
            clip_mean.append(values.mean(0))
            clip_std.append(values.std(0))
        mean = mean / count
        std = np.sqrt(square / count - mean**2) + 1e-4
        tensor = torch.from_numpy
        self.mean, self.std = tensor(mean), tensor(std)
        self.mean_spread = tensor(np.std(clip_mean, 0) / std + 0.02)
        self.std_mean, self.std_spread = tensor(np.mean(clip_std, 0) / std), tensor(np.std(clip_std, 0) / std + 0.02)

    def epoch(self, seed: int, epoch: int) -> list[list[tuple[int, int]]]:
        """All clips once, each in a random version, in batches of similar length in random order."""
        random = np.random.default_rng([seed, epoch, 1])
        version = random.integers(len(self.versions), size=len(self.versions[0].frames))
        lengths = np.array([self.versions[chosen].frames[clip] for clip, chosen in enumerate(version)])
        shuffled = np.minimum(lengths, self.longest) * random.uniform(0.95, 1.05, len(lengths))
        batches = list(by_length(shuffled, self.recipe.seconds_per_batch * FRAMES_PER_SECOND))
        return [[(int(version[clip]), int(clip)) for clip in batches[i]] for i in random.permutation(len(batches))]

    def loss(
        self, pupil: _Pupil, batch: list[tuple[int, int]], random: np.random.Generator, with_emotion: bool
    ) -> tuple[Tensor, dict[str, float]]:
        """Squared distance to the teacher: frames, and mean and deviation over the clip."""
        log_power, targets, lengths = self._read(batch, random)
        mask = torch.arange(log_power.shape[2])[None] < 2 * lengths[:, None]
        if random.random() < self.recipe.recorded_share:
            log_power = recorded(10**log_power, mask, random).clamp(min=1e-10).log10()
        heard = _masked(features(log_power, mask), 2 * lengths, random)
        frames, _ = pupil.student(heard.bfloat16(), mask)
        frames = F.layer_norm(frames, frames.shape[-1:])
        offset = int(random.integers(2))  # every second frame says enough
        real = (torch.arange(targets.shape[1])[None] < lengths[:, None])[:, offset::2, None]
        total = torch.zeros(())
        parts: dict[str, float] = {}
        statistics = []
        for layer in range(frames.shape[1]):
            own = frames[:, layer, offset::2]
            wanted = ((targets[:, offset::2, layer].float() - self.mean[layer]) / self.std[layer]).bfloat16()
            answer = pupil.to_frames[layer](own)
            distance = F.mse_loss(answer * real, wanted * real, reduction="none").sum(dtype=torch.float32)
            distance = distance / (real.sum() * wanted.shape[-1])
            mean, std = _statistics(wanted, real)
            own_mean, own_std = _statistics(own, real)
            statistics += [own_mean, own_std]
            answer_mean, _ = _statistics(answer, real)
            off_mean = ((answer_mean - mean) / self.mean_spread[layer]).square().mean()
            answer_std = pupil.to_deviation[layer](torch.cat([own_mean, own_std], 1).bfloat16()).float()
            off_std = (answer_std - (std - self.std_mean[layer]) / self.std_spread[layer]).square().mean()
            total = total + distance + self.recipe.mean_weight * off_mean + self.recipe.deviation_weight * off_std
            values = {"frames": distance, "mean": off_mean, "deviation": off_std}
            parts |= {f"{name}_{layer}": value.item() for name, value in values.items()}
        if with_emotion:
            off_emotion = self._emotion_loss(pupil, torch.cat(statistics, 1), batch, random)
            total = total + self.recipe.emotion_weight * off_emotion
        return total, parts

    def _emotion_loss(
        self, pupil: _Pupil, statistics: Tensor, batch: list[tuple[int, int]], random: np.random.Generator
    ) -> Tensor:
        """Cross-entropy of a linear layer on the statistics, against all clips' usual or the corpus' own."""
        known = [
            row
            for row, (v, clip) in enumerate(batch)
            if self.emotion[clip] >= 0 and not self.versions[v].reversed[clip]
        ]
        if not known:
            return torch.zeros(())
        clips = np.array([batch[row][1] for row in known])
        chosen = statistics[torch.tensor(known)]
        of_all = self.usual.standardise(chosen, "")
        of_corpus = torch.zeros_like(chosen)
        for corpus in np.unique(self.corpus[clips]):
            rows = torch.from_numpy(np.flatnonzero(self.corpus[clips] == corpus))
            of_corpus[rows] = self.usual.standardise(chosen[rows], corpus)
        first = torch.from_numpy(random.random((len(known), 1))) < 0.5
        seen = F.dropout(torch.where(first, of_all, of_corpus), 0.3).clamp(-6, 6)
        scores = F.linear(seen, pupil.to_emotion.weight.float(), pupil.to_emotion.bias.float())
        weight = torch.from_numpy(self.weight[clips]).float()
        wanted = torch.from_numpy(self.emotion[clips])
        return (F.cross_entropy(scores, wanted, reduction="none") * weight).sum() / weight.sum()

    def _read(self, batch: list[tuple[int, int]], random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        spectra, targets = [], []
        for version, clip in batch:
            start, count, skipped = self.versions[version].starts[clip], self.versions[version].frames[clip], 0
            if count > self.longest:
                kept = int(random.integers(self.longest // 2, self.longest + 1))
                skipped, count = int(random.integers(0, count - kept + 1)), kept
            values = self.versions[version][clip][2 * skipped : 2 * (skipped + count)]
            spectra.append(torch.from_numpy(values.astype(np.float32)))
            targets.append(torch.from_numpy(np.array(self.targets[version][start + skipped : start + skipped + count])))
        pad = nn.utils.rnn.pad_sequence
        lengths = torch.tensor([len(values) for values in targets])
        padded = pad(spectra, batch_first=True, padding_value=-10.0).transpose(1, 2)
        return padded, pad(targets, batch_first=True), lengths


class _Usual:
    """Slowly moving mean and deviation of statistics, for all clips and for each corpus."""

    SPEED = 0.02
    FULL_BATCH = 16

    def __init__(self) -> None:
        self._mean: dict[str, Tensor] = {}
        self._square: dict[str, Tensor] = {}
        self._seen: dict[str, int] = {}

    def standardise(self, rows: Tensor, name: str) -> Tensor:
        with torch.no_grad():
            mean, square = rows.mean(0), rows.square().mean(0)
            old_mean, old_square = self._mean.get(name, mean), self._square.get(name, square)
            self._seen[name] = self._seen.get(name, 0) + 1
            step = max(self.SPEED * min(1.0, len(rows) / self.FULL_BATCH), 1 / self._seen[name])
            self._mean[name] = old_mean + step * (mean - old_mean)
            self._square[name] = old_square + step * (square - old_square)
            deviation = (self._square[name] - self._mean[name].square()).clamp(min=1e-4).sqrt()
        return (rows - self._mean[name]) / deviation


def _statistics(values: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    count = real.sum(1).float()
    kept = values * real
    mean = kept.sum(1, dtype=torch.float32) / count
    square = (kept * values).sum(1, dtype=torch.float32) / count
    return mean, (square - mean.square()).clamp(min=1e-3).sqrt()


def _masked(spectra: Tensor, lengths: Tensor, random: np.random.Generator) -> Tensor:
    """SpecAugment, lightly: a few bands or a moment at the clip's mean."""
    spectra = spectra.clone()
    for row, length in enumerate(lengths.tolist()):
        if random.random() < 0.4:
            width = int(random.integers(2, 10))
            low = int(random.integers(0, spectra.shape[1] - width))
            spectra[row, low : low + width] = spectra[row].mean()
        if random.random() < 0.3:
            width = int(random.integers(3, 20))
            start = int(random.integers(0, max(1, length - width)))
            spectra[row, :, start : start + width] = spectra[row].mean()
    return spectra


def _padded(spectra: Spectra, clips: np.ndarray) -> tuple[Tensor, Tensor]:
    values = [torch.from_numpy(spectra[clip].astype(np.float32)) for clip in clips]
    lengths = torch.tensor([len(value) for value in values])
    padded = nn.utils.rnn.pad_sequence(values, batch_first=True, padding_value=-10.0).transpose(1, 2)
    return padded, torch.arange(padded.shape[2])[None] < lengths[:, None]


def student_frames(student: TrueLengthWhisperEncoder, spectra: Spectra, seed: int | None) -> Iterator[tuple]:
    """(clips, frames (batch, layers, time, width), lengths) of a version, through random rooms if seeded."""
    random = None if seed is None else np.random.default_rng(seed)
    for batch in by_length(spectra.frames, 120 * FRAMES_PER_SECOND):
        log_power, mask = _padded(spectra, batch)
        if random is not None:
            log_power = recorded(10**log_power, mask, random).clamp(min=1e-10).log10()
        with torch.no_grad():
            frames, _ = student(features(log_power, mask).to(student.conv1.weight.dtype), mask)
        yield batch, F.layer_norm(frames.float(), frames.shape[-1:]), spectra.frames[batch]


def _copy(master: nn.Module, working: nn.Module) -> None:
    with torch.no_grad():
        for source, target in zip(master.parameters(), working.parameters(), strict=True):
            target.copy_(source)


def _step(optimizer: torch.optim.Optimizer, master: nn.Module, working: nn.Module, rate: float) -> None:
    learning = []
    for target, source in zip(master.parameters(), working.parameters(), strict=True):
        target.grad = None if source.grad is None else source.grad.float()
        if target.grad is not None:
            learning.append(target)
    nn.utils.clip_grad_norm_(learning, 1.0)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
