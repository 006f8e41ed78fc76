"""What tells low voices from high ones."""

import torch

from hf_mser.training.adaptable.voice_gate import voice_gate


def test_the_voice_gate_tells_high_from_low_and_says_nothing_where_nobody_knows():
    generator = torch.Generator().manual_seed(0)
    high = torch.arange(80) % 2 == 0
    statistics = torch.randn(80, 2, 2, 30, generator=generator)
    statistics[high, 1, 0, :5] += 3.0
    genders = [None if clip > 60 else ("female" if told else "male") for clip, told in enumerate(high)]
    direction, offset = voice_gate(statistics, genders)
    share = ((statistics * direction).flatten(1).sum(1) + offset).sigmoid()
    unheard = share[61:]
    assert ((unheard > 0.5) == high[61:]).float().mean() > 0.8
    assert (share[:61] > 0.5).tolist() == high[:61].tolist()
    silent, nothing = voice_gate(statistics, [None] * 80)
    assert not silent.any()
    assert float(nothing) == 0
