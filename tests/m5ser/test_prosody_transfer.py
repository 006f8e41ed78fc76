"""ProsodyTransfer: what the source does with pitch, loudness, tempo, pauses and breath, the target does too."""

from collections.abc import Callable

import numpy as np
import pytest
from made_up_voices import TEXT, pitch_of, rms_db, voice

from hf_mser.m5ser import LANGUAGES, PreflightError, SourceClip, TranslationError, translator
from hf_mser.m5ser.activity import loudness, pauses, speech_frames

pytest.importorskip("espeakng_loader")
pytest.importorskip("pyworld")
Spoken = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def spoken() -> Spoken:
    """A made-up voice in another language."""
    prosody = translator("prosody")

    def speak(samples: np.ndarray, language: str = "de", text: str | None = TEXT) -> np.ndarray:
        return prosody.translate(SourceClip("c/1", samples, "en", text, "male", "c/bob"), language).samples

    return speak


@pytest.mark.parametrize("language", ["de", "zh"])
def test_the_level_of_the_pitch_carries_over(spoken, language):
    for hertz in (110.0, 160.0, 240.0):
        found = pitch_of(spoken(voice(1.6, hertz), language))
        assert np.median(found) == pytest.approx(hertz, rel=0.08)


def test_the_movement_of_the_pitch_carries_over(spoken):
    time = np.arange(25_600) / 16_000
    syllables = np.sin(2 * np.pi * 2.0 * time) ** 2
    rising = 2 * np.pi * np.cumsum(np.linspace(110, 220, len(time))) / 16_000
    tones = sum(np.sin(k * rising) / k for k in range(1, 25))
    found = pitch_of(spoken(0.1 * tones * syllables + 1e-4 * np.random.default_rng(0).standard_normal(len(time))))
    assert np.median(found[-6:]) / np.median(found[:6]) > 1.5


def test_loudness_and_breath_carry_over(spoken):
    loud, soft = spoken(voice(1.4, level=0.4)), spoken(voice(1.4, level=0.04))
    assert rms_db(loud) - rms_db(soft) == pytest.approx(20, abs=2)
    assert rms_db(loud) == pytest.approx(rms_db(voice(1.4, level=0.4)), abs=5)
    bright, dull = spoken(voice(1.4, tilt=0.6)), spoken(voice(1.4, tilt=2.0))
    assert above_2_khz(bright) - above_2_khz(dull) > 6


def above_2_khz(samples: np.ndarray) -> float:
    """Energy above 2 kHz against all of it, in dB."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(10 * np.log10(power[len(power) // 4 :].sum() / power.sum()))


def test_tempo_and_pauses_carry_over(spoken):
    slow, fast = spoken(voice(2.0)), spoken(voice(1.2))
    assert speaking(slow) / speaking(fast) == pytest.approx(2.0 / 1.2, rel=0.15)
    interrupted = np.concatenate([voice(0.8), np.zeros(6_400), voice(0.8)])
    interrupted += 1e-4 * np.random.default_rng(0).standard_normal(len(interrupted))
    longest = max(last - first for first, last in pauses(speech_frames(loudness(spoken(interrupted)))))
    assert 0.4 < longest * 0.005 < 0.9


def speaking(samples: np.ndarray) -> float:
    return float(speech_frames(loudness(samples)).sum() * 0.005)


def test_the_same_clip_gives_the_same_samples_whatever_came_before(spoken):
    alone = spoken(voice(1.2, 150), "fr")
    spoken(voice(1.5, 220), "zh")
    assert np.array_equal(spoken(voice(1.2, 150), "fr"), alone)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_speaks_and_never_clips(language):
    clip = SourceClip("c/2", voice(1.2, level=0.95), "en", None, "female", "c/ann")
    made = translator("prosody").translate(clip, language)
    assert made.text
    assert made.seconds > 0.5
    assert np.isfinite(made.samples).all()
    assert np.abs(made.samples).max() < 1


def test_silence_and_unknown_languages_are_errors_of_their_own(spoken):
    with pytest.raises(TranslationError, match="no speech was found"):
        translator("prosody").translate(SourceClip("c/3", np.zeros(16_000, np.float32), "en"), "fr")
    with pytest.raises(PreflightError, match="no sentences in pl"):
        translator("prosody").preflight(["fr", "pl"])
    with pytest.raises(TranslationError, match="no translator 'babel'"):
        translator("babel")
    with pytest.raises(PreflightError, match="cannot be made"):
        translator("nowhere:Nothing")
