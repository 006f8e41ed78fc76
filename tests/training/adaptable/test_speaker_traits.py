"""Traits that tell speakers apart, and leave alone what emotions move."""

import numpy as np
import pytest
import torch

from hf_mser.training.adaptable.speaker_traits import TraitsError, TraitsRecipe, speaker_traits

WIDTH, SPEAKERS, CLIPS = 5, 6, 40
VOICE, FEELING = 0, 7  # the statistics that differ from speaker to speaker, and with emotions


def clips():
    """Statistics (clips, 1, 2, width), corpora, speakers and emotions; emotions move more than speakers do."""
    random = np.random.default_rng(0)
    speaker = np.repeat(np.arange(SPEAKERS), CLIPS)
    emotion = np.tile(np.arange(4), SPEAKERS * CLIPS // 4)
    values = random.normal(size=(len(speaker), 2 * WIDTH))
    values[:, VOICE] += 4 * speaker
    # Anger is voiced by two of the speakers only, so that emotions differ between speakers, too.
    emotion[(emotion == 3) & (speaker > 1)] = 0
    values[:, FEELING] += 8 * emotion
    corpus = np.where(speaker < 3, "one", "other")
    values[corpus == "other"] += 50
    return torch.from_numpy(values).float().view(-1, 1, 2, WIDTH), corpus, speaker.astype(str), emotion


def test_what_tells_speakers_apart_is_found_and_what_emotions_move_is_not():
    recipe = TraitsRecipe(traits=2, ridge=0.1)
    weights = speaker_traits(recipe, *clips())
    assert weights.shape == (2, 2 * WIDTH)
    share = weights[0].abs() / weights[0].abs().sum()
    assert share[VOICE] > 0.6
    heedless = speaker_traits(TraitsRecipe(traits=2, ridge=0.1, emotion_weight=0.0), *clips())
    assert weights[:, FEELING].abs().sum() < 0.3 * heedless[:, FEELING].abs().sum()


def test_speakers_of_few_clips_do_not_count():
    statistics, corpus, speaker, emotion = clips()
    seldom = speaker.copy()
    seldom[:3] = "seldom heard"
    weights = speaker_traits(TraitsRecipe(traits=8), statistics, corpus, seldom, emotion)
    assert weights.shape == (8, 2 * WIDTH)
    assert weights.abs().sum(1).count_nonzero() == SPEAKERS
    with pytest.raises(TraitsError, match="0 of them have 50 clips"):
        speaker_traits(TraitsRecipe(fewest_clips=50), statistics, corpus, speaker, emotion)


def test_the_scale_is_that_of_the_statistics():
    """Traits of statistics in other units are the same."""
    statistics, *rest = clips()
    recipe = TraitsRecipe(traits=1, ridge=0.1)
    one = statistics.flatten(1) @ speaker_traits(recipe, statistics, *rest).T
    other = (1000 * statistics).flatten(1) @ speaker_traits(recipe, 1000 * statistics, *rest).T
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_of_fewer_clips_than_statistics_the_traits_are_those_of_the_whole_covariance():
    """The clips span the space that they are found in; what is solved there holds outside, too."""
    from scipy.linalg import eigh

    random, width, ridge = np.random.default_rng(1), 40, 0.4
    speaker, emotion = np.repeat(np.arange(4), 12), np.tile([0, 1], 24)
    values = random.normal(size=(48, width)) + 2 * random.normal(size=(4, width))[speaker]
    statistics = torch.from_numpy(values).float().view(48, 2, 2, 10).repeat(1, 1, 1, 2)  # 80 columns
    recipe = TraitsRecipe(traits=3, ridge=ridge, emotion_weight=2.0)
    found = speaker_traits(recipe, statistics, np.zeros(48), speaker, emotion)

    rows = statistics.flatten(1).double().numpy()
    rows = (rows - rows.mean(0)) / rows.std(0)
    middles = np.stack([rows[speaker == number].mean(0) for number in range(4)])
    within = np.zeros((80, 80))
    for number in range(4):
        around = rows[speaker == number] - middles[number]
        within += around.T @ around / len(around)
        for kind in (0, 1):
            mean = around[emotion[speaker == number] == kind].mean(0)
            within += 2.0 * 0.5 * np.outer(mean, mean)
    within /= 4
    within = (1 - ridge) * within + ridge * np.trace(within) / 80 / 1.2 * np.eye(80)
    _, vectors = eigh(middles.T @ middles, within)
    expected = vectors[:, -3:].T / statistics.flatten(1).double().numpy().std(0)
    projected = np.linalg.lstsq(expected.T, found.double().numpy().T, rcond=None)[0]
    np.testing.assert_allclose(expected.T @ projected, found.T, atol=1e-3)
    assert np.linalg.matrix_rank(projected) == 3
