"""The speech path against the original implementation of Whisper (extra `oracle`)."""

import numpy as np
import pytest
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor

from hf_mser.processing_mser import MSERProcessor
from hf_mser.speech_encoder import TrueLengthWhisperEncoder

whisper = pytest.importorskip("whisper")

WIDTH, LAYERS, HEADS = 32, 2, 4
TO_OURS = (
    ("blocks.", "layers."),
    (".attn_ln.", ".self_attn_layer_norm."),
    (".attn.query.", ".self_attn.q_proj."),
    (".attn.key.", ".self_attn.k_proj."),
    (".attn.value.", ".self_attn.v_proj."),
    (".attn.out.", ".self_attn.out_proj."),
    (".mlp_ln.", ".final_layer_norm."),
    (".mlp.0.", ".fc1."),
    (".mlp.2.", ".fc2."),
    ("ln_post.", "layer_norm."),
    ("positional_embedding", "embed_positions.weight"),
)


def renamed(name):
    for old, new in TO_OURS:
        name = name.replace(old, new)
    return name


@pytest.mark.parametrize("mels", [80, 128])
def test_encoder_equals_the_original_on_30_seconds(mels):
    from whisper.model import AudioEncoder

    torch.manual_seed(0)
    original = AudioEncoder(mels, 1500, WIDTH, HEADS, LAYERS).eval()
    config = WhisperConfig(
        d_model=WIDTH,
        encoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        encoder_ffn_dim=4 * WIDTH,
        num_mel_bins=mels,
        dropout=0.0,
    )
    ours = TrueLengthWhisperEncoder(config, (LAYERS,)).eval()
    ours.load_state_dict({renamed(name): tensor for name, tensor in original.state_dict().items()})
    features = torch.randn(1, mels, 3000)
    with torch.no_grad():
        frames, _ = ours(features)
        torch.testing.assert_close(frames[:, 0], original(features), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mels", [80, 128])
def test_features_equal_the_original_within_the_clip(mels):
    samples = np.random.default_rng(0).normal(scale=0.1, size=64_000).astype(np.float32)
    processor = MSERProcessor.__new__(MSERProcessor)
    processor.feature_extractor = WhisperFeatureExtractor(feature_size=mels)
    processor.pad_to_30s = False
    features, _ = processor.extract_features([samples])
    original = whisper.log_mel_spectrogram(samples, n_mels=mels, padding=16_000)[:, : features.shape[-1]]
    torch.testing.assert_close(features[0], original, atol=1e-5, rtol=1e-5)
