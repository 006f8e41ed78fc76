"""Whisper on true lengths: equal to Whisper itself where it is padded, and to single clips where it is not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import features, whisper_config
from transformers.initialization import no_init_weights
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from hf_mser.configuration_mser import MSERConfig, SpeechLengthError
from hf_mser.speech_encoder import TrueLengthWhisperEncoder

ALL_LAYERS = (0, 1, 2)
# mels, width, layers, heads of the published checkpoints
SIZES = {
    "tiny": (80, 384, 4, 6),
    "base": (80, 512, 6, 8),
    "small": (80, 768, 12, 12),
    "medium": (80, 1024, 24, 16),
    "large-v2": (80, 1280, 32, 20),
    "large-v3": (128, 1280, 32, 20),
}


def encoders(mels: int = 80, layers: tuple[int, ...] = ALL_LAYERS) -> tuple[TrueLengthWhisperEncoder, WhisperEncoder]:
    """Ours and Transformers' own, with the same weights."""
    torch.manual_seed(0)
    reference = WhisperEncoder(whisper_config(mels)).eval()
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    ours = TrueLengthWhisperEncoder(whisper_config(mels), layers).eval()
    ours.load_state_dict(reference.state_dict(), strict=max(layers) == 2)
    return ours, reference


@pytest.mark.parametrize("mels", [80, 128])
@torch.no_grad()
def test_thirty_seconds_equal_whispers_own_encoder(mels):
    ours, reference = encoders(mels)
    sound, _ = features([3000, 3000], mels)
    frames, mask = ours(sound)
    expected = reference(sound, output_hidden_states=True)
    assert mask is None
    assert frames.shape == (2, 3, 1500, 16)
    torch.testing.assert_close(frames[:, -1], expected.last_hidden_state, atol=1e-5, rtol=0)
    for layer in (0, 1):
        torch.testing.assert_close(frames[:, layer], expected.hidden_states[layer], atol=1e-5, rtol=0)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@torch.no_grad()
def test_sixteen_mixed_lengths_equal_sixteen_singles(attention):
    ours, _ = encoders()
    ours.set_attn_implementation(attention)
    lengths = [3, 4, 5, 24, 25, 50, 51, 99, 100, 101, 150, 200, 263, 264, 300, 301]
    sound, mask = features(lengths)
    together, frames_mask = ours(sound, mask)
    assert frames_mask.sum(1).tolist() == [(length + 1) // 2 for length in lengths]
    for row, length in enumerate(lengths):
        alone, _ = ours(sound[row : row + 1, :, :length])
        heard = together[row : row + 1, :, : alone.shape[2]]
        torch.testing.assert_close(heard, alone, atol=1e-4, rtol=0)


@given(lengths=st.lists(st.integers(1, 60), min_size=2, max_size=5), seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
@torch.no_grad()
def test_nothing_behind_a_clips_end_reaches_it(lengths, seed):
    ours, _ = encoders()
    sound, mask = features(lengths, seed=seed)
    other = torch.where(mask[:, None].bool(), sound, 1e3)
    first, frames_mask = ours(sound, mask)
    second, _ = ours(other, mask)
    real = slice(None) if frames_mask is None else frames_mask
    torch.testing.assert_close(first.transpose(1, 2)[real], second.transpose(1, 2)[real], atol=1e-4, rtol=0)


@pytest.mark.parametrize("layers", [(0,), (1,), (0, 1), (2,), (1, 2)])
@torch.no_grad()
def test_a_choice_of_layers_gives_what_all_layers_give(layers):
    chosen, _ = encoders(layers=layers)
    everything, _ = encoders()
    sound, mask = features([40, 31])
    torch.testing.assert_close(chosen(sound, mask)[0], everything(sound, mask)[0][:, list(layers)])
    assert len(chosen.layers) == max(layers)


def test_layers_that_nobody_reads_are_not_there():
    chosen, _ = encoders(layers=(1,))
    assert {name.split(".")[1] for name, _ in chosen.named_parameters() if name.startswith("layers")} == {"0"}
    assert not any(name.startswith("layer_norm") for name in chosen.state_dict())


def test_more_than_thirty_seconds_say_so():
    ours, _ = encoders()
    with pytest.raises(SpeechLengthError, match=r"3000 feature frames.*30 s.*got 3002"):
        ours(torch.zeros(1, 80, 3002))


@torch.no_grad()
def test_half_precision_weights_take_features_in_float32():
    ours, _ = encoders()
    frames, _ = ours.to(torch.bfloat16)(torch.randn(1, 80, 20))
    assert frames.dtype == torch.bfloat16


@pytest.mark.parametrize("size", SIZES)
def test_every_published_size_builds_and_takes_its_names(size):
    mels, width, layers, heads = SIZES[size]
    speech = whisper_config(mels, layers, width)
    speech.encoder_attention_heads, speech.encoder_ffn_dim = heads, 4 * width
    config = MSERConfig(speech_config=speech)
    with torch.device("meta"), no_init_weights():
        ours = TrueLengthWhisperEncoder(config.speech_config, config.speech_layer_indices)
        reference = WhisperEncoder(config.speech_config)
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == {
        name: tensor.shape for name, tensor in reference.state_dict().items()
    }
    frames, _ = ours(torch.zeros(1, mels, 100, device="meta"))
    assert frames.shape == (1, layers + 1, 50, width)
    assert config.qformer_config.encoder_hidden_size == width
