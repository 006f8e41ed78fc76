"""The connector's interface: shapes, masks, and what it promises whatever its inside looks like."""

import math

import pytest
import torch
from tiny_models import QFORMER

from hf_mser import EmotionQFormer, EmotionQFormerConfig
from hf_mser.connector import mix_layers


def connector(**changes: object) -> EmotionQFormer:
    torch.manual_seed(0)
    made = EmotionQFormer(EmotionQFormerConfig(**{**QFORMER, "encoder_hidden_size": 12, **changes}), 20).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return made


@pytest.mark.parametrize("statistics", [0, 1, 2])
@pytest.mark.parametrize("layers", [1, 3])
@torch.no_grad()
def test_tokens_and_embedding_have_the_sizes_of_the_config(statistics, layers):
    made = connector(num_statistics_tokens=statistics, num_speech_layers=layers)
    output = made(torch.randn(2, layers, 30, 12))
    assert output.speech_tokens.shape == (2, made.config.num_speech_tokens, 20)
    assert made.config.num_speech_tokens == QFORMER["num_query_tokens"] + statistics
    assert output.speech_embeds.shape == (2, QFORMER["embedding_size"])
    torch.testing.assert_close(output.speech_embeds.norm(dim=-1), torch.ones(2))


@pytest.mark.parametrize("statistics", [0, 1])
@torch.no_grad()
def test_what_lies_behind_a_clips_end_is_not_heard(statistics):
    made = connector(num_statistics_tokens=statistics, num_speech_layers=2)
    frames = torch.randn(2, 2, 30, 12)
    mask = torch.arange(30) < torch.tensor([[30], [17]])
    together = made(frames, mask)
    alone = made(frames[1:, :, :17])
    torch.testing.assert_close(together.speech_tokens[1:], alone.speech_tokens, atol=1e-5, rtol=0)
    torch.testing.assert_close(together.speech_embeds[1:], alone.speech_embeds, atol=1e-5, rtol=0)
    frames[1, :, 17:] = 1e3
    torch.testing.assert_close(made(frames, mask).speech_tokens, together.speech_tokens, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_mask_of_ones_is_no_mask():
    made = connector(num_speech_layers=2)
    frames = torch.randn(2, 2, 9, 12)
    masked, unmasked = made(frames, torch.ones(2, 9)), made(frames)
    torch.testing.assert_close(masked.speech_tokens, unmasked.speech_tokens, atol=1e-6, rtol=0)


@torch.no_grad()
def test_frames_in_half_precision_are_heard_in_float32():
    output = connector()(torch.randn(1, 1, 8, 12).half())
    assert output.speech_tokens.dtype == output.speech_embeds.dtype == torch.float32


def test_everything_that_learns_gets_a_gradient():
    made = connector(num_speech_layers=3).train()
    output = made(torch.randn(4, 3, 20, 12))
    (output.speech_tokens.square().sum() + output.speech_embeds[:, 0].sum()).backward()
    without = [name for name, parameter in made.named_parameters() if parameter.grad is None]
    assert without == []
    assert made.layer_weights.grad.abs().max() > 0


def test_every_query_can_look_anywhere():
    """BERT's own cross-attention would let the first query see nothing of the later ones."""
    made = connector(num_statistics_tokens=0)
    output = made(torch.randn(1, 1, 10, 12))
    output.speech_tokens[0, 0].sum().backward()
    assert (made.query_tokens.grad[0].abs().sum(-1) > 0).all()


@torch.no_grad()
def test_recordings_statistics_are_buffers_that_adaptation_replaces():
    made = connector()
    buffers = dict(made.named_buffers())
    frames = torch.randn(1, 1, 20, 12)
    before = made(frames).speech_embeds
    for name in ("frame_mean", "frame_std", "statistics_mean", "statistics_std"):
        assert name in made.state_dict()
        buffers[name].add_(0.5)
    assert not torch.allclose(made(frames).speech_embeds, before, atol=1e-3)


@torch.no_grad()
def test_each_clip_is_compared_with_what_is_ordinary_for_its_voice():
    one, two = connector(), connector(num_voices=2)
    names = dict(two.named_buffers())
    two.load_state_dict(
        {name: value.expand_as(names.get(name, value)) for name, value in one.state_dict().items()}, strict=False
    )
    frames = torch.randn(3, 1, 20, 12)
    torch.testing.assert_close(two(frames).speech_tokens, one(frames).speech_tokens)

    two.voice_direction.normal_()
    two.voice_offset.fill_(0.3)
    for buffer in two.domain.values():
        buffer.uniform_(0.5, 1.5)
    statistics = two.pool_statistics(torch.nn.functional.layer_norm(frames, frames.shape[-1:]), None)
    rows = {name: [] for name in two.domain}
    for clip in statistics:
        high = 1 / (1 + math.exp(-float((clip * two.voice_direction).sum()) - 0.3))
        for name, (low_voice, high_voice) in two.domain.items():
            if name.endswith("_mean"):
                rows[name].append((1 - high) * low_voice + high * high_voice)
            else:
                rows[name].append(((1 - high) * low_voice**2 + high * high_voice**2).sqrt())
    explicit = {name: torch.stack(values) for name, values in rows.items()}
    torch.testing.assert_close(two(frames).speech_tokens, two(frames, domain=explicit).speech_tokens)
    assert not torch.allclose(two(frames).speech_tokens, one(frames).speech_tokens, atol=1e-3)


@torch.no_grad()
def test_readings_of_the_speakers_met_are_less_their_offsets_those_of_the_own_reader_too():
    made = connector(num_readings=3, num_speaker_traits=2)
    made.reader_weight.normal_()
    made.trait_weight.normal_()
    frames = torch.randn(5, 1, 20, 12)
    plain = made(frames).readings
    statistics = made.pool_statistics(torch.nn.functional.layer_norm(frames, frames.shape[-1:]), None)
    traits = made.traits_of(statistics)
    torch.testing.assert_close(traits, statistics.flatten(1) @ made.trait_weight.T)

    middles, offsets = torch.stack([traits[0], traits[3], traits[4] + 90]), torch.randn(3, 3)
    made.meet_speakers(middles, offsets)
    assert made.config.num_speakers == 3
    who = torch.cdist(traits, middles).argmin(1)
    assert who[[0, 3]].tolist() == [0, 1]
    torch.testing.assert_close(made(frames).readings, plain - offsets[who])
    torch.testing.assert_close(made.readings_of(statistics), plain - offsets[who])
    own, offsets = (torch.randn(3, 24), torch.randn(3)), torch.randn(3, 6)
    made.learn_own(*own)
    made.meet_speakers(middles, offsets)
    assert made.config.num_own_readings == 3
    values = made.standardized(statistics).flatten(1)
    expected = torch.cat([plain, values @ own[0].T + own[1]], 1) - offsets[who]
    torch.testing.assert_close(made(frames).readings, expected)
    torch.testing.assert_close(made.readings_of(statistics), expected)
    made.forget_domain()
    assert (made.config.num_speakers, made.config.num_own_readings) == (0, 0)
    assert made.speaker_offsets.shape == (0, 3)
    torch.testing.assert_close(made(frames).readings, plain)


@pytest.mark.parametrize("domain_of_each", [False, True])
def test_reading_clip_by_clip_is_reading_the_batch(monkeypatch, domain_of_each):
    """However a batch is cut, the answer and the gradient are those of the whole."""
    model = connector(num_speech_layers=3)
    frames, mask = torch.randn(4, 3, 9, 12), torch.arange(9) < torch.tensor([[9], [5], [7], [2]])
    domain = None
    if domain_of_each:
        domain = {name: torch.rand(4, *buffer.shape) + 0.5 for name, buffer in model.domain.items()}
    answers = []
    for cut in (lambda all: [slice(n, n + 1) for n in range(len(all))], lambda _: [slice(None)]):
        monkeypatch.setattr("hf_mser.connector.pieces", cut)
        torch.manual_seed(0)
        output = model(frames, mask, domain)
        model.zero_grad()
        (output.speech_tokens.square().mean() + output.speech_embeds[:, 0].sum()).backward()
        answers.append((output.speech_tokens, output.speech_embeds, model.layer_weights.grad.clone()))
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_the_mixture_is_the_weighted_sum_of_standardised_layers():
    frames, weights = torch.randn(2, 3, 4, 5), torch.randn(3)
    mean, std = torch.randn(3, 5), torch.rand(3, 5) + 0.5
    expected = torch.zeros(2, 4, 5)
    for layer, share in enumerate(weights.softmax(0)):
        expected += share * (frames[:, layer] - mean[layer]) / std[layer]
    torch.testing.assert_close(mix_layers(frames, weights, mean, std), expected)
