"""Adaptation without labels: what a model takes as normal is replaced by what one's own clips sound like.

Emotion is heard as a departure from the ordinary. The connector carries the ordinary of its training recordings
as means and deviations; another language, microphone or room has others, and so have low and high voices. A few dozen
clips without labels are enough to measure them, no weight changes, and it takes seconds. Then the answers move, too: to
where the clips of each label lie in this domain (`label_clouds.py`), each speaker's apart (`speakers.py`), or, for a
checkpoint that keeps no clouds, a label that is heard more often than others goes half-way to the same share (in the
logarithm).
"""

import math
import random
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice, repeat
from typing import Any

import torch

from .audio import iter_windows
from .domains import Domain, DomainMeter
from .errors import MSERError
from .label_clouds import CAUTION_FOUND, CAUTION_TOLD, LabelClouds
from .speakers import find_speakers, middles_of

PRIOR_CLIPS = 5.0
"""How many clips the checkpoint's own statistics weigh against the new ones, chosen on held-out training corpora."""

EQUAL_SHARES = 0.5
"""How far the labels' shares are moved towards equal ones, in the logarithm."""

SHARES_PRIOR_CLIPS = 10.0
CLOUDS_PRIOR_CLIPS = 20.0
"""How many clips the answers as they are weigh as much as, against what the clouds say."""

SHARES_CLIPS, CLOUDS_CLIPS = 300, 5000
SAMPLE_BYTES = 256 << 20
"""The labels are asked of so many clips, or of as many as this memory holds."""

FITTED = ("label_weights", "label_bias", "temperature")
"""What adaptation changes in a config."""

MIN_CLIPS = 2
_NOBODY = object()


class AdaptationError(MSERError, ValueError):
    """Clips that a model cannot be adapted to."""


@dataclass(frozen=True)
class AdaptationReport:
    """What an adaptation did.

    Args:
        clips: how many windows of audio were heard.
        seconds: their length together.
        weight: how far the statistics moved from the checkpoint's (0) to the clips' own (1).
        high_voices: the share of high voices, where the model keeps low and high ones apart.
        label_shares: how often each label was heard.
        speakers: how many speakers were told, or found; 0 if all were taken for the same.
    """

    clips: int
    seconds: float
    weight: float
    high_voices: float | None = None
    label_shares: dict[str, float] = field(default_factory=dict)
    speakers: int = 0


@torch.no_grad()
def adapt(
    model: Any,
    processor: Any,
    clips: Iterable[Any],
    *,
    sampling_rate: int | None = None,
    speakers: Iterable[Hashable] | None = None,
    batch_size: int = 16,
    prior_clips: float = PRIOR_CLIPS,
) -> AdaptationReport:
    """Fit the model's statistics to unlabelled clips of its new domain. The model is changed in place.

    Calling it again starts from the statistics of the first call, as those are the model's own by then; load the
    checkpoint anew to start over.

    Args:
        model: an `MSERForEmotionGeneration` or an `MSERForEmotionClassification`.
        processor: its `MSERProcessor` or `MSERSpeechProcessor`.
        clips: audio of any kind that `load_audio` takes, of all emotions that the domain has.
        sampling_rate: the rate of clips that are bare arrays.
        speakers: a name for each clip, of who speaks; without them groups of clips that sound like one person are made.
        batch_size: how many windows the encoder reads at once.
        prior_clips: how many clips the checkpoint's statistics weigh as much as; 0 replaces them outright.

    Example:
        >>> import numpy as np
        >>> from hf_mser import load_embedded
        >>> from hf_mser.adaptation import adapt
        >>> noise = np.random.default_rng(0).normal(size=(10, 16_000))
        >>> adapt(*load_embedded(), list(noise), sampling_rate=16_000).clips
        10
    """
    seconds = 0.0

    def heard() -> Iterator[tuple[torch.Tensor, torch.Tensor, list[Hashable]]]:
        nonlocal seconds
        longest = float(model.config.window_seconds)
        for batch in _batches(_windows(clips, speakers, longest, sampling_rate), batch_size):
            windows, names = zip(*batch, strict=True)
            seconds += sum(window.end - window.start for window in windows)
            features, mask = processor.extract_features([window.samples for window in windows])
            yield (*model.encode_speech(features.to(model.device), mask.to(model.device)), list(names))

    report = adapt_to_frames(model, heard(), prior_clips=prior_clips)
    return replace(report, seconds=seconds)


