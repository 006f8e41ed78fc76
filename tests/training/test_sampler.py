"""Properties of the batches: what a contrastive loss needs, for every shape of data set."""

from collections import Counter
from itertools import chain

import pytest
from accelerate.data_loader import BatchSamplerShard
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.training.sampler import EmotionBatchSampler, SamplerError


@st.composite
def samplers(draw):
    """A data set of two to six emotions of very different sizes, and a batch shape that fits it."""
    clips_per_emotion = draw(st.integers(2, 5))
    sizes = draw(st.lists(st.integers(clips_per_emotion, 40), min_size=2, max_size=6))
    emotions = draw(st.permutations([name for name, size in enumerate(sizes) for _ in range(size)]))
    emotions_per_batch = draw(st.integers(2, len(sizes)))
    total = emotions_per_batch * clips_per_emotion
    parts = draw(st.sampled_from([n for n in range(1, total + 1) if total % n == 0]))
    durations = draw(st.none() | st.just([1.0 + (7 * i) % 13 for i in range(len(emotions))]))
    speakers = draw(st.none() | st.just([i % 3 for i in range(len(emotions))]))
    seed = draw(st.integers(0, 1000))

    def make():
        return EmotionBatchSampler(
            emotions,
            emotions_per_batch,
            clips_per_emotion,
            local_batch_size=total // parts,
            durations=durations,
            speakers=speakers,
            seed=seed,
        )

    return emotions, make


def global_batches(sampler):
    parts, flat = sampler.local_batches_per_global, list(sampler)
    return [list(chain(*flat[start : start + parts])) for start in range(0, len(flat), parts)]


@settings(max_examples=80, deadline=None)
@given(samplers())
def test_every_batch_can_teach_the_contrast(case):
    emotions, make = case
    sampler = make()
    for batch in global_batches(sampler):
        counts = Counter(emotions[index] for index in batch)
        assert len(batch) == len(set(batch)) == sampler.global_batch_size
        assert len(counts) == sampler.emotions_per_batch >= 2
        assert set(counts.values()) == {sampler.clips_per_emotion}


@settings(max_examples=80, deadline=None)
@given(samplers())
def test_every_clip_is_seen_and_none_again_before_its_emotion_is_used_up(case):
    emotions, make = case
    sizes, rounds = Counter(emotions), {}
    for batch in global_batches(make()):
        for index in batch:
            seen = rounds.setdefault(emotions[index], Counter())
            seen[index] += 1
        for emotion, seen in rounds.items():
            missing = sizes[emotion] - len(seen)
            assert max(seen.values()) - (0 if missing else min(seen.values())) <= 1
    assert all(len(rounds[emotion]) == size for emotion, size in sizes.items())


@settings(max_examples=40, deadline=None)
@given(samplers())
def test_emotions_come_equally_often(case):
    emotions, make = case
    sampler = make()
    counts = Counter(emotions[index] for batch in sampler for index in batch)
    assert max(counts.values()) - min(counts.values()) <= sampler.clips_per_emotion


@settings(max_examples=60, deadline=None)
@given(samplers(), st.data())
def test_resuming_gives_the_same_remaining_batches(case, data):
    _, make = case
    whole = make()
    epochs = [list(whole), list(whole)]
    assert len(epochs[0]) == len(whole)

    epoch = data.draw(st.integers(0, 1))
    stop = data.draw(st.integers(0, len(epochs[epoch]) - 1))
    interrupted = make()
    interrupted.set_epoch(epoch)
    batches = iter(interrupted)
    assert [next(batches) for _ in range(stop)] == epochs[epoch][:stop]

    resumed = make()
    resumed.load_state_dict(interrupted.state_dict())
    assert list(resumed) == epochs[epoch][stop:]
    if epoch == 0:
        assert list(resumed) == epochs[1]


