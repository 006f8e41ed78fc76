"""A small Whisper encoder learns to hear what a large one hears, from the clips alone.

The student has the teacher's width, so that each of its parts has a lesson of its own: given what the teacher's
part was given, answer what the teacher's part answered. Parts learned one by one learn much faster than a whole
encoder does from its end. Then the student listens by itself, every layer is still compared with the teacher's,
and what its parts do to one another is put right. The convolutions are also compared by themselves: beside the
positions that are added to them they are faint, and all that follows depends on them. No weight of the teacher
enters the student.

The distance is taken as the connector will see the frames: normalised, every dimension counting the same, and
with the mean and the deviation of each clip, which are what says most about emotion.
"""

from __future__ import annotations

import math
import os
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers.models.whisper.configuration_whisper import WhisperConfig
from transformers.models.whisper.modeling_whisper import sinusoids

from ...speech_encoder import TrueLengthWhisperEncoder
from .clips import Spectra
from .learner import Learner
from .lessons import FRAMES_PER_SECOND, Lessons
from .recipe import EncoderRecipe
from .teacher import Passage, Teacher, attend, feed_forward, normalised, pass_through, stem_of

WARM_UP = 50
SAVED_EVERY, LOGGED_EVERY = 250, 50
MEASURED_BATCHES = 60