@torch.no_grad()
def adapt_to_frames(
    model: Any,
    heard: Iterable[tuple[Any, ...]],
    *,
    prior_clips: float = PRIOR_CLIPS,
) -> AdaptationReport:
    """`adapt`, to what the encoder made of the clips already.

    Args:
        model: as for `adapt`.
        heard: batches of `encode_speech`'s frames, their mask, and, if told, who speaks in each clip.
        prior_clips: as for `adapt`.
    """
    connector = model.connector
    if not connector.domain:
        raise AdaptationError(
            "This model keeps no statistics of its training recordings (normalize_frames=False): none can be adapted."
        )
    has_clouds = bool(getattr(model.config, "label_clouds", None))
    has_labels = hasattr(model, "score_emotions") and bool(model.config.candidate_ids)
    meter, sample = DomainMeter(), _Sample(CLOUDS_CLIPS if has_clouds else SHARES_CLIPS)
    for frames, mask, *told in heard:
        names = told[0] if told else [None] * len(frames)
        if not (has_clouds and connector.tells_speakers) and any(name is not None for name in names):
            raise AdaptationError(
                "This checkpoint cannot tell speakers apart: adapt it without `speakers`. Training measures what that "
                "takes (adaptation_clips) where the corpora say who speaks and each label has clips."
            )
        if hasattr(model, "adapt_frames"):
            frames = model.adapt_frames(frames, mask)
        statistics = connector.pool_statistics(torch.nn.functional.layer_norm(frames.float(), frames.shape[-1:]), mask)
        lengths = torch.full((len(frames),), frames.shape[2]) if mask is None else mask.sum(1)
        meter.add(statistics, lengths.to(statistics), connector.voices_of(statistics))
        if has_clouds:
            for own, name in zip(statistics, names, strict=True):
                sample.add(own, name)
        elif has_labels:
            for clip, length in enumerate(lengths.tolist()):
                sample.add(frames[clip, :, : int(length)])
    count = round(meter.clips)
    if count < MIN_CLIPS:
        raise AdaptationError(
            f"{count} clip(s) are too few to adapt to: give at least {MIN_CLIPS}, better 30 or more, of all emotions."
        )
    set_domain(connector, meter.moved_from(connector.domain, prior_clips))
    voices = meter.clips_of_voices.tolist()
    shares: dict[str, float] = {}
    met = 0
    if has_clouds:
        shares, met = _move_clouds(model, torch.stack(sample.clips), sample.names)
    elif has_labels:
        shares = _even_out_labels(model, sample.clips)
    return AdaptationReport(
        clips=count,
        seconds=0.0,
        weight=count / (count + prior_clips),
        high_voices=voices[1] / sum(voices) if len(voices) > 1 else None,
        label_shares=shares,
        speakers=met,
    )


def set_domain(connector: Any, domain: Domain) -> None:
    """Make this the connector's own."""
    for name, values in connector.domain.items():
        values.copy_(domain[name])


@contextmanager
def unadapted_afterwards(model: Any) -> Iterator[None]:
    """Whatever the model is adapted to within, afterwards it is what it was.

    Example:
        >>> import numpy as np
        >>> from hf_mser import load_embedded
        >>> model, processor = load_embedded()
        >>> with unadapted_afterwards(model):
        ...     report = adapt(model, processor, list(np.random.randn(5, 8_000)), sampling_rate=16_000)
        >>> model.config.label_bias is None
        True
    """
    connector, config = model.connector, model.config
    domain = {name: values.clone() for name, values in connector.domain.items()}
    answers = {name: getattr(config, name) for name in FITTED if hasattr(config, name)}
    met = hasattr(config, "label_clouds") and connector.config.num_speaker_traits
    speakers = (connector.speaker_middles, connector.speaker_offsets) if met else ()
    try:
        yield
    finally:
        set_domain(connector, domain)
        for name, value in answers.items():
            setattr(config, name, value)
        if speakers:
            connector.meet_speakers(*speakers)


