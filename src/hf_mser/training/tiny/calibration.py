"""How sure may mser-tiny be? Asked of corpora that a connector has not heard.

On the clips that it learned from, a connector is always right and always sure. So for each corpus another connector
is trained on all the others, and what it says of the corpus left out shows how sure it should have been. One
temperature for all of them makes their scores as probable as the truth was; it is given to the connector that ships.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from ...adaptation import PRIOR_CLIPS, set_domain
from ...domains import DomainMeter
from ...evaluation.metrics import expected_calibration_error
from .clips import Clip, emotions_of
from .connecting import Listener, train_connector
from .hearing import HeardClips
from .recipe import ConnectorRecipe, DecoderRecipe

BATCH = 64


@dataclass
class HeldOut:
    """What a connector said of a corpus that it had not heard.

    Args:
        corpus: its name.
        scores: log-likelihoods of the seven emotions as it is (clips, emotions).
        adapted: the same after adaptation to all clips.
        truth: the emotions' numbers.
    """

    corpus: str
    scores: Tensor
    adapted: Tensor
    truth: Tensor


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
        heard = versions[0]
        scores = _ask(listener, heard, asked)
        connector, meter, clips_here = listener.connector, DomainMeter(), torch.from_numpy(own)
        statistics = torch.stack([heard.means[clips_here], heard.stds[clips_here]], 2)
        meter.add(statistics, torch.from_numpy(heard.lengths[own]), connector.voices_of(statistics))
        set_domain(connector, meter.moved_from(connector.domain, PRIOR_CLIPS))
        answer = HeldOut(str(name), scores, _ask(listener, heard, asked), torch.tensor(emotion[asked]))
        answers.append(answer)
        log(
            {
                "corpus": answer.corpus,
                "UA": recall(answer.scores, answer.truth),
                "UA adapted": recall(answer.adapted, answer.truth),
            }
        )
    return answers


def fit_temperature(answers: Sequence[HeldOut]) -> float:
    """The temperature under which the truth is most likely, every corpus counting the same."""
    candidates = np.exp(np.linspace(np.log(0.5), np.log(10), 200))

    def surprise(temperature: float) -> float:
        return float(np.mean([F.cross_entropy(own.scores / temperature, own.truth) for own in answers]))

    return round(float(min(candidates, key=surprise)), 3)


def calibration_figures(answers: Sequence[HeldOut], temperature: float) -> dict[str, float]:
    """Expected calibration error over the held-out corpora, before and after."""
    figures = {}
    for name, divisor in (("ece_before", 1.0), ("ece_after", temperature)):
        errors = []
        for own in answers:
            confidence, answer = (own.scores / divisor).softmax(1).max(1)
            errors.append(expected_calibration_error(confidence.tolist(), (answer == own.truth).tolist()))
        figures[name] = round(float(np.mean(errors)), 4)
    return figures


def recall(scores: Tensor, truth: Tensor) -> float:
    """UA in per cent among the emotions that occur."""
    kinds = truth.unique()
    answer = kinds[scores[:, kinds].argmax(1)]
    return round(100 * float(np.mean([(answer[truth == kind] == kind).float().mean() for kind in kinds])), 1)


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