def student_config(recipe: EncoderRecipe, window_seconds: float) -> WhisperConfig:
    """The student's size. A Whisper config needs a decoder; this one's is never built."""
    return WhisperConfig(
        d_model=recipe.width,
        encoder_layers=recipe.layers,
        encoder_attention_heads=recipe.heads,
        encoder_ffn_dim=recipe.feed_forward,
        max_source_positions=int(np.ceil(window_seconds * FRAMES_PER_SECOND)),
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


def new_student(recipe: EncoderRecipe, window_seconds: float) -> TrueLengthWhisperEncoder:
    """A student with random weights. Its convolutions start loud enough to be heard beside the positions."""
    student = TrueLengthWhisperEncoder(student_config(recipe, window_seconds), recipe.student_layers)
    table = student.embed_positions.weight
    with torch.no_grad():
        table.copy_(sinusoids(*table.shape))
    for convolution in (student.conv1, student.conv2):
        nn.init.normal_(convolution.weight, std=1.6 / convolution.weight[0].numel() ** 0.5)
        nn.init.zeros_(convolution.bias)
    for layer in student.layers:
        for part in layer.modules():
            if isinstance(part, nn.Linear):
                # What is added to the stream starts small.
                scale = 0.3 if part in (layer.fc2, layer.self_attn.out_proj) else 1.0
                nn.init.normal_(part.weight, std=scale / part.in_features**0.5)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
    student.layer_norm.requires_grad_(False)  # what it normalises is normalised again by the connector
    return student


def distil(
    recipe: EncoderRecipe,
    window_seconds: float,
    folder: Path,
    spectra: Spectra,
    teacher: Teacher,
    seed: int,
    log: Callable[[dict[str, float]], None],
) -> dict[str, Tensor]:
    """Train the student; its weights. Goes on from `student.pt` in the folder after an interruption."""
    torch.manual_seed(seed)
    lessons = Lessons(recipe, spectra, seed)
    learner = Learner(new_student(recipe, window_seconds), recipe)
    first, path = 0, folder / "student.pt"
    if path.exists():
        saved = torch.load(path, weights_only=True)
        learner.load_state_dict(saved["learner"])
        first = saved["step"]
    steps, distances, began = recipe.steps + recipe.together_steps, defaultdict(list), time.monotonic()
    if first == steps:
        return learner.master.state_dict()
    scale = _Scale.of(teacher, Lessons(recipe, spectra, seed + 1))
    for step in range(first, steps):
        student = learner.ready()
        features, mask = lessons[step]
        heard = teacher(features, mask)
        if step < recipe.steps:
            answer = _part_by_part(student, features, mask, heard)
            rate = recipe.learning_rate * _rate(step, recipe.steps)
        else:
            answer = pass_through(student, features.bfloat16(), mask)
            rate = recipe.together_learning_rate * _rate(step - recipe.steps, recipe.together_steps)
        loss, parts = scale.distance(answer, heard, recipe, offset=step % 2)
        loss.backward()
        learner.learn(rate)
        for name, value in parts.items():
            distances[name].append(value)
        if (step + 1) % LOGGED_EVERY == 0:
            means = {name: round(float(np.mean(values)), 4) for name, values in distances.items()}
            log({"step": step + 1, "seconds": round(time.monotonic() - began, 1), **means})
            distances.clear()
        if (step + 1) % SAVED_EVERY == 0 or step + 1 == steps:
            torch.save({"learner": learner.state_dict(), "step": step + 1}, f"{path}.part")
            os.replace(f"{path}.part", path)
    return learner.master.state_dict()


def _part_by_part(student: TrueLengthWhisperEncoder, features: Tensor, mask: Tensor, heard: Passage) -> Passage:
    """What each part of the student makes of what the teacher's part was given."""
    entered, _ = student.begin(features.bfloat16(), mask)
    stem = stem_of(student, entered)
    pairs = list(zip(student.layers, heard.states, heard.halfway, strict=False))
    halfway = [attend(layer, state, heard.attention_mask) for layer, state, _ in pairs]
    states = [feed_forward(layer, middle) for layer, _, middle in pairs]
    return Passage([entered, *states], halfway, heard.mask, heard.attention_mask, stem)


@dataclass
class _Scale:
    """What the teacher's normalised states look like: every dimension counts the same.

    Args:
        mean, std: of the frames, for each state (states, width).
        mean_spread, std_spread: how much the clips' own means and deviations differ, in units of `std`.
        stem_std: of what the convolutions say (width).
    """

    mean: Tensor
    std: Tensor
    mean_spread: Tensor
    std_spread: Tensor
    stem_std: Tensor

    @classmethod
    def of(cls, teacher: Teacher, lessons: Lessons) -> _Scale:
        total, square, count = torch.zeros(()), torch.zeros(()), 0
        means, stds, stems = [], [], []
        for step in range(MEASURED_BATCHES):
            heard = teacher(*lessons[step])
            states = torch.stack([normalised(state) for state in heard.states], 2)
            real = torch.ones(states.shape[:2], dtype=torch.bool) if heard.mask is None else heard.mask
            frames = states[real].double()
            stems.append(heard.stem[real].float().var(0))
            total, square, count = total + frames.sum(0), square + frames.square().sum(0), count + len(frames)
            for own, chosen in zip(states, real, strict=True):
                means.append(own[chosen].mean(0))
                stds.append(own[chosen].std(0, correction=0))
        mean = (total / count).float()
        std = ((square / count) - mean.double().square()).sqrt().float() + 1e-4
        floor = 0.02  # a dimension that hardly differs between clips does not matter more for it
        mean_spread, std_spread = (torch.stack(values).std(0) / std + floor for values in (means, stds))
        stem_std = torch.stack(stems).mean(0)
        # Some dimensions hardly ever move: they count for little, not for much.
        return cls(mean, std, mean_spread, std_spread, stem_std.sqrt().clamp(min=0.3 * float(stem_std.mean()) ** 0.5))

    def distance(
        self, answer: Passage, heard: Passage, recipe: EncoderRecipe, offset: int
    ) -> tuple[Tensor, dict[str, float]]:
        """Squared distance of all parts: frames, and each state's mean and deviation over the clip."""
        every_second = slice(offset, None, 2)  # neighbours are alike
        length = heard.states[0].shape[1]
        real = torch.ones(len(heard.states[0]), length) if heard.mask is None else heard.mask.float()
        real = real[:, every_second, None]
        total = torch.zeros(())
        parts: dict[str, float] = {}
        for number, (own, wanted) in enumerate(zip(answer.states, heard.states, strict=True)):
            ours, theirs = (
                (normalised(state[:, every_second]) - self.mean[number]) / self.std[number] for state in (own, wanted)
            )
            values = {"frames": _mean_square(ours - theirs, real)}
            (mean, std), (their_mean, their_std) = _statistics(ours, real), _statistics(theirs, real)
            values["mean"] = ((mean - their_mean) / self.mean_spread[number]).square().mean()
            values["deviation"] = ((std - their_std) / self.std_spread[number]).square().mean()
            total = total + values["frames"] + recipe.mean_weight * values["mean"]
            total = total + recipe.deviation_weight * values["deviation"]
            parts |= {f"{name}_{number}": value.item() for name, value in values.items()}
        off = (answer.stem - heard.stem)[:, every_second].float() / self.stem_std
        stem = _mean_square(off, real)
        total = total + recipe.stem_weight * stem
        parts["stem"] = stem.item()
        for number, (own, wanted) in enumerate(zip(answer.halfway, heard.halfway, strict=True), start=1):
            step_off = normalised(own[:, every_second]) - normalised(wanted[:, every_second])
            halfway = _mean_square(step_off / self.std[number], real)
            total = total + halfway
            parts[f"halfway_{number}"] = halfway.item()
        return total, parts


def _mean_square(values: Tensor, real: Tensor) -> Tensor:
    return (values.square() * real).sum() / (real.sum() * values.shape[-1])


def _statistics(values: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    count = real.sum(1)
    mean = (values * real).sum(1) / count
    square = (values.square() * real).sum(1) / count
    return mean, (square - mean.square()).clamp(min=1e-3).sqrt()


def _rate(step: int, steps: int) -> float:
    """Warm up to 1, then fall along half a cosine."""
    return min(1.0, (step + 1) / WARM_UP) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