def _move_clouds(model: Any, statistics: torch.Tensor, names: list[Hashable]) -> tuple[dict[str, float], int]:
    """Move what is added to the labels' scores to where these clips lie; the labels' shares, and how many speakers."""
    config, connector, count = model.config, model.connector, len(model.config.labels)
    connector.forget_speakers()
    traits = speakers = None
    told = None not in names
    if connector.tells_speakers:
        traits = connector.traits_of(statistics).cpu().double()
        speakers = _numbered(names) if told else find_speakers(traits)
    clouds, readings = LabelClouds.from_dict(config.label_clouds), connector.readings_of(statistics).cpu()
    moved = clouds.moved_to(readings, speakers, CAUTION_TOLD if told else CAUTION_FOUND)
    if traits is not None and speakers is not None:
        connector.meet_speakers(middles_of(traits, speakers), moved.offsets)
    weights, bias = moved.answers()
    share = len(statistics) / (len(statistics) + CLOUDS_PRIOR_CLIPS)
    before = torch.tensor(config.label_weights or [[0.0] * count] * count), torch.tensor(config.label_bias or 0.0)
    config.label_weights = torch.lerp(before[0].double(), weights, share).tolist()
    config.label_bias = torch.lerp(before[1].double().expand(count), bias, share).tolist()
    config.temperature += share * (moved.clouds.temperature - config.temperature)
    return dict(zip(config.labels, moved.log_shares.exp().tolist(), strict=True)), connector.config.num_speakers


def _numbered(names: list[Hashable]) -> torch.Tensor:
    """A number for each name, in the order in which they come."""
    numbers: dict[Hashable, int] = {}
    return torch.tensor([numbers.setdefault(name, len(numbers)) for name in names])


def _even_out_labels(model: Any, clips: list[torch.Tensor]) -> dict[str, float]:
    """Set the config's `label_bias` from the labels' shares among these clips, and return the shares."""
    model.config.label_bias = None
    heard = torch.zeros(len(model.config.labels), dtype=torch.float64)
    for batch in _batches(clips, 16):
        lengths = torch.tensor([clip.shape[1] for clip in batch])
        frames = torch.nn.utils.rnn.pad_sequence([clip.transpose(0, 1) for clip in batch], batch_first=True)
        mask = torch.arange(frames.shape[1]) < lengths[:, None]
        scores = model.score_emotions(speech_frames=frames.transpose(1, 2), speech_frames_mask=mask.to(frames.device))
        heard += (scores / model.config.temperature).softmax(-1).sum(0).double().cpu()
    shares = (heard / heard.sum()).tolist()
    strength = EQUAL_SHARES * len(clips) / (len(clips) + SHARES_PRIOR_CLIPS) * model.config.temperature
    model.config.label_bias = [-strength * math.log(max(share, 1e-6) * len(shares)) for share in shares]
    return dict(zip(model.config.labels, shares, strict=True))


def _windows(
    clips: Iterable[Any], speakers: Iterable[Hashable] | None, longest: float, sampling_rate: int | None
) -> Iterator[tuple[Any, Hashable]]:
    """All windows, and who speaks in each."""
    names = repeat(None) if speakers is None else iter(speakers)
    count = 0
    for count, clip in enumerate(clips, start=1):
        name = next(names, _NOBODY)
        if name is _NOBODY:
            raise AdaptationError(f"speakers names {count - 1}, but there are more clips. Give one for each clip.")
        for window in iter_windows(clip, longest, longest, sampling_rate):
            yield window, name
    if speakers is not None and next(names, _NOBODY) is not _NOBODY:
        raise AdaptationError(f"speakers names more than the {count} clips. Give one for each clip.")


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


class _Sample:
    """Clips drawn at random from all that come by, each with the same chance."""

    def __init__(self, most: int) -> None:
        self.clips: list[torch.Tensor] = []
        self.names: list[Hashable] = []
        self._most, self._seen, self._size, self._random = most, 0, 0, random.Random(0)

    def add(self, clip: torch.Tensor, name: Hashable = None) -> None:
        if self._seen == 0:
            self._size = max(10, min(self._most, SAMPLE_BYTES // (clip.nbytes + 1)))
        place = self._seen if self._seen < self._size else self._random.randrange(self._seen + 1)
        self._seen += 1
        if place < self._size:
            self.clips[place : place + 1] = [clip.clone()]
            self.names[place : place + 1] = [name]


__all__ = [
    "AdaptationError",
    "AdaptationReport",
    "adapt",
    "adapt_to_frames",
    "set_domain",
    "unadapted_afterwards",
]
