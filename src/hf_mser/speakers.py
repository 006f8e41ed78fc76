"""Who speaks, found without being told: one person's clips lie together in traits that emotion hardly moves.

Traits are read linearly from a clip's statistics (`EmotionQFormer.traits_of`). Clips that lie together there are
joined, Ward's way: always the two groups whose clips then lie least further apart, until as many groups are left as
there may be speakers. More groups than people do no harm, as what is learned of each is drawn to what holds for all.

Once it is known roughly which label each clip has, the groups are found better: without what labels explain, and with
what the clips teach of them (`own_reader.py`).
"""

import torch
from torch import Tensor

from .own_reader import learn_from

CLIPS_OF_SPEAKER = 12
"""There may be one speaker for so many clips."""
MOST_SPEAKERS = 16
JOINED_CLIPS = 2000
"""Of more clips than these, only so many are joined; the others go to the nearest of their groups."""
PRIOR_CLIPS_OF_LABEL, PRIOR_CLIPS_OF_SPEAKER = 5.0, 5.0
"""How many clips what holds for all weighs, in what a label or a speaker is like."""
SMALLEST_VARIANCE = 1e-6
CAUTION = 2.0
"""How much less a speaker's ordinary is believed (nats), for each nat that their labels lie from all clips' labels."""
# All chosen on corpora left out inside the training corpora.


def find_speakers(traits: Tensor) -> Tensor | None:
    """A number for each clip with these traits (clips, traits), of who speaks; None if there are too few to tell.

    Example:
        >>> traits = torch.cat([torch.rand(30, 4), 9 + torch.rand(30, 4)])
        >>> groups = find_speakers(traits)
        >>> len(groups.unique()), len(groups[:30].unique()) + len(groups[30:].unique())
        (5, 5)
    """
    count = min(MOST_SPEAKERS, len(traits) // CLIPS_OF_SPEAKER)
    if count < 2:
        return None
    step = -(-len(traits) // JOINED_CLIPS)
    joined = traits[::step].double()
    groups = join_nearest(joined, count)
    return groups if step == 1 else nearest(traits, middles_of(joined, groups))


def find_speakers_again(traits: Tensor, values: Tensor, belongs: Tensor) -> Tensor | None:
    """A number for each clip, of who speaks, once it is known roughly which label each has; None if too few to tell.

    Args:
        traits: of the clips (clips, traits).
        values: their standardised statistics (clips, inputs).
        belongs: how probable each label is (clips, labels).
    """
    traits = less_labels(traits.double(), belongs)
    groups = find_speakers(traits)
    if groups is None:
        return None
    middles = middles_of(traits, groups)
    variance = (traits - middles[groups]).square().mean().clamp(min=SMALLEST_VARIANCE)
    said = (traits @ middles.T - 0.5 * middles.square().sum(1)) / variance
    said = said + learn_from(less_labels(values, belongs), said).by_others
    return said.argmax(1).unique(return_inverse=True)[1]


def less_labels(rows: Tensor, belongs: Tensor) -> Tensor:
    """Rows (clips, anything) without what is explained by how probable each label (clips, labels) is.

    Example:
        >>> less_labels(torch.tensor([[1.0], [1.0], [4.0], [4.0]]), torch.eye(2).repeat_interleave(2, 0).double())
        tensor([[-1.0714],
                [-1.0714],
                [ 1.0714],
                [ 1.0714]])
    """
    rows = rows - rows.mean(0)
    belongs = belongs.to(rows)
    prior = PRIOR_CLIPS_OF_LABEL * torch.eye(belongs.shape[1]).to(rows)
    return rows - belongs @ torch.linalg.solve(belongs.T @ belongs + prior, belongs.T @ rows)


def ordinary_of(values: Tensor, speakers: Tensor, belongs: Tensor) -> Tensor:
    """What is ordinary for each speaker, beside what is for all: (speakers, inputs).

    Args:
        values: standardised statistics of clips (clips, inputs).
        speakers: who speaks in each.
        belongs: how probable each label is (clips, labels). Whoever is heard with other labels than all are is not
            known to be different from them.
    """
    spoken = torch.nn.functional.one_hot(speakers).to(values)
    clips = spoken.sum(0)[:, None]
    shares = spoken.T @ belongs.to(values) / clips
    believed = (-CAUTION * divergence(shares, belongs.to(values).mean(0))).exp()
    return believed * (spoken.T @ (values - values.mean(0))) / (clips + PRIOR_CLIPS_OF_SPEAKER)


def divergence(shares: Tensor, of_all: Tensor) -> Tensor:
    """How far each row of shares is from those of all, by Kullback and Leibler, in nats: (rows, 1)."""
    return (torch.xlogy(shares, shares) - torch.xlogy(shares, of_all)).sum(1, keepdim=True)


def middles_of(traits: Tensor, groups: Tensor) -> Tensor:
    """The mean traits of each group (groups, traits)."""
    own = torch.nn.functional.one_hot(groups).to(traits.dtype)
    return (own.T @ traits) / own.sum(0)[:, None]


def nearest(traits: Tensor, middles: Tensor) -> Tensor:
    """For each clip (clips, traits), the number of the middle (middles, traits) that it lies nearest to."""
    return (middles.square().sum(1) - 2 * traits.to(middles) @ middles.T).argmin(1)


def join_nearest(rows: Tensor, count: int) -> Tensor:
    """Ward's hierarchical clustering of rows, cut where `count` groups are left: the group's number for each row.

    Example:
        >>> join_nearest(torch.tensor([[0.0], [5.0], [0.1], [5.2]]), 2).tolist()
        [0, 1, 0, 1]
    """
    total = len(rows)
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square()
    distances.fill_diagonal_(torch.inf)
    sizes = torch.ones(total, dtype=rows.dtype)
    joins: list[tuple[float, int, int]] = []
    chain: list[int] = []
    while len(joins) < total - 1:
        # Along nearest neighbours, until two are each other's: these are joined in any case, sooner or later.
        if not chain:
            chain.append(int((sizes > 0).int().argmax()))
        here = chain[-1]
        there = int(distances[here].argmin())
        if len(chain) > 1 and distances[here, chain[-2]] <= distances[here, there]:
            there = chain[-2]
            del chain[-2:]
            joins.append((float(distances[here, there]), here, there))
            _join(distances, sizes, here, there)
        else:
            chain.append(there)
    group = list(range(total))
    for _, one, other in sorted(joins, key=lambda join: join[0])[: total - count]:
        first, second = _root(group, one), _root(group, other)
        group[max(first, second)] = min(first, second)
    return torch.tensor([_root(group, row) for row in range(total)]).unique(return_inverse=True)[1]


def _join(distances: Tensor, sizes: Tensor, gone: int, kept: int) -> None:
    """The group `kept` takes in `gone`; its distances to all others follow from both (Lance and Williams)."""
    between, both = distances[gone, kept], sizes[gone] + sizes[kept]
    moved = (sizes[gone] + sizes) * distances[gone] + (sizes[kept] + sizes) * distances[kept] - sizes * between
    moved = moved / (both + sizes)
    moved[[gone, kept]] = torch.inf
    distances[kept], distances[:, kept] = moved, moved
    distances[gone], distances[:, gone] = torch.inf, torch.inf
    sizes[kept], sizes[gone] = both, 0.0


def _root(group: list[int], row: int) -> int:
    while group[row] != row:
        row = group[row]
    return row


__all__ = [
    "divergence",
    "find_speakers",
    "find_speakers_again",
    "join_nearest",
    "less_labels",
    "middles_of",
    "nearest",
    "ordinary_of",
]
