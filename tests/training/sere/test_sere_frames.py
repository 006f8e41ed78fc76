"""Frames of a frozen encoder: packed, averaged, standardised, cached, and those that the encoder really gives."""

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor, WhisperModel

from hf_mser.training.sere.frames import FrameError, FrozenEncoder, HeardClips, middle
from hf_mser.training.sere.recipe import EncoderSection

lengths_of_clips = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def packed(lengths):
    generator = torch.Generator().manual_seed(sum(lengths))
    return [torch.randn(length, 3, generator=generator) for length in lengths]


@settings(max_examples=30, deadline=None)
@given(lengths=lengths_of_clips, count=st.integers(1, 4))
def test_packed_clips_do_what_single_clips_do(lengths, count):
    clips = packed(lengths)
    heard = HeardClips.of(clips)
    averaged = heard.averaged(count)
    for number, clip in enumerate(clips):
        assert heard[number].equal(clip)
        groups = [clip[start : start + count].mean(0) for start in range(0, len(clip), count)]
        torch.testing.assert_close(averaged[number], torch.stack(groups))
    torch.testing.assert_close(heard.means(), torch.stack([clip.mean(0) for clip in clips]))


def test_taking_clips_keeps_their_frames_in_the_order_asked_for():
    clips = packed([2, 5, 1, 3])
    taken = HeardClips.of(clips).take(torch.tensor([3, 0, 3]))
    assert taken.values.equal(torch.cat([clips[3], clips[0], clips[3]]))
    assert taken.owner().tolist() == [0, 0, 0, 1, 1, 2, 2, 2]


def test_clips_are_standardised_by_what_is_normal_elsewhere():
    others, clips = HeardClips.of(packed([9, 8])), HeardClips.of(packed([4]))
    own = others.standardised_by(others).values
    torch.testing.assert_close(own.mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(own.std(0, unbiased=False), torch.ones(3))
    scaled = clips.standardised_by(others).values
    torch.testing.assert_close(scaled * others.values.std(0, unbiased=False) + others.values.mean(0), clips.values)


def test_no_clips_is_an_error():
    with pytest.raises(FrameError, match="No clip"):
        HeardClips.of([])


def test_an_encoder_gives_the_middle_of_its_layer_and_keeps_it(encoders, tmp_path):
    samples = np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)
    soundfile.write(tmp_path / "clip.wav", samples, 16_000, subtype="FLOAT")
    section = EncoderSection(str(encoders / "24"), layer=1, seconds=1.0, average=4)
    encoder = FrozenEncoder(section, tmp_path / "cache")
    heard = encoder.hear([tmp_path / "clip.wav"])

    mel = WhisperFeatureExtractor.from_pretrained(encoders / "24")(
        samples[4_000:20_000], sampling_rate=16_000, padding=False, return_tensors="pt"
    )
    whisper = WhisperModel.from_pretrained(encoders / "24").encoder.eval()
    whisper.embed_positions = torch.nn.Embedding.from_pretrained(whisper.embed_positions.weight.data[:50])
    whisper.config.max_source_positions = 50  # one second
    with torch.no_grad():
        frames = whisper(mel.input_features).last_hidden_state[0]
    expected = torch.stack([frames[start : start + 4].mean(0) for start in range(0, 50, 4)])
    torch.testing.assert_close(heard[0].float(), expected, atol=2e-3, rtol=2e-3)  # kept in float16

    again = FrozenEncoder(section, tmp_path / "cache")
    again._encoder = None  # what is kept needs no encoder
    assert again.hear([tmp_path / "clip.wav"]).values.equal(heard.values)


def test_a_layer_that_is_not_there_is_an_error(encoders, tmp_path):
    with pytest.raises(FrameError, match="layer 9 is none"):
        FrozenEncoder(EncoderSection(str(encoders / "16"), layer=9), tmp_path)


def test_short_clips_stay_whole():
    assert middle(np.arange(10), 1.0).tolist() == list(range(10))
