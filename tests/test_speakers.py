"""Who speaks: Ward's clustering against SciPy's, how many there may be, and what labels and clips tell of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.speakers import (
    CAUTION,
    CLIPS_OF_SPEAKER,
    JOINED_CLIPS,
    MOST_SPEAKERS,
    PRIOR_CLIPS_OF_LABEL,
    PRIOR_CLIPS_OF_SPEAKER,
    find_speakers,
    find_speakers_again,
    join_nearest,
    less_labels,
    middles_of,
    nearest,
    ordinary_of,
)


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two numberings make the same groups."""
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


@settings(max_examples=40)
@given(st.integers(3, 60), st.integers(1, 5), st.integers(0, 100), st.data())
def test_clips_are_joined_as_scipy_joins_them(clips, traits, seed, data):
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    rows = torch.randn(clips, traits, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    count = data.draw(st.integers(1, clips))
    expected = hierarchy.fcluster(hierarchy.linkage(rows.numpy(), "ward"), count, "maxclust")
    assert same_partition(join_nearest(rows, count).numpy(), expected)


def people(count: int, clips: int, apart: float = 30.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Traits of clips of so many people, mixed, and who speaks."""
    random = torch.Generator().manual_seed(count)
    who = torch.arange(count * clips) % count
    middles = apart * torch.randn(count, 6, generator=random)
    return middles[who] + torch.randn(len(who), 6, generator=random), who


def test_a_group_holds_clips_of_one_person():
    traits, who = people(5, 40)
    groups = find_speakers(traits)
    assert len(groups.unique()) == 200 // CLIPS_OF_SPEAKER
    for group in groups.unique():
        assert len(who[groups == group].unique()) == 1


def test_there_are_no_more_groups_than_the_most_speakers():
    assert len(find_speakers(people(3, 200)[0]).unique()) == MOST_SPEAKERS


@pytest.mark.parametrize("clips", [2, CLIPS_OF_SPEAKER, 2 * CLIPS_OF_SPEAKER - 1])
def test_few_clips_tell_nobody_apart(clips):
    assert find_speakers(torch.randn(clips, 4)) is None


def test_of_many_clips_some_are_joined_and_the_others_follow_them():
    traits, who = people(5, JOINED_CLIPS // 5 + 50)
    groups = find_speakers(traits)
    assert len(groups) == len(who) > JOINED_CLIPS
    for group in groups.unique():
        assert len(who[groups == group].unique()) == 1


def test_middles_and_the_nearest_of_them():
    traits, who = people(4, 10)
    middles = middles_of(traits, who)
    torch.testing.assert_close(middles[2], traits[who == 2].mean(0))
    assert torch.equal(nearest(traits, middles), torch.cdist(traits, middles).argmin(1))


@settings(max_examples=20)
@given(st.integers(2, 30), st.integers(1, 5), st.integers(0, 100))
def test_what_labels_explain_is_a_ridge_regressions(clips, labels, seed):
    linear_model = pytest.importorskip("sklearn.linear_model")
    random = torch.Generator().manual_seed(seed)
    rows = torch.randn(clips, 3, generator=random, dtype=torch.float64)
    belongs = torch.randn(clips, labels, generator=random, dtype=torch.float64).softmax(1)
    ridge = linear_model.Ridge(alpha=PRIOR_CLIPS_OF_LABEL, fit_intercept=False)
    centred = (rows - rows.mean(0)).numpy()
    expected = centred - ridge.fit(belongs.numpy(), centred).predict(belongs.numpy()).reshape(clips, 3)
    np.testing.assert_allclose(less_labels(rows, belongs).numpy(), expected, atol=1e-9)


def test_what_is_ordinary_for_a_speaker_is_believed_by_clips_and_by_labels():
    values = torch.tensor([[1.0], [3.0], [5.0], [7.0]])
    evenly = torch.full((4, 2), 0.5)
    share = 2 / (2 + PRIOR_CLIPS_OF_SPEAKER)
    speakers = torch.tensor([0, 0, 1, 1])
    torch.testing.assert_close(ordinary_of(values, speakers, evenly), share * torch.tensor([[-2.0], [2.0]]))
    one_each = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    believed = 2**-CAUTION  # each speaker's labels lie ln 2 from those of all
    torch.testing.assert_close(
        ordinary_of(values, speakers, one_each), believed * share * torch.tensor([[-2.0], [2.0]])
    )


def test_groups_that_were_emotions_become_speakers_once_the_emotions_are_known():
    """Traits that emotion moves more than the voice does; the statistics tell voices apart, a little each."""
    random = torch.Generator().manual_seed(0)
    who, felt = torch.arange(480) % 4, torch.arange(480) // 4 % 3
    middles, moods = torch.randn(4, 60, generator=random), torch.randn(3, 60, generator=random)
    values = middles[who] + 2 * moods[felt] + torch.randn(480, 60, generator=random)
    traits = values[:, :4]
    belongs = torch.nn.functional.one_hot(felt).double()

    def right(groups: torch.Tensor) -> float:
        """The share of clips in groups of which they are the main speaker's."""
        return sum(int(who[groups == group].bincount().max()) for group in groups.unique()) / len(who)

    first, again = find_speakers(traits.double()), find_speakers_again(traits, values, belongs)
    assert right(first) < 0.7
    assert right(again) > 0.85


def test_again_as_at_first_few_clips_tell_nobody_apart():
    assert find_speakers_again(torch.randn(23, 4), torch.randn(23, 9), torch.ones(23, 1).double()) is None
