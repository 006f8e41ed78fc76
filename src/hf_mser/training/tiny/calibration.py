"""How sure may mser-tiny be? Asked of corpora that a connector has not heard.

On the clips that it learned from, a connector is always right and always sure. So for each corpus another connector
is trained on all the others, and what it says of the corpus left out shows how sure it should have been. One
temperature for all of them makes their scores as probable as the truth was. So do the weights of what is added to
them: of the readings as it is, of the labels' clouds after adaptation. All are given to the connector that ships.

Whoever adapts has seldom as many clips of each emotion, and of others it is less often right than it is of the corpora
whole, from which the weight comes. So it is also adapted to parts of each corpus in which some emotions are rare, and
the temperature is that of all these answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from ...adapted_answers import find_labels
from ...emotions import EMOTIONS
from ...evaluation.metrics import expected_calibration_error
from ...label_clouds import LabelClouds
from ..adaptable.label_clouds import at_home_in, clouds_of_corpora
from ..balance import unequal_clips
from ..calibration import Calibration
from .clips import Clip, emotions_of
from .connecting import Listener, train_connector
from .hearing import HeardClips
from .recipe import ConnectorRecipe, DecoderRecipe

BATCH = 64
UNKNOWN = -1e4
UNEQUAL, UNEQUAL_PARTS = 10.0, 3
"""How many times the most frequent emotion is as frequent as the rarest, in so many parts of each corpus."""


class Answers(NamedTuple):
    """What a connector said of clips.

    Args:
        scores: log-likelihoods of the seven emotions (clips, emotions).
        added: what is read linearly: the readings as it is, what the labels' clouds would add after adaptation.
        truth: the emotions' numbers.
    """

    scores: Tensor
    added: Tensor
    truth: Tensor


@dataclass
class HeldOut:
    """What a connector said of a corpus that it had not heard.

    Args:
        corpus: its name.
        plain: of all clips, as it is.
        adapted: the same after adaptation to all clips, and of parts in which emotions are unequally frequent,
            after adaptation to each part.
    """

    corpus: str
    plain: Answers
    adapted: list[Answers]


def answers_of_held_out_corpora(
    recipe: ConnectorRecipe,
    decoder_recipe: DecoderRecipe,
    clips: Sequence[Clip],
    versions: list[HeardClips],
    decoder: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompt: str,
    seed: int,
    log: Callable[[dict[str, object]], None],
) -> list[HeldOut]:
    """Train without each corpus in turn, and ask about it; emotions that the others lack are left out."""
    corpus = np.array([clip.corpus for clip in clips])
    emotion = emotions_of(clips)
    answers = []
    for name in np.unique(corpus):
        others = [str(other) for other in np.unique(corpus) if other != name]
        listener = train_connector(
            recipe, decoder_recipe, clips, versions, decoder, tokenizer, prompt, seed, lambda _: None, others
        )
        own = np.flatnonzero(corpus == name)
        known = np.unique(emotion[(corpus != name) & (emotion >= 0)])
        asked = own[np.isin(emotion[own], known)]
        readings = listener.connector.readings_of(_statistics(versions[0], asked))
        plain = Answers(_ask(listener, versions[0], asked), readings, torch.tensor(emotion[asked]))
        clouds = clouds_of(listener, versions[0], clips, others, known)
        random = np.random.default_rng(seed)
        parts = [asked[unequal_clips(emotion[asked], UNEQUAL, random)] for _ in range(UNEQUAL_PARTS)]
        adapted = [
            _adapted_answers(listener, versions[0], clouds, met, np.intersect1d(met, asked), emotion, known)
            for met in (own, *parts)
        ]
        answers.append(HeldOut(str(name), plain, adapted))
        figures = {"UA": recall(plain.scores, plain.truth), "UA adapted": recall(adapted[0].scores, plain.truth)}
        log({"corpus": str(name), **figures})
    return answers


def _adapted_answers(
    listener: Listener,
    heard: HeardClips,
    clouds: LabelClouds,
    met: np.ndarray,
    asked: np.ndarray,
    emotion: np.ndarray,
    known: np.ndarray,
) -> Answers:
    """What is said of the clips asked, some of those met, after adaptation to these. The connector stays as it was."""
    connector, statistics = listener.connector, _statistics(heard, met)
    added = torch.full((len(met), len(EMOTIONS)), UNKNOWN)
    with at_home_in(connector, statistics, torch.from_numpy(heard.lengths[met])):
        readings, traits = connector.readings_of(statistics)[:, known], connector.traits_of(statistics)
        values = connector.standardized(statistics).flatten(1)
        found = find_labels(clouds, values, readings, traits)
        added[:, known] = found.added(values, readings, traits).float()
        scores = _ask(listener, heard, asked)
    return Answers(scores, added[np.isin(met, asked)], torch.tensor(emotion[asked]))


def clouds_of(
    listener: Listener, heard: HeardClips, clips: Sequence[Clip], corpora: Sequence[str], labels: np.ndarray
) -> LabelClouds:
    """Where the readings of each label's clips lie, each corpus read after adaptation to it."""
    corpus, emotions = np.array([clip.corpus for clip in clips]), emotions_of(clips)
    own = np.flatnonzero(np.isin(corpus, list(corpora)))
    lengths, kinds = torch.from_numpy(heard.lengths[own]), torch.from_numpy(emotions[own])
    return clouds_of_corpora(
        listener.connector, _statistics(heard, own), lengths, kinds, corpus[own], torch.from_numpy(labels)
    )


