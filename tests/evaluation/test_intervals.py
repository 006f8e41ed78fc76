"""The bootstrap over speakers: what it draws, what it covers, how it degrades."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.evaluation import intervals, metrics
from hf_mser.evaluation.intervals import count_by_speaker, measure_intervals
from hf_mser.evaluation.metrics import MetricInputError

CLASSES = ["happy", "sad"]


def simulated(generator, speakers=20, clips=10, spread=0.15):
    """Answers of a model whose accuracy differs from voice to voice around 0.7."""
    true, answered, voices = [], [], []
    for speaker in range(speakers):
        skill = np.clip(generator.normal(0.7, spread), 0, 1)
        for _ in range(clips):
            label = CLASSES[generator.integers(2)]
            other = CLASSES[1 - CLASSES.index(label)]
            true.append(label)
            answered.append(label if generator.uniform() < skill else other)
            voices.append(str(speaker))
    return count_by_speaker(true, answered, voices, CLASSES)


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from(CLASSES)] * 2, st.sampled_from("abcde")), min_size=1, max_size=40))
def test_counts_by_speaker_add_up_to_the_whole(rows):
    true, answered, speakers = zip(*rows, strict=True)
    counts = count_by_speaker(true, answered, speakers, CLASSES)
    assert counts.n_speakers == len(set(speakers))
    assert counts.confusion.tolist() == metrics.confusion_matrix(true, answered, CLASSES).tolist()


def test_a_resample_is_the_sum_of_the_speakers_drawn():
    counts = count_by_speaker(["sad", "happy", "sad"], ["sad", "sad", "happy"], ["a", "b", "b"], CLASSES)
    weights = np.array([[2, 0], [0, 2], [1, 1]])
    expected = np.stack([2 * counts.confusions[0], 2 * counts.confusions[1], counts.confusion])
    np.testing.assert_array_equal(intervals.resampled(counts, weights), expected)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["emodb", "emovo", "nemo"]), min_size=1, max_size=12), st.integers(0, 5))
def test_speakers_are_drawn_within_their_corpus(strata, seed):
    weights = intervals.speaker_weights(strata, resamples=50, seed=seed)
    for corpus in set(strata):
        columns = [index for index, name in enumerate(strata) if name == corpus]
        assert (weights[:, columns].sum(1) == len(columns)).all()
    np.testing.assert_array_equal(weights, intervals.speaker_weights(strata, resamples=50, seed=seed))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        low, high = measure_intervals(simulated(generator, spread=0.1), resamples=400, seed=trial)["WA"]
        covered += low <= 0.7 <= high
    # 95 % by design; a percentile interval on 20 voices loses a few points. 170 is far below either.
    assert 176 <= covered <= 200


def test_drawing_speakers_gives_wider_intervals_than_drawing_clips():
    counts = simulated(np.random.default_rng(1), speakers=10, clips=60, spread=0.2)
    low, high = measure_intervals(counts)["WA"]
    accuracy = metrics.measure(counts.confusion)["WA"]
    clipwise = 2 * 1.96 * np.sqrt(accuracy * (1 - accuracy) / 600)
    assert high - low > 1.5 * clipwise


def test_the_interval_holds_the_point_value_of_every_measure():
    counts = simulated(np.random.default_rng(2))
    point = metrics.measure(counts.confusion)
    for name, interval in measure_intervals(counts).items():
        assert interval[0] < point[name] < interval[1], name


def test_one_speaker_gives_no_interval():
    counts = count_by_speaker(["sad", "happy"], ["sad", "sad"], ["a", "a"], CLASSES)
    assert measure_intervals(counts) == dict.fromkeys(metrics.MEASURES)
    assert intervals.mean_interval([[counts]]) is None


def test_runs_of_one_corpus_share_their_resamples():
    counts = simulated(np.random.default_rng(5))
    alone = intervals.mean_interval([[counts]])
    assert intervals.mean_interval([[counts, counts, counts]]) == pytest.approx(alone)


def test_a_mean_over_corpora_is_narrower_than_one_of_them():
    generator = np.random.default_rng(6)
    parts = [[simulated(generator)] for _ in range(6)]
    low, high = intervals.mean_interval(parts)
    single = intervals.mean_interval(parts[:1])
    assert high - low < single[1] - single[0]


def test_unequal_lengths_are_refused():
    with pytest.raises(MetricInputError, match="2 clips, 1 speakers"):
        count_by_speaker(["sad", "sad"], ["sad", "sad"], ["a"], CLASSES)
