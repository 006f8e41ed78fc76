"""How adaptation moves a model's answers: to the labels' clouds in the new domain, and towards equal shares.

What is read linearly from all clips shows where those of each label lie, and how far each speaker's lie off
(`label_clouds.py`, `speakers.py`). From that the clips teach a reader of the domain's own (`own_reader.py`), each heard
beside what is ordinary for who speaks. Both are added to the LLM's scores. Of what is answered then, a label that is
heard more often than others goes half-way to the same share, in the logarithm: shares that are found without a label
are uncertain, and all emotions are to be recognised alike.
"""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import torch

from .batching import batches
from .label_clouds import CAUTION, CAUTION_AT_FIRST, SMALLEST_SHARE, LabelClouds, MovedClouds
from .own_reader import OwnReader, learn_from
from .speakers import find_speakers, find_speakers_again, middles_of, nearest, ordinary_of

EQUAL_SHARES = 0.5
"""How far the labels' shares are moved towards equal ones, chosen on corpora left out inside the training corpora."""
SHARES_PRIOR_CLIPS = 10.0
CLOUDS_PRIOR_CLIPS = 20.0
"""How many clips the answers as they are weigh as much as."""
RULED_OUT = 30.0
"""How much less likely labels become, in nats, of which is said that they do not occur."""


class FoundLabels(NamedTuple):
    """What unlabelled clips of a domain show of its labels.

    Args:
        moved: where the labels' clouds lie.
        own: the reader that the clips teach.
        middles: the middle traits of each speaker (speakers, traits), where some are told apart.
        offsets: how far each speaker's readings lie off, and how far what the own reader reads (speakers, 2 labels).
    """

    moved: MovedClouds
    own: OwnReader
    middles: torch.Tensor | None = None
    offsets: torch.Tensor | None = None

    def added(self, values: torch.Tensor, readings: torch.Tensor, traits: torch.Tensor | None = None) -> torch.Tensor:
        """What is added to the scores of clips with these standardised statistics, readings and traits."""
        read = torch.cat([readings.double(), self.own(values).double()], 1)
        if traits is not None and self.middles is not None and self.offsets is not None:
            read = read - self.offsets[nearest(traits.double(), self.middles)]
        of_clouds, of_own = read.chunk(2, 1)
        weights, bias = self.moved.answers()
        return of_clouds @ weights.T + bias + self.moved.clouds.weight * of_own


def find_labels(
    clouds: LabelClouds,
    values: torch.Tensor,
    readings: torch.Tensor,
    traits: torch.Tensor | None = None,
    names: Sequence[Hashable] = (None,),
    labels: Sequence[int] | None = None,
) -> FoundLabels:
    """Find labels among unlabelled clips of one domain.

    Who speaks is found twice, if it is not told: by traits alone at first, and again when the labels are known roughly.

    Args:
        clouds: those of the training recordings.
        values: the clips' statistics, standardised in this domain (clips, inputs).
        readings: what the reader makes of them (clips, labels).
        traits: what tells who speaks (clips, traits), if speakers are told apart.
        names: who speaks in each, or `None` for who is to be found.
        labels: the numbers of the labels that occur, if not all do.
    """
    values = values.float()
    told, speakers = None not in names, None
    if traits is not None:
        traits = traits.double()
        speakers = _numbered(names) if told else find_speakers(traits)
    moved = clouds.moved_to(readings, speakers, CAUTION if told else CAUTION_AT_FIRST, labels)
    said = _said(moved, readings, speakers)
    lesson = learn_from(values, said)
    belongs = (said + lesson.by_others).softmax(1)
    if traits is not None and speakers is not None and not told:
        speakers = find_speakers_again(traits, values, belongs)
        moved = clouds.moved_to(readings, speakers, CAUTION, labels)
    if traits is None or speakers is None or moved.offsets is None:
        return FoundLabels(moved, lesson.reader)
    ordinary = ordinary_of(values, speakers, belongs)
    own = learn_from(values - ordinary[speakers], _said(moved, readings, speakers)).reader
    offsets = torch.cat([moved.offsets, (ordinary @ own.weight.T).double()], 1)
    return FoundLabels(moved, own, middles_of(traits, speakers), offsets)


def _said(moved: MovedClouds, readings: torch.Tensor, speakers: torch.Tensor | None = None) -> torch.Tensor:
    """Log-probabilities of the labels by where their clouds lie, but for what all labels share."""
    weights, bias = moved.clouds.log_probs(moved.log_shares)
    readings = readings.double()
    if speakers is not None and moved.offsets is not None:
        readings = readings - moved.offsets[speakers]
    return readings @ weights.T + bias