@settings(max_examples=60, deadline=None)
@given(samplers())
def test_ranks_never_share_a_clip_in_a_step_and_fill_the_global_batch(case):
    _, make = case
    reference = make()
    world = reference.local_batches_per_global
    ranks = [list(BatchSamplerShard(make(), world, rank, even_batches=False)) for rank in range(world)]
    assert len({len(batches) for batches in ranks}) == 1
    for step, batch in enumerate(global_batches(reference)):
        shares = [batches[step] for batches in ranks]
        assert sum(map(len, shares)) == len(set().union(*shares))
        assert list(chain(*shares)) == batch


def test_local_batches_of_pairs_keep_several_emotions():
    emotions = [i % 4 for i in range(64)]
    for batch in EmotionBatchSampler(emotions, 4, 4, local_batch_size=4):
        counts = Counter(emotions[index] for index in batch)
        assert len(counts) == 2
        assert set(counts.values()) == {2}


def test_epochs_differ_and_seeds_differ():
    def first(seed, epoch):
        sampler = EmotionBatchSampler([i % 3 for i in range(60)], 3, 4, seed=seed)
        sampler.set_epoch(epoch)
        return next(iter(sampler))

    assert first(0, 0) == first(0, 0)
    assert first(0, 0) != first(0, 1)
    assert first(0, 0) != first(1, 0)


def test_languages_are_drawn_as_edrl_draws_them():
    languages = [("en", "de", "fr", "zh")[i % 4] for i in range(480)]
    emotions = [(i // 4) % 5 for i in range(480)]
    sampler = EmotionBatchSampler(emotions, 4, 3, languages=languages, languages_per_batch=3)
    seen = set()
    for batch in sampler:
        cells = Counter((languages[i], emotions[i]) for i in batch)
        assert len(batch) == 36
        assert Counter(language for language, _ in cells) == dict.fromkeys({lang for lang, _ in cells}, 4)
        assert len({language for language, _ in cells}) == 3
        assert set(cells.values()) == {3}
        seen |= set(batch)
    assert seen == set(range(480))


def test_clips_of_an_emotion_come_from_different_speakers():
    speakers = [i % 5 for i in range(200)]
    emotions = [i // 100 for i in range(200)]
    for batch in EmotionBatchSampler(emotions, 2, 5, speakers=speakers):
        for emotion in (0, 1):
            assert len({speakers[i] for i in batch if emotions[i] == emotion}) == 5


def test_similar_lengths_meet_when_durations_are_known():
    durations = [float(1 + (i * 7919) % 20) for i in range(400)]
    emotions = [i % 2 for i in range(400)]

    def padding(**options):
        batches = list(EmotionBatchSampler(emotions, 2, 5, seed=1, **options))
        longest = sum(max(durations[i] for i in batch) * len(batch) for batch in batches)
        return longest / sum(durations[i] for batch in batches for i in batch)

    assert padding(durations=durations) < 0.75 * padding()


def test_unlabelled_clips_are_left_out():
    sampler = EmotionBatchSampler([0, 0, None, 1, 1, -100], 2, 2)
    assert sorted(index for batch in sampler for index in batch) == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"emotions": [0, 0, 0]}, "Lower emotions_per_batch"),
        ({"emotions": [0, 0, 1]}, "Lower clips_per_emotion"),
        ({"emotions": [0, 0, 1, 1], "emotions_per_batch": 1}, "at least 2"),
        ({"emotions": [0, 0, 1, 1], "local_batch_size": 3}, "cannot be cut"),
        ({"emotions": [0, 0, 1, 1], "speakers": ["a"]}, "one for each"),
        ({"emotions": [0, 0, 1, 1], "languages_per_batch": 2}, "needs the languages"),
    ],
)
def test_impossible_batches_are_errors_with_a_cure(options, message):
    with pytest.raises(SamplerError, match=message):
        EmotionBatchSampler(**{"emotions_per_batch": 2, "clips_per_emotion": 2, **options})


def test_a_state_of_other_data_is_refused():
    state = EmotionBatchSampler([0, 1] * 8, 2, 2).state_dict()
    with pytest.raises(SamplerError, match="another run"):
        EmotionBatchSampler([0, 1] * 20, 2, 2).load_state_dict(state)
