"""What is ordinary for some clips: against numpy on all frames, and with voices apart."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_mser.domains import VOICE_CLIPS, DomainMeter, between

LENGTHS = (5, 9, 30, 12)


@pytest.fixture(scope="module")
def clips():
    """Frames (time, layers, width) of a few clips, their statistics, and their lengths."""
    random = np.random.default_rng(0)
    frames = [random.normal(random.normal(0, 2, (1, 2, 4)), 3.0, (count, 2, 4)) for count in LENGTHS]
    statistics = np.stack([np.stack([own.mean(0), own.std(0)], 1) for own in frames])
    return frames, torch.tensor(statistics), torch.tensor(LENGTHS)


def test_a_domain_is_what_numpy_says_of_all_frames_however_the_clips_come(clips):
    frames, statistics, lengths = clips
    meter = DomainMeter()
    for part in (slice(0, 1), slice(1, 4)):
        meter.add(statistics[part], lengths[part])
    domain, everything = meter.domain(), np.concatenate(frames)
    np.testing.assert_allclose(domain["frame_mean"], everything.mean(0), rtol=1e-5)
    np.testing.assert_allclose(domain["frame_std"], everything.std(0), rtol=1e-5)
    np.testing.assert_allclose(domain["statistics_mean"], statistics.mean(0), rtol=1e-5)
    np.testing.assert_allclose(domain["statistics_std"], statistics.std(0, correction=0), rtol=1e-5)
    assert meter.clips == len(LENGTHS)


def test_each_voice_has_the_domain_of_its_own_clips(clips):
    _, statistics, lengths = clips
    voices = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    both, low = DomainMeter(), DomainMeter()
    both.add(statistics, lengths, voices)
    low.add(statistics[[0, 2]], lengths[[0, 2]])
    for name, values in low.domain().items():
        torch.testing.assert_close(both.domain(0)[name], values)
    assert both.clips_of_voices.tolist() == [2.0, 2.0]


@given(st.lists(st.floats(0, 1), min_size=len(LENGTHS), max_size=len(LENGTHS)))
def test_voices_together_are_all_clips_whatever_their_shares(clips, high):
    _, statistics, lengths = clips
    shares = torch.tensor(high, dtype=torch.float64)
    mixed, plain = DomainMeter(), DomainMeter()
    mixed.add(statistics, lengths, torch.stack([1 - shares, shares], 1))
    plain.add(statistics, lengths)
    assert mixed.clips == pytest.approx(len(LENGTHS))
    for name, values in plain.domain().items():
        torch.testing.assert_close(mixed.domain()[name], values, atol=1e-4, rtol=1e-4)


def prior_of(statistics, voices: int | None):
    meter = DomainMeter()
    meter.add(statistics * 2 + 1, torch.full((len(statistics),), 7))
    domain = meter.domain()
    return {name: values if voices is None else torch.stack([values] * voices) for name, values in domain.items()}


def test_the_prior_weighs_as_much_as_so_many_clips(clips):
    _, statistics, lengths = clips
    meter, prior = DomainMeter(), prior_of(statistics, None)
    meter.add(statistics, lengths)
    moved = meter.moved_from(prior, prior_clips=12.0)  # four clips of sixteen
    own = meter.domain()
    torch.testing.assert_close(moved["frame_mean"], 0.25 * own["frame_mean"] + 0.75 * prior["frame_mean"])
    variance = 0.25 * own["statistics_std"].square() + 0.75 * prior["statistics_std"].square()
    torch.testing.assert_close(moved["statistics_std"], variance.sqrt())


def test_a_voice_that_nobody_has_takes_what_all_have(clips):
    _, statistics, lengths = clips
    meter, prior = DomainMeter(), prior_of(statistics, 2)
    meter.add(statistics, lengths, torch.tensor([[0.0, 1.0]] * len(LENGTHS)))
    moved = meter.moved_from(prior, prior_clips=4.0)
    here = between(meter.domain(), {name: values[0] for name, values in prior.items()}, 0.5)
    weight = len(LENGTHS) / (len(LENGTHS) + VOICE_CLIPS)
    for name, values in moved.items():
        torch.testing.assert_close(values[0], here[name])
        if name.endswith("_mean"):
            torch.testing.assert_close(values[1], weight * meter.domain()[name] + (1 - weight) * here[name])
