"""One connector of the study: its form, its training on what was heard, and its answers.

The model is the package's own (`MSERForEmotionGeneration.from_backbones`), as are the losses, the batches and the
domains. Encoder and LLM are frozen, so frames come from the study's cache and only the Q-Former learns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pooled_probe import fit
from study_features import LAYERS, Heard
from torch import Tensor, nn
from torch.nn import functional as F

from hf_mser import MSERForEmotionGeneration, MSERProcessor
from hf_mser.adaptation import PRIOR_CLIPS
from hf_mser.domains import Domain, between, stacked
from hf_mser.emotions import EMOTIONS
from hf_mser.objectives import CrossEntropy, EmotionContrastive
from hf_mser.training.sampler import EmotionBatchSampler
from hf_mser.training.tiny.clips import emotions_of
from hf_mser.training.tiny.domains import Views, measure
from hf_mser.training.tiny.hearing import HeardClips

BATCH = 48
EMOTIONS_PER_BATCH = 4
LONGEST_FRAMES = 200  # four seconds
PROMPT = "{audio} I am"
WARM_UP = 30
PROBE_DOMAINS = ["world", "corpus", "speaker"]
PROBE_STEPS, PROBE_BATCH = 200, 256
EVALUATED_AT_ONCE = 64


@dataclass(frozen=True)
class Form:
    """Everything that the study varies."""

    layers: tuple[int, ...] = (1, 2, 3)
    queries: int = 4
    statistics_tokens: int = 4
    hidden_size: int = 128
    depth: int = 2
    dropout: float = 0.1
    statistics_dropout: float = 0.5
    contrastive_weight: float = 0.3
    margin: float = 0.2
    loss: str = "choice"  # cross-entropy among the seven answers, or of the answer's "words" alone (the paper's)
    label_smoothing: float = 0.0
    views: bool = True  # each training clip standardised as the world's, its corpus' or its speaker's
    versions: tuple[str, ...] = ("clean",)
    balanced: bool = True  # corpora equally often
    masked: float = 0.0  # share of frames that are hidden, in one stretch (SpecAugment's in time)
    stages: tuple[tuple[str, int], ...] = (("en", 100), ("all", 250))  # languages and steps
    start: str = "random"  # or "probe": the statistics' projection starts as a linear probe of them
    start_rate: float = 0.0  # its learning rate, in terms of the others', if it starts as a probe
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    averaged_share: float = 0.4  # of the last stage's steps, whose weights are averaged
    stride: int = 8  # in training


PAPERS = Form(
    layers=(6,), queries=32, statistics_tokens=0, contrastive_weight=1.0, loss="words", views=False,
    averaged_share=0.0,
)  # fmt: skip
"""Last layer, learned queries alone, and eq. 1 to 3."""


@dataclass
class Backbones:
    """Where the frozen parts come from."""

    speech: str
    text: str


class Trained:
    """A model whose connector has learned, and the domain that it takes as normal."""

    def __init__(self, form: Form, backbones: Backbones) -> None:
        sizes = {
            "hidden_size": form.hidden_size,
            "num_hidden_layers": form.depth,
            "num_attention_heads": 4,
            "intermediate_size": 2 * form.hidden_size,
            "num_query_tokens": form.queries,
            "num_statistics_tokens": form.statistics_tokens,
            "statistics_dropout": form.statistics_dropout,
            "hidden_dropout_prob": form.dropout,
            "attention_probs_dropout_prob": 0.0,
        }
        self.form = form
        self.model: Any = MSERForEmotionGeneration.from_backbones(
            backbones.speech,
            backbones.text,
            qformer=None,
            qformer_config=sizes,
            speech_layers=list(form.layers),
            prompt=PROMPT,
            dtype=torch.float32,
        )
        self.processor = MSERProcessor.from_backbones(self.model.config)
        self.connector = self.model.connector
        self.world: Domain = {}
        ids = torch.tensor(self.model.config.prompt_ids)
        spoken = self.model.get_input_embeddings()(ids.masked_fill(ids == self.model.config.audio_token_id, 0)).detach()
        if form.loss == "choice":  # no two words begin alike, so their first pieces decide, at a third of the cost
            self.model.config.candidate_ids = [answer[:1] for answer in self.model.config.candidate_ids]
        first = int((ids == self.model.config.audio_token_id).int().argmax())
        self._before, self._after = spoken[None, :first], spoken[None, first + self._slots :]

    @property
    def _slots(self) -> int:
        return self.form.queries + self.form.statistics_tokens

    def choices(self, tokens: Tensor) -> Tensor:
        """Log-likelihood of the seven answers' first pieces (batch, 7): as `score_emotions`, with gradient."""
        count = len(tokens)
        prefix = torch.cat([self._before.expand(count, -1, -1), tokens, self._after.expand(count, -1, -1)], 1)
        logits = self.model.text_model(inputs_embeds=prefix, logits_to_keep=1, use_cache=False).logits[:, 0]
        return logits.log_softmax(-1)[:, [answer[0] for answer in self.model.config.candidate_ids]]

    @torch.no_grad()
    def answers(self, heard: HeardClips, clips: np.ndarray, domain: Domain | list[Domain]) -> tuple[Any, Any]:
        """Scores (clips, 7) and embeddings; one domain for all clips, or one for each."""
        self.model.eval()
        scores = np.zeros((len(clips), len(EMOTIONS)), np.float32)
        embeds = np.zeros((len(clips), self.model.speech_embedding_size), np.float32)
        order = np.argsort(heard.lengths[clips], kind="stable")
        for rows in np.array_split(order, -(-len(order) // EVALUATED_AT_ONCE)):
            frames, mask = padded([_frames(heard, clip, self.form.layers) for clip in clips[rows]])
            own = stacked([domain[row] for row in rows]) if isinstance(domain, list) else domain
            spoken = self.connector(frames, mask, own)
            scores[rows] = self.model.score_emotions(speech_tokens=spoken.speech_tokens).numpy()
            embeds[rows] = spoken.speech_embeds.numpy()
        return scores, embeds


def train(
    form: Form, heard: Heard, taught: np.ndarray, languages: np.ndarray, backbones: Backbones, seed: int
) -> Trained:
    """A connector that has learned from the clips `taught` (their numbers); `languages` of all clips."""
    torch.manual_seed(seed)
    trained = Trained(form, backbones)
    nn.init.normal_(trained.connector.query_tokens, std=0.02)
    lessons = Lessons(form, heard, taught, seed)
    trained.world = lessons.world
    for name, tensor in lessons.world.items():
        if hasattr(trained.connector, name):
            getattr(trained.connector, name).copy_(tensor)
    if form.start == "probe":
        start_as_probe(trained, lessons, taught, seed)
    contrastive, words = EmotionContrastive(margin=form.margin), CrossEntropy()
    average: dict[str, Tensor] = {}
    averaged = 0
    trained.model.train()
    for number, (language, steps) in enumerate(form.stages):
        chosen = taught if language == "all" else taught[languages[taught] == language]
        if not len(chosen):
            chosen = taught  # the language is the one that is held out
        learning = list(trained.connector.parameters())
        optimizer = torch.optim.AdamW(_groups(trained), betas=(0.9, 0.98), weight_decay=form.weight_decay)
        last = number == len(form.stages) - 1
        for step, (frames, mask, domain, emotion) in zip(range(steps), lessons.batches(chosen), strict=False):
            rate = min(1.0, (step + 1) / WARM_UP) * (0.01 + 0.5 * (1 + np.cos(np.pi * step / steps)))
            for group in optimizer.param_groups:
                group["lr"] = form.learning_rate * rate * group["share"]
            loss = _loss(trained, trained.connector(frames, mask, domain), emotion, contrastive, words)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            if last and step >= steps * (1 - form.averaged_share):
                averaged += 1
                for name, tensor in trained.connector.state_dict().items():
                    mean = average.setdefault(name, torch.zeros_like(tensor))
                    mean += (tensor - mean) / averaged
    if average:
        trained.connector.load_state_dict(average)
    return trained


def start_as_probe(trained: Trained, lessons: Lessons, taught: np.ndarray, seed: int) -> None:
    """Seven of the statistics' directions become those of a linear probe, the others begin at nothing."""
    means, stds, _ = clip_moments(lessons.versions[0], np.arange(len(lessons.corpus)), trained.form.layers)
    allowed = np.isin(np.arange(len(means)), taught)
    values = torch.stack([means, stds], 2).flatten(1)
    probe, _ = fit(
        values, lessons.corpus, lessons.speaker, lessons.emotion, allowed, PROBE_DOMAINS, seed, PROBE_STEPS, PROBE_BATCH
    )
    _, inward, outward = trained.connector.statistics_projection
    count = probe.out_features
    with torch.no_grad():
        inward.weight.zero_()
        inward.weight[:count] = probe.weight
        nn.init.normal_(outward.weight, std=0.1)
        outward.bias.copy_(outward.weight[:, :count] @ probe.bias)


def _groups(trained: Trained) -> list[dict[str, Any]]:
    """All weights, those that start as a probe apart; `share` scales a group's learning rate."""
    form, slow = trained.form, []
    if form.start == "probe":
        slow = [trained.connector.statistics_projection[1].weight]
    rest = [weight for weight in trained.connector.parameters() if not any(weight is own for own in slow)]
    return [
        {"params": rest, "lr": form.learning_rate, "share": 1.0},
        {"params": slow, "lr": form.learning_rate, "share": form.start_rate},
    ]


def _loss(trained: Trained, spoken: Any, emotion: Tensor, contrastive: Any, words: Any) -> Tensor:
    form, batch = trained.form, {"emotion_id": emotion}
    if form.loss == "words":
        asked = trained.processor.tokenize_prompt(len(emotion), answers=[EMOTIONS[kind] for kind in emotion])
        loss, _ = words(trained.model(speech_tokens=spoken.speech_tokens, **asked), {**batch, **asked})
    else:
        loss = F.cross_entropy(trained.choices(spoken.speech_tokens), emotion, label_smoothing=form.label_smoothing)
    if form.contrastive_weight:
        loss = loss + form.contrastive_weight * contrastive(spoken, batch)[0]
    return loss


class ThreeViews(Views):
    """The world's, the corpus' or the speaker's domain, each as often, and never another corpus'."""

    def draw(self, clip: int, random: np.random.Generator) -> Domain:
        """The domain in which a clip is heard this time."""
        kind = random.integers(3)
        return self.world if kind == 0 else self._of[(self._corpora if kind == 1 else self._speakers)[clip]]


class Lessons:
    """Balanced batches of the package's sampler, each clip in a random version and domain."""

    def __init__(self, form: Form, heard: Heard, taught: np.ndarray, seed: int) -> None:
        self.form, self.heard, self.seed = form, heard, seed
        self.random = np.random.default_rng(seed)
        self.emotion = emotions_of(heard.clips)
        self.corpus = np.array([clip.corpus for clip in heard.clips])
        self.speaker = np.array([clip.speaker for clip in heard.clips])
        self.place = np.full(len(heard.clips), -1)
        self.place[taught] = np.arange(len(taught))
        self.versions = [heard.versions[name] for name in form.versions]
        moments = [clip_moments(version, taught, form.layers) for version in self.versions]
        self.world = measure(*moments[0])
        self.views = [ThreeViews(*own, self.corpus[taught], self.speaker[taught], self.world) for own in moments]

    def batches(self, chosen: np.ndarray) -> Iterator[tuple[Tensor, Tensor, Domain | None, Tensor]]:
        """Without end."""
        labelled = chosen[self.emotion[chosen] >= 0]
        corpora = self.corpus[labelled].tolist()
        several = min(4, len(set(corpora))) if self.form.balanced else 1
        sampler = EmotionBatchSampler(
            self.emotion[labelled].tolist(),
            EMOTIONS_PER_BATCH,
            BATCH // EMOTIONS_PER_BATCH // several,
            languages=corpora if self.form.balanced else None,
            languages_per_batch=several if self.form.balanced else None,
            durations=self.versions[0].lengths[labelled].tolist(),
            seed=self.seed,
        )
        while True:
            for rows in sampler:
                yield self._batch(labelled[rows])

    def _batch(self, clips: np.ndarray) -> tuple[Tensor, Tensor, Domain | None, Tensor]:
        frames, domains = [], []
        for clip in clips:
            number = int(self.random.integers(len(self.versions)))
            own = _frames(self.versions[number], clip, self.form.layers)
            own = (
                own[self.random.integers(self.form.stride) :: self.form.stride]
                if len(own) > 4 * self.form.stride
                else own
            )
            longest = LONGEST_FRAMES // self.form.stride
            start = int(self.random.integers(len(own) - longest + 1)) if len(own) > longest else 0
            frames.append(self._masked(own[start : start + longest]))
            domains.append(self.views[number].draw(int(self.place[clip]), self.random))
        return *padded(frames), stacked(domains) if self.form.views else None, torch.from_numpy(self.emotion[clips])

    def _masked(self, frames: np.ndarray) -> np.ndarray:
        hidden = int(self.form.masked * len(frames))
        if not hidden:
            return frames
        start = int(self.random.integers(len(frames) - hidden + 1))
        return np.delete(frames, np.s_[start : start + hidden], 0)


def clip_moments(heard: HeardClips, clips: np.ndarray, layers: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Means, deviations and numbers of frames of some clips, as `measure` takes them."""
    columns = [LAYERS.index(layer) for layer in layers]
    rows = torch.from_numpy(clips)
    lengths = torch.from_numpy(heard.lengths[clips]).float()
    return heard.means[rows][:, columns], heard.stds[rows][:, columns], lengths


def adapted(heard: HeardClips, clips: np.ndarray, layers: Sequence[int], world: Domain) -> Domain:
    """The domain after `hf_mser.adaptation.adapt` to these clips."""
    own = measure(*clip_moments(heard, clips, layers))
    return between(own, world, len(clips) / (len(clips) + PRIOR_CLIPS))


def _frames(heard: HeardClips, clip: int, layers: Sequence[int]) -> np.ndarray:
    start = heard.starts[clip]
    return heard.frames[start : start + heard.lengths[clip]][:, [LAYERS.index(layer) for layer in layers]]


def padded(frames: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Frames (batch, layers, time, width) and their mask."""
    lengths = torch.tensor([len(own) for own in frames])
    values = nn.utils.rnn.pad_sequence([torch.from_numpy(np.ascontiguousarray(own)) for own in frames], True)
    return values.transpose(1, 2).float(), torch.arange(values.shape[1])[None] < lengths[:, None]


def backbones_of(folder: Path) -> Backbones:
    """The real, small backbones in a folder."""
    return Backbones(str(folder / "whisper-base-encoder"), str(folder / "stories260K"))
