"""What is ordinary for some recordings: mean and deviation of their frames, and of the clips' own statistics.

Emotion is heard as a departure from it. All of it follows from each clip's mean and deviation and its length, so it can
be added up clip by clip; where low and high voices are kept apart, each clip counts for both, with a share.
"""

import torch
from torch import Tensor

NAMES = ("frame_mean", "frame_std", "statistics_mean", "statistics_std")
SMALLEST_DEVIATION = 1e-3
VOICE_CLIPS = 10.0
"""How many clips of a voice what is ordinary for all voices weighs as much as, chosen on held-out training corpora."""

Domain = dict[str, Tensor]


class DomainMeter:
    """Adds up clips, and tells their domain.

    Example:

    ```python
    >>> import torch
    >>> from hf_mser.domains import DomainMeter

    >>> meter = DomainMeter()
    >>> meter.add(torch.rand(5, 1, 2, 4), torch.full((5,), 50.0))
    >>> meter.clips, sorted(meter.domain())
    (5.0, ['frame_mean', 'frame_std', 'statistics_mean', 'statistics_std'])

    ```"""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def add(self, statistics: Tensor, lengths: Tensor, voices: Tensor | None = None) -> None:
        """Statistics (clips, layers, 2, width), numbers of frames (clips), and shares of voices (clips, voices)."""
        statistics, lengths = statistics.double(), lengths.double()
        shares = torch.ones(len(lengths), 1).to(lengths) if voices is None else voices.to(lengths)
        mean, std = statistics.unbind(2)
        of_frames = shares * lengths[:, None]
        sums = {
            "clips": shares.sum(0),
            "statistics": _weighted(shares, statistics),
            "statistics_squares": _weighted(shares, statistics.square()),
            "frames": of_frames.sum(0),
            "frame": _weighted(of_frames, mean),
            "frame_squares": _weighted(of_frames, mean.square() + std.square()),
        }
        self._sums = {name: self._sums[name] + value if self._sums else value for name, value in sums.items()}

    @property
    def clips(self) -> float:
        """How many there were."""
        return float(self.clips_of_voices.sum())

    @property
    def clips_of_voices(self) -> Tensor:
        """How many there were of each voice."""
        return self._sums["clips"] if self._sums else torch.zeros(1)

    def domain(self, voice: int | None = None) -> Domain:
        """What is ordinary for all of them, or for one of the voices."""
        own = {name: value.sum(0) if voice is None else value[voice] for name, value in self._sums.items()}
        domain = {}
        for kind, count in (("frame", own["frames"]), ("statistics", own["clips"])):
            count = count.clamp(min=torch.finfo(torch.float32).tiny)
            mean = own[kind] / count
            variance = own[f"{kind}_squares"] / count - mean.square()
            domain[f"{kind}_mean"] = mean.float()
            domain[f"{kind}_std"] = variance.clamp(min=SMALLEST_DEVIATION**2).sqrt().float()
        return domain

    def moved_from(self, prior: Domain, prior_clips: float) -> Domain:
        """`prior` after these clips: it weighs as much as `prior_clips` of them.

        Where the prior keeps voices apart (one dimension more), so does the result: for each voice its own clips count,
        against what is ordinary here as much as `VOICE_CLIPS`. A voice that nobody has takes what all have.
        """
        here = between(self.domain(), prior, self.clips / (self.clips + prior_clips))
        if prior["frame_mean"].ndim == 2:
            return here
        voices = []
        for voice, clips in enumerate(self.clips_of_voices.tolist()):
            around = {name: values[voice] for name, values in here.items()}
            voices.append(between(self.domain(voice), around, clips / (clips + VOICE_CLIPS)))
        return stacked(voices)


def between(own: Domain, prior: Domain, weight: float) -> Domain:
    """`own` with `weight`, the rest `prior`, as far as the prior goes: means and variances are mixed."""
    mixed = {}
    for kind in ("frame", "statistics"):
        mean, std = f"{kind}_mean", f"{kind}_std"
        if mean in prior:
            mixed[mean] = weight * own[mean].to(prior[mean]) + (1 - weight) * prior[mean]
            mixed[std] = (weight * own[std].to(prior[std]).square() + (1 - weight) * prior[std].square()).sqrt()
    return mixed


def stacked(domains: list[Domain]) -> Domain:
    """Several domains, one behind the other, as a connector takes one for each clip."""
    return {name: torch.stack([domain[name] for domain in domains]) for name in domains[0]}


def _weighted(weights: Tensor, values: Tensor) -> Tensor:
    return (weights.T @ values.flatten(1)).unflatten(1, values.shape[1:])


__all__ = ["NAMES", "Domain", "DomainMeter", "between", "stacked"]
