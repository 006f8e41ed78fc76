"""Adaptation without labels: what a model takes as normal is replaced by what one's own clips sound like.

Emotion is heard as a departure from the ordinary. The connector carries the ordinary of its training recordings
as means and deviations; another language, microphone or room has others, and so have low and high voices. A few dozen
clips without labels are enough to measure them, no weight changes, and it takes seconds. Then the answers move, too
(`adapted_answers.py`): to where the clips of each label lie in this domain, each speaker's apart, to what these clips
teach a linear reader of their own, and a label that is heard more often than others goes half-way to the same share.
"""

import random
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any

import torch

from .adapted_answers import EQUAL_SHARES, even_out_labels, move_clouds
from .audio import iter_windows
from .batching import batches
from .connector import statistics_of
from .domains import Domain, DomainMeter
from .errors import MSERError

PRIOR_CLIPS = 5.0
"""How many clips the checkpoint's own statistics weigh against the new ones, chosen on held-out training corpora."""

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
        label_shares: how often each label was heard; 0 for those of which was said that they do not occur.
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
    labels: Sequence[str] | None = None,
    batch_size: int = 16,
    prior_clips: float = PRIOR_CLIPS,
    equal_shares: float = EQUAL_SHARES,
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
        labels: those of the model's labels that the domain has, if not all: the others are ruled out.
        batch_size: how many windows the encoder reads at once.
        prior_clips: how many clips the checkpoint's statistics weigh as much as; 0 replaces them outright.
        equal_shares: how far the labels' shares are moved towards equal ones, in the logarithm: 1 where the clips hold
            all labels equally often, 0 where most are of one.

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
        for batch in batches(_windows(clips, speakers, longest, sampling_rate), batch_size):
            windows, names = zip(*batch, strict=True)
            seconds += sum(window.end - window.start for window in windows)
            features, mask = processor.extract_features([window.samples for window in windows])
            yield (*model.encode_speech(features.to(model.device), mask.to(model.device)), list(names))

    report = adapt_to_frames(model, heard(), labels=labels, prior_clips=prior_clips, equal_shares=equal_shares)
    return replace(report, seconds=seconds)


@torch.no_grad()
def adapt_to_frames(
    model: Any,
    heard: Iterable[tuple[Any, ...]],
    *,
    labels: Sequence[str] | None = None,
    prior_clips: float = PRIOR_CLIPS,
    equal_shares: float = EQUAL_SHARES,
) -> AdaptationReport:
    """`adapt`, to what the encoder made of the clips already.

    Args:
        model: as for `adapt`.
        heard: batches of `encode_speech`'s frames, their mask, and, if told, who speaks in each clip.
        labels, prior_clips, equal_shares: as for `adapt`.
    """
    connector = model.connector
    if not 0 <= equal_shares <= 1:
        raise AdaptationError(f"equal_shares={equal_shares} must be from 0 (as they are heard) to 1 (all the same).")
    if not connector.domain:
        raise AdaptationError(
            "This model keeps no statistics of its training recordings (normalize_frames=False): none can be adapted."
        )
    has_clouds = bool(getattr(model.config, "label_clouds", None))
    has_labels = hasattr(model, "score_emotions") and bool(model.config.candidate_ids)
    occur = None if labels is None else _places(labels, model.config.labels if has_labels else [])
    meter, read, asked = DomainMeter(), _Sample(CLOUDS_CLIPS), _Sample(SHARES_CLIPS)
    for frames, mask, *told in heard:
        names = told[0] if told else [None] * len(frames)
        if not (has_clouds and connector.tells_speakers) and any(name is not None for name in names):
            raise AdaptationError(
                "This checkpoint cannot tell speakers apart: adapt it without `speakers`. Training measures what that "
                "takes (adaptation_clips) where the corpora say who speaks and each label has clips."
            )
        if hasattr(model, "adapt_frames"):
            frames = model.adapt_frames(frames, mask)
        statistics = statistics_of(frames, mask)
        lengths = torch.full((len(frames),), frames.shape[2]) if mask is None else mask.sum(1)
        meter.add(statistics, lengths.to(statistics), connector.voices_of(statistics))
        if has_clouds:
            for own, name in zip(statistics, names, strict=True):
                read.add(own, name)
        if has_labels:
            for clip, length in enumerate(lengths.tolist()):
                asked.add(frames[clip, :, : int(length)])
    count = round(meter.clips)
    if count < MIN_CLIPS:
        raise AdaptationError(
            f"{count} clip(s) are too few to adapt to: give at least {MIN_CLIPS}, better 30 or more, of all emotions."
        )
    set_domain(connector, meter.moved_from(connector.domain, prior_clips))
    voices = meter.clips_of_voices.tolist()
    speakers = move_clouds(model, torch.stack(read.clips), read.names, occur) if has_clouds else 0
    if has_labels and not has_clouds:
        model.config.label_bias = None
    shares = even_out_labels(model, asked.clips, equal_shares, occur) if has_labels else {}
    return AdaptationReport(
        clips=count,
        seconds=0.0,
        weight=count / (count + prior_clips),
        high_voices=voices[1] / sum(voices) if len(voices) > 1 else None,
        label_shares=shares,
        speakers=speakers,
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
    learns = hasattr(connector, "forget_domain")
    speakers = (
        (connector.speaker_middles, connector.speaker_offsets) if learns and connector.config.num_speakers else ()
    )
    own = (connector.own_weight, connector.own_bias) if learns and connector.config.num_own_readings else ()
    try:
        yield
    finally:
        set_domain(connector, domain)
        for name, value in answers.items():
            setattr(config, name, value)
        if learns:
            connector.forget_domain()
        if own:
            connector.learn_own(*own)
        if speakers:
            connector.meet_speakers(*speakers)


def _places(labels: Sequence[str], known: Sequence[str]) -> list[int]:
    """The numbers of the labels that occur, among those that the model knows."""
    if not known:
        raise AdaptationError(
            "The answers of this checkpoint do not adapt, only what it takes for ordinary: adapt it without `labels`, "
            "and choose among them when it is asked (candidate_labels)."
        )
    names = [labels] if isinstance(labels, str) else labels
    unknown = [name for name in names if name not in known]
    if unknown:
        raise AdaptationError(f"labels: {unknown[0]!r} is none of the model's, which are {', '.join(known)}.")
    if len(set(names)) < 2:
        raise AdaptationError(f"labels={names!r}: name all that the domain has, two at least.")
    return sorted({known.index(name) for name in names})


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