def calibration_of(answers: Sequence[HeldOut]) -> tuple[Calibration, Calibration]:
    """The calibration as it is, and after adaptation."""
    plain = Calibration.of(*zip(*(own.plain for own in answers), strict=True))
    whole = Calibration.of(*zip(*(own.adapted[0] for own in answers), strict=True))
    scores, added, truths = zip(*(said for own in answers for said in own.adapted), strict=True)
    return plain, Calibration.of(scores, added, truths, weights=[whole.weight])


def calibration_figures(answers: Sequence[HeldOut], plain: Calibration, moved: Calibration) -> dict[str, float]:
    """Over the held-out corpora, as it is and adapted: UA and calibration error in per cent."""
    figures: dict[str, float] = {}
    said = {
        "as_it_is": (plain, [own.plain for own in answers]),
        "adapted": (moved, [own.adapted[0] for own in answers]),
    }
    for name, (calibration, of_corpora) in said.items():
        recalls, errors = [], []
        for own in of_corpora:
            logits = calibration.logits(own.scores, own.added)
            confidence, answer = logits.softmax(1).max(1)
            errors.append(100 * expected_calibration_error(confidence.tolist(), (answer == own.truth).tolist()))
            recalls.append(recall(logits, own.truth))
        figures |= {f"UA_{name}": round(float(np.mean(recalls)), 1), f"ECE_{name}": round(float(np.mean(errors)), 1)}
    return figures


def recall(scores: Tensor, truth: Tensor) -> float:
    """UA in per cent among the emotions that occur."""
    kinds = truth.unique()
    answer = kinds[scores[:, kinds].argmax(1)]
    return round(100 * float(np.mean([(answer[truth == kind] == kind).float().mean() for kind in kinds])), 1)


def _statistics(heard: HeardClips, clips: np.ndarray) -> Tensor:
    rows = torch.from_numpy(clips)
    return torch.stack([heard.means[rows], heard.stds[rows]], 2)


@torch.no_grad()
def _ask(listener: Listener, heard: HeardClips, clips: np.ndarray) -> Tensor:
    scores = torch.zeros(len(clips), len(listener.names))
    for places in np.array_split(np.argsort(heard.lengths[clips]), max(1, len(clips) // BATCH)):
        frames = [
            torch.from_numpy(np.array(heard.frames[heard.starts[clip] : heard.starts[clip] + heard.lengths[clip]]))
            for clip in clips[places]
        ]
        lengths = torch.tensor([len(own) for own in frames])
        padded = nn.utils.rnn.pad_sequence(frames, batch_first=True).float().transpose(1, 2)
        mask = torch.arange(padded.shape[2])[None] < lengths[:, None]
        log_probs, _ = listener(padded, mask)
        scores[torch.from_numpy(places)] = log_probs[:, listener.names].log_softmax(1)
    return scores
