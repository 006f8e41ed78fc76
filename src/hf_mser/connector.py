"""The Emotion Q-Former: from the frozen encoder's frames to emotion tokens for the LLM and one embedding."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers.models.blip_2.modeling_blip_2 import Blip2QFormerModel

from .configuration_mser import EmotionQFormerConfig
from .domains import NAMES, Domain
from .speakers import nearest


@dataclass
class ConnectorOutput:
    """What the connector says about a clip.

    Args:
        speech_tokens (`torch.Tensor` of shape `(batch, num_speech_tokens, text width)`, *optional*):
            What the LLM reads in place of the audio placeholders; nothing where no LLM listens.
        speech_embeds (`torch.Tensor` of shape `(batch, embedding_size)`):
            The emotion embedding, of length 1.
        pooled (`torch.Tensor` of shape `(batch, embedding_size)`):
            The emotion embedding before it is brought to length 1.
        readings (`torch.Tensor` of shape `(batch, labels)`, *optional*):
            What is read linearly from the statistics, where the connector keeps a reader.
    """

    speech_tokens: torch.Tensor | None
    speech_embeds: torch.Tensor
    pooled: torch.Tensor
    readings: torch.Tensor | None = None


class EmotionQFormer(nn.Module):
    """Layer mixture, learned queries, Q-Former, and the projections that leave it.

    Everything that learns is in this one module, so that freezing, saving and `peft`'s `modules_to_save` can
    name it. It stays in float32, also when the backbones are in half precision.

    The frames reach the LLM on two ways [ours]: the queries attend to a mixture of the layers, and the mean and
    deviation of each layer over the clip become tokens of their own: they are what carries across languages.
    The buffers `*_mean` and `*_std` describe the recordings that the connector was trained on; adaptation to
    another domain replaces them and touches no weight. With `num_voices=2` they are kept for low and for high voices
    apart; `voice_direction` and `voice_offset` tell from a clip's statistics which it is. With `num_readings` a linear
    reader of the statistics (`reader_weight`, `reader_bias`) shows adaptation where each label's clips lie. With
    `num_speaker_traits` it can tell who speaks, too (`trait_weight`): the speakers that adaptation met lie at
    `speaker_middles`, and their readings, own ones included, are off by `speaker_offsets`, which are taken away.

    Args:
        config (`EmotionQFormerConfig`): Sizes of the Q-Former.
        text_hidden_size (`int`, *optional*): Width of the LLM, if one listens.

    Example:

    ```python
    >>> import torch
    >>> from hf_mser import EmotionQFormer, EmotionQFormerConfig

    >>> config = EmotionQFormerConfig(
    ...     hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, encoder_hidden_size=16
    ... )
    >>> connector = EmotionQFormer(config, text_hidden_size=48).eval()
    >>> output = connector(torch.randn(2, 1, 50, 16))
    >>> tuple(output.speech_tokens.shape), tuple(output.speech_embeds.shape)
    ((2, 36, 48), (2, 256))

    ```"""

    frame_mean: torch.Tensor
    frame_std: torch.Tensor
    statistics_mean: torch.Tensor
    statistics_std: torch.Tensor
    voice_direction: torch.Tensor
    voice_offset: torch.Tensor
    reader_weight: torch.Tensor
    reader_bias: torch.Tensor
    trait_weight: torch.Tensor
    speaker_middles: torch.Tensor
    speaker_offsets: torch.Tensor
    own_weight: torch.Tensor
    own_bias: torch.Tensor

    def __init__(self, config: EmotionQFormerConfig, text_hidden_size: int | None = None):
        super().__init__()
        self.config = config
        self.layer_weights = nn.Parameter(torch.zeros(config.num_speech_layers))
        self.query_tokens = nn.Parameter(torch.zeros(1, config.num_query_tokens, config.hidden_size))
        self.qformer = Blip2QFormerModel(config)
        layers, width = config.num_speech_layers, config.encoder_hidden_size
        voices = () if config.num_voices == 1 else (config.num_voices,)
        self.register_buffer("frame_mean", torch.zeros(*voices, layers, width))
        self.register_buffer("frame_std", torch.ones(*voices, layers, width))
        heads = 1
        if config.num_statistics_tokens:
            heads = 2
            self.register_buffer("statistics_mean", torch.zeros(*voices, layers, 2, width))
            self.register_buffer("statistics_std", torch.ones(*voices, layers, 2, width))
            self.statistics_projection = nn.Sequential(
                nn.Dropout(config.statistics_dropout),
                nn.Linear(layers * 2 * width, config.statistics_rank, bias=False),
                nn.Linear(config.statistics_rank, config.num_statistics_tokens * config.hidden_size),
            )
        if voices:
            self.register_buffer("voice_direction", torch.zeros(layers, 2, width))
            self.register_buffer("voice_offset", torch.zeros(()))
        if config.num_readings:
            self.make_room_for_readings(config.num_readings, config.num_speaker_traits)
        if config.num_own_readings:
            inputs = layers * 2 * width
            self.learn_own(torch.zeros(config.num_own_readings, inputs), torch.zeros(config.num_own_readings))
        self.text_projection = None
        if text_hidden_size is not None:
            self.text_projection = nn.Linear(config.hidden_size, text_hidden_size)
        self.emotion_head = nn.Linear(heads * config.hidden_size, config.embedding_size)

    def forward(
        self,
        frames: torch.Tensor,
        mask: torch.Tensor | None = None,
        domain: Domain | None = None,
    ) -> ConnectorOutput:
        """Frames (batch, layers, time, width) and their mask (batch, time) -> tokens and embedding.

        `domain` takes the place of the buffers: the same four names, for the whole batch or with a row per clip,
        whatever its voice.
        """
        mixed, statistics, readings = self._read_frames(frames, mask, domain)
        tokens = self.query_tokens.expand(frames.shape[0], -1, -1)
        of_statistics = None
        if statistics is not None:
            of_statistics = self.statistics_projection(statistics.flatten(1))
            of_statistics = of_statistics.unflatten(1, (-1, self.config.hidden_size))
            tokens = torch.cat([tokens, of_statistics], dim=1)
        heard = self.qformer(
            query_embeds=tokens,
            encoder_hidden_states=mixed,
            encoder_attention_mask=None if mask is None else mask.long(),
        ).last_hidden_state
        if of_statistics is not None:
            # Around the Q-Former as well as through it: a linear reading of the statistics stays within reach.
            heard = heard + nn.functional.pad(of_statistics, (0, 0, self.config.num_query_tokens, 0))
        groups = heard.split((self.config.num_query_tokens, self.config.num_statistics_tokens), dim=1)
        summary = torch.cat([group.mean(dim=1) for group in groups if group.shape[1]], dim=-1)
        pooled = self.emotion_head(summary)
        return ConnectorOutput(
            speech_tokens=None if self.text_projection is None else self.text_projection(heard),
            speech_embeds=nn.functional.normalize(pooled, dim=-1),
            pooled=pooled,
            readings=readings,
        )

    @property
    def domain(self) -> Domain:
        """The recordings that the connector takes as normal: mean and deviation of frames and of statistics."""
        return {name: buffer for name, buffer in self.named_buffers(recurse=False) if name in NAMES}

    def voices_of(self, statistics: torch.Tensor) -> torch.Tensor:
        """How low and how high the voices with these statistics (batch, layers, 2, width) are: (batch, voices)."""
        if self.config.num_voices == 1:
            return statistics.new_ones(len(statistics), 1)
        high = ((statistics * self.voice_direction).flatten(1).sum(1) + self.voice_offset).sigmoid()
        return torch.stack([1 - high, high], 1)

    def make_room_for_readings(self, readings: int, traits: int = 0) -> None:
        """A reader of so many labels, and of so many traits, that says nothing yet."""
        config, inputs = self.config, self.config.num_speech_layers * 2 * self.config.encoder_hidden_size
        config.num_readings, config.num_speaker_traits = readings, traits
        zeros = self.frame_mean.new_zeros  # on the device where the connector is
        self.register_buffer("reader_weight", zeros(readings, inputs))
        self.register_buffer("reader_bias", zeros(readings))
        if traits:
            self.register_buffer("trait_weight", zeros(traits, inputs))
            self.register_buffer("speaker_middles", zeros(config.num_speakers, traits))
            self.register_buffer("speaker_offsets", zeros(config.num_speakers, readings))

    def standardized(self, statistics: torch.Tensor) -> torch.Tensor:
        """How far statistics (batch, layers, 2, width) depart from what is ordinary."""
        ordinary = self._ordinary(statistics, None, slice(None))
        return (statistics - ordinary["statistics_mean"]) / ordinary["statistics_std"]

    def readings_of(self, statistics: torch.Tensor) -> torch.Tensor:
        """What is read from clips with these statistics (batch, layers, 2, width): (batch, labels).

        Where adaptation learned a reader of the domain's own, what that reads follows: (batch, 2 labels).
        """
        return self._read(statistics, self.standardized(statistics))

    @property
    def tells_speakers(self) -> bool:
        """Whether there are traits by which speakers are told apart."""
        return bool(self.config.num_speaker_traits) and bool(self.trait_weight.any())

    def traits_of(self, statistics: torch.Tensor) -> torch.Tensor:
        """What tells who speaks in clips with these statistics (batch, layers, 2, width): (batch, traits)."""
        return nn.functional.linear(statistics.flatten(1), self.trait_weight)

    def meet_speakers(self, middles: torch.Tensor, offsets: torch.Tensor) -> None:
        """From now on take away these offsets (speakers, readings) from whoever is nearest to one of the middles."""
        self.speaker_middles = middles.to(self.trait_weight)
        self.speaker_offsets = offsets.to(self.trait_weight)
        self.config.num_speakers = len(middles)

    def learn_own(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """From now on also read what this reader reads: weights (labels, inputs) and bias (labels)."""
        self.register_buffer("own_weight", weight.to(self.frame_mean))
        self.register_buffer("own_bias", bias.to(self.frame_mean))
        self.config.num_own_readings = len(weight)
        if self.config.num_speakers:  # those met are not known to differ in these
            known = self.speaker_offsets[:, : self.config.num_readings]
            self.speaker_offsets = nn.functional.pad(known, (0, len(weight)))

    def forget_domain(self) -> None:
        """Take all speakers for the same, and read no more than before adaptation; what is ordinary stays."""
        if self.config.num_speakers:
            self.meet_speakers(self.speaker_middles[:0], self.speaker_offsets[:0, : self.config.num_readings])
        if self.config.num_own_readings:
            del self.own_weight, self.own_bias
            self.config.num_own_readings = 0

    def _read(self, statistics: torch.Tensor, standardized: torch.Tensor) -> torch.Tensor:
        values = standardized.flatten(1)
        readings = nn.functional.linear(values, self.reader_weight, self.reader_bias)
        if self.config.num_own_readings:
            readings = torch.cat([readings, nn.functional.linear(values, self.own_weight, self.own_bias)], dim=1)
        if self.config.num_speakers:
            readings = readings - self.speaker_offsets[nearest(self.traits_of(statistics), self.speaker_middles)]
        return readings

    def _read_frames(
        self, frames: torch.Tensor, mask: torch.Tensor | None, domain: Domain | None
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """The mixture of the layers (batch, time, width), all layers' statistics, and what is read from them."""
        mixed, statistics, readings = [], [], []
        for part in pieces(frames):
            # The layers' scales differ by orders: each is normalised before anything else.
            layers = nn.functional.layer_norm(frames[part].float(), frames.shape[-1:])
            pooled = None
            if self.config.num_statistics_tokens:
                pooled = self.pool_statistics(layers, None if mask is None else mask[part])
            ordinary = self._ordinary(pooled, domain, part)
            if pooled is not None:
                statistics.append((pooled - ordinary["statistics_mean"]) / ordinary["statistics_std"])
                if self.config.num_readings:
                    readings.append(self._read(pooled, statistics[-1]))
            mixed.append(mix_layers(layers, self.layer_weights, ordinary["frame_mean"], ordinary["frame_std"]))
        return (
            torch.cat(mixed),
            torch.cat(statistics) if statistics else None,
            torch.cat(readings) if readings else None,
        )

    def _ordinary(self, statistics: torch.Tensor | None, domain: Domain | None, part: slice) -> Domain:
        """What some clips are compared with: one for all, or a row for each."""
        if domain is not None:
            each = domain["frame_mean"].ndim == 3
            return {name: values[part] for name, values in domain.items()} if each else domain
        if self.config.num_voices == 1 or statistics is None:
            return self.domain
        voices = self.voices_of(statistics)
        mixed = {}
        for name, values in self.domain.items():
            deviation = name.endswith("_std")
            rows = (voices @ (values.square() if deviation else values).flatten(1)).unflatten(1, values.shape[1:])
            mixed[name] = rows.sqrt() if deviation else rows
        return mixed

    def pool_statistics(self, frames: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Mean and deviation over time of each normalised layer: (batch, layers, 2, width)."""
        return pool_statistics(frames, mask)


def mix_layers(
    frames: torch.Tensor, layer_weights: torch.Tensor, mean: torch.Tensor, std: torch.Tensor
) -> torch.Tensor:
    """Frames (batch, layers, time, width), standardised by mean and deviation, mixed by the weights' softmax."""
    # Only the mixture's few weights learn: one product over the layers is the cheapest way back to them.
    standardized = (frames - mean[..., None, :]).div_(std[..., None, :])
    return (layer_weights.softmax(0) @ standardized.flatten(2)).unflatten(1, frames.shape[2:])


def pool_statistics(frames: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean and deviation over time of frames (batch, layers, time, width): (batch, layers, 2, width)."""
    weights = frames.new_ones(frames.shape[0], frames.shape[2]) if mask is None else mask.to(frames.dtype)
    weights = (weights / weights.sum(1, keepdim=True))[:, None, None]
    mean = weights @ frames
    variance = weights @ (frames - mean).square_()
    return torch.cat([mean, (variance + 1e-5).sqrt()], dim=2)


def statistics_of(frames: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The same of frames as an encoder gives them: each layer is normalised first, as the connectors do."""
    return pool_statistics(nn.functional.layer_norm(frames.float(), frames.shape[-1:]), mask)


def pieces(frames: torch.Tensor) -> list[slice]:
    """How to cut a batch whose frames are read several times: whole, but clip by clip on a CPU.

    There all layers of a batch are larger than the processor's caches, and each copy costs fresh memory.

    Example:
        >>> pieces(torch.zeros(2, 1, 10, 4))
        [slice(0, 1, None), slice(1, 2, None)]
    """
    if torch.compiler.is_compiling():  # a graph shall not depend on how many clips there were
        return [slice(None)]
    if frames.device.type != "cpu" or len(frames) == 0:
        return [slice(None)]
    return [slice(clip, clip + 1) for clip in range(len(frames))]