def move_clouds(
    model: Any, statistics: torch.Tensor, names: list[Hashable], labels: Sequence[int] | None = None
) -> int:
    """Move what is added to the labels' scores to where clips with these statistics lie; returns how many speak.

    Args:
        model: a model whose config keeps clouds.
        statistics: of the clips (clips, layers, 2, width).
        names: who speaks in each, or `None` for each.
        labels: the numbers of the labels that occur, if not all do.
    """
    config, connector, count = model.config, model.connector, len(model.config.labels)
    connector.forget_domain()
    clouds, readings = LabelClouds.from_dict(config.label_clouds), connector.readings_of(statistics).cpu()
    values = connector.standardized(statistics).flatten(1).cpu()
    traits = connector.traits_of(statistics).cpu() if connector.tells_speakers else None
    found = find_labels(clouds, values, readings, traits, names, labels)
    connector.learn_own(*found.own)
    if found.middles is not None:
        connector.meet_speakers(found.middles, found.offsets)
    weights, bias = found.moved.answers()
    share = len(statistics) / (len(statistics) + CLOUDS_PRIOR_CLIPS)
    before = torch.tensor(config.label_weights or [[0.0] * count] * count, dtype=torch.float64)[:, :count]
    own = clouds.weight * torch.eye(count, dtype=torch.float64)
    config.label_weights = torch.cat([torch.lerp(before, weights, share), own], 1).tolist()
    bias_before = torch.tensor(config.label_bias or 0.0, dtype=torch.float64).expand(count)
    config.label_bias = torch.lerp(bias_before, bias, share).tolist()
    config.temperature += share * (clouds.temperature - config.temperature)
    return int(connector.config.num_speakers)


def even_out_labels(
    model: Any, clips: list[torch.Tensor], equal_shares: float, labels: Sequence[int] | None = None
) -> dict[str, float]:
    """Move the config's `label_bias` so that labels' shares come closer to equal ones; returns them as they were heard.

    Args:
        model: a model that scores labels.
        clips: frames (layers, time, width) of each clip.
        equal_shares: how far, in the logarithm: 0 not at all, 1 all the way.
        labels: the numbers of the labels that occur, if not all do: the others are ruled out.
    """
    config, said = model.config, []
    for batch in batches(clips, 16):
        lengths = torch.tensor([clip.shape[1] for clip in batch])
        frames = torch.nn.utils.rnn.pad_sequence([clip.transpose(0, 1) for clip in batch], batch_first=True)
        mask = torch.arange(frames.shape[1]) < lengths[:, None]
        said.append(
            model.score_emotions(speech_frames=frames.transpose(1, 2), speech_frames_mask=mask.to(frames.device))
        )
    count = len(config.labels)
    occur = list(range(count)) if labels is None else list(labels)
    bias = torch.full((count,), -RULED_OUT * config.temperature, dtype=torch.float64)
    shares = torch.zeros_like(bias)
    shares[occur], bias[occur] = towards_equal_shares(torch.cat(said).cpu()[:, occur], config.temperature, equal_shares)
    config.label_bias = (torch.tensor(config.label_bias or 0.0, dtype=torch.float64) + bias).tolist()
    return dict(zip(config.labels, shares.tolist(), strict=True))


def towards_equal_shares(
    scores: torch.Tensor, temperature: float = 1.0, equal_shares: float = EQUAL_SHARES
) -> tuple[torch.Tensor, torch.Tensor]:
    """The labels' shares among clips with these scores (clips, labels), and what to add to bring them closer together.

    Example:
        >>> shares, bias = towards_equal_shares(torch.tensor([[0.8, 0.2]] * 990).log())
        >>> shares, bias
        (tensor([0.8000, 0.2000], dtype=torch.float64), tensor([-0.2327,  0.4536], dtype=torch.float64))
    """
    shares = (scores.double() / temperature).softmax(-1).mean(0)
    strength = equal_shares * len(scores) / (len(scores) + SHARES_PRIOR_CLIPS) * temperature
    return shares, -strength * (shares.clamp(min=SMALLEST_SHARE) * len(shares)).log()


def _numbered(names: Sequence[Hashable]) -> torch.Tensor:
    """A number for each name, in the order in which they come."""
    numbers: dict[Hashable, int] = {}
    return torch.tensor([numbers.setdefault(name, len(numbers)) for name in names])


__all__ = ["EQUAL_SHARES", "FoundLabels", "even_out_labels", "find_labels", "move_clouds", "towards_equal_shares"]
