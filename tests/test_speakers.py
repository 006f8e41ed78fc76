"""Who speaks: Ward's clustering against SciPy's, and how many speakers there may be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.speakers import (
    CLIPS_OF_SPEAKER,
    JOINED_CLIPS,
    MOST_SPEAKERS,
    find_speakers,
    join_nearest,
    middles_of,
    nearest,
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
