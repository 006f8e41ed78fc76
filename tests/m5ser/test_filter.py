"""The paper's rules at their edges, and the optional ones."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from hf_mser.corpora import names
from hf_mser.m5ser.filter import PAPER_MIN_KILOBYTES, FilterRules, pcm_bytes

LOUD = np.sin(np.arange(48_000) / 5).astype(np.float32) * 0.5


def sound(samples: int) -> np.ndarray:
    return LOUD[:samples]


def test_the_papers_corpora_are_corpora_of_ours():
    assert set(PAPER_MIN_KILOBYTES) <= set(names())


@pytest.mark.parametrize(
    ("corpus", "first_kept"),
    [
        ("crema_d", 8_000),  # 0.5 s
        ("iemocap", 9_978),  # 20,000 bytes less 44 of header, two bytes a sample
        ("meld", 9_978),
        ("mead", 24_978),
        ("cmu_mosei", 24_978),
        ("msp_podcast", 24_978),
    ],
)
def test_the_papers_rules_at_their_edges(corpus, first_kept):
    assert FilterRules().reason(sound(first_kept), corpus) is None
    assert FilterRules().reason(sound(first_kept - 1), corpus) is not None


@given(st.integers(1, 40_000))
def test_the_size_is_that_of_a_wav_file(samples):
    file = io.BytesIO()
    soundfile.write(file, np.zeros(samples, np.int16), 16_000, format="WAV", subtype="PCM_16")
    assert len(file.getvalue()) == pcm_bytes(samples)


def test_a_failed_synthesis_never_passes():
    assert FilterRules().reason(np.zeros(0, np.float32), "crema_d") == "failed synthesis: no samples"
    broken = sound(16_000).copy()
    broken[7] = np.nan
    assert FilterRules().reason(broken, "crema_d") == "failed synthesis: not finite"


def test_optional_rules_are_off_until_asked_for():
    silent, clipped = np.zeros(16_000, np.float32), np.sign(LOUD[:16_000])
    assert FilterRules().reason(silent, "crema_d", 9.0) is None
    assert FilterRules().reason(clipped, "crema_d", 9.0) is None
    assert FilterRules(drop_silence=True).reason(silent, "crema_d") == "silent"
    assert FilterRules(max_clipped=0.01).reason(clipped, "crema_d").startswith("clipped: ")
    assert FilterRules(max_clipped=0.01).reason(sound(16_000), "crema_d") is None


def test_the_duration_is_compared_with_the_sources():
    rules = FilterRules(min_ratio=0.5, max_ratio=2.0)
    assert rules.reason(sound(16_000), "crema_d", 1.5) is None
    assert rules.reason(sound(16_000), "crema_d", 2.5) == "duration: 0.40 of the source's, at least 0.5"
    assert rules.reason(sound(16_000), "crema_d", 0.4) == "duration: 2.50 of the source's, at most 2"


def test_voice_activity_is_a_share_of_the_clip():
    burst = np.zeros(32_000, np.float32)
    burst[8_000:16_000] = LOUD[:8_000]
    assert FilterRules(min_speech=0.2).reason(burst, "crema_d") is None
    assert FilterRules(min_speech=0.4).reason(burst, "crema_d").startswith("speech: 2")
