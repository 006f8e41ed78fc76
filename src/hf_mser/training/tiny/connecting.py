"""The Emotion Q-Former learns to say in the decoder's own words what the frozen student heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from ...configuration_mser import EmotionQFormerConfig
from ...connector import EmotionQFormer
from ...emotions import EMOTIONS
from ...objectives.contrastive import EmotionContrastive
from .clips import Clip
from .connector_lessons import ConnectorLessons
from .hearing import HeardClips
from .reading import train_reader
from .recipe import ConnectorRecipe, DecoderRecipe
from .words import first_token_shares, word_log_probs


def connector_config(recipe: ConnectorRecipe, width: int, layers: int) -> EmotionQFormerConfig:
    """The Q-Former of the recipe for an encoder of this width."""
    return EmotionQFormerConfig(
        hidden_size=recipe.hidden_size,
        num_hidden_layers=recipe.num_hidden_layers,
        num_attention_heads=recipe.num_attention_heads,
        intermediate_size=recipe.intermediate_size,
        encoder_hidden_size=width,
        num_speech_layers=layers,
        num_query_tokens=recipe.num_query_tokens,
        num_statistics_tokens=recipe.num_statistics_tokens,
        statistics_rank=recipe.statistics_rank,
        statistics_dropout=recipe.statistics_dropout,
        num_voices=2,
        num_readings=len(EMOTIONS),
        num_speaker_traits=recipe.traits.traits,
        hidden_dropout_prob=recipe.dropout,
        attention_probs_dropout_prob=recipe.dropout,
    )


class Listener(nn.Module):
    """Connector and frozen decoder: frames in, log-probabilities of all tokens and the embedding out."""

    def __init__(
        self, connector: EmotionQFormer, decoder: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompt: str
    ) -> None:
        super().__init__()
        self.connector = connector
        self.decoder = decoder.eval().requires_grad_(False)
        embed = decoder.get_input_embeddings()
        ids = tokenizer.encode(prompt.replace("{audio}", ""), add_special_tokens=False)
        self.begin = embed(torch.tensor([[tokenizer.bos_token_id]])).detach()
        self.prompt = embed(torch.tensor([ids])).detach()
        words = [tokenizer.encode(f" {word}", add_special_tokens=False) for word in EMOTIONS]
        self.names = torch.tensor([ids[0] for ids in words])

    def train(self, mode: bool = True) -> Listener:
        super().train(mode)
        self.decoder.eval()
        return self

    def forward(self, frames: Tensor, mask: Tensor, domain: dict[str, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        heard = self.connector(frames, mask, domain)
        count = len(frames)
        prefix = [self.begin.expand(count, -1, -1), heard.speech_tokens, self.prompt.expand(count, -1, -1)]
        return word_log_probs(self.decoder, torch.cat(prefix, 1)), heard.speech_embeds


def train_connector(
    recipe: ConnectorRecipe,
    decoder_recipe: DecoderRecipe,
    clips: Sequence[Clip],
    versions: list[HeardClips],
    decoder: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompt: str,
    seed: int,
    log: Callable[[dict[str, float]], None],
    corpora: Sequence[str] | None = None,
) -> Listener:
    """Train on all corpora, or on those named; the weights are averaged over the last steps."""
    torch.manual_seed(seed)
    lessons = ConnectorLessons(recipe, clips, versions, seed, corpora)
    reader = train_reader(recipe.reader, lessons.statistics, len(EMOTIONS))
    layers, width = versions[0].frames.shape[1:]
    connector = EmotionQFormer(connector_config(recipe, width, layers), decoder.config.hidden_size)
    nn.init.normal_(connector.query_tokens, std=0.02)
    for name, tensor in lessons.world.items():
        getattr(connector, name).copy_(tensor)  # for low and for high voices alike: nothing has been adapted yet
    connector.voice_direction, connector.voice_offset = lessons.voice_gate
    connector.trait_weight = lessons.traits
    connector.reader_weight, connector.reader_bias = reader.weight.data, reader.bias.data
    listener = Listener(connector, decoder, tokenizer, prompt).train()
    contrastive = EmotionContrastive(margin=recipe.contrastive_margin)
    shares = first_token_shares(decoder_recipe, tokenizer)
    learning = list(connector.parameters())
    optimizer = torch.optim.AdamW(
        learning, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.98)
    )
    average: dict[str, Tensor] = {}
    averaged, losses = 0, []
    for step in range(recipe.steps):
        rate = min(1.0, (step + 1) / 60) * (0.01 + 0.5 * (1 + np.cos(np.pi * step / recipe.steps)))
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * rate
        batch = lessons.batch()
        log_probs, embeds = listener(batch.frames, batch.mask, batch.domain)
        wanted = F.one_hot(batch.emotion, len(EMOTIONS)).float()
        wanted = recipe.read_share * reader(batch.statistics).softmax(1) + (1 - recipe.read_share) * wanted
        chosen = -(wanted * log_probs[:, listener.names].log_softmax(-1)).sum(1).mean()
        said = -((wanted @ shares) * log_probs).sum(1).mean()
        apart, _ = contrastive(SimpleNamespace(speech_embeds=embeds), {"emotion_id": batch.emotion})
        loss = chosen + recipe.words_weight * said + recipe.contrastive_weight * apart
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        losses.append(chosen.item())
        if step >= recipe.steps * (1 - recipe.averaged_share):
            averaged += 1
            for name, tensor in connector.state_dict().items():
                mean = average.setdefault(name, torch.zeros_like(tensor))
                mean += (tensor - mean) / averaged
        if (step + 1) % 100 == 0:
            log({"step": step + 1, "loss": float(np.mean(losses[-100:]))})
    connector.load_state_dict(average)
    return listener.eval()
