"""What a connector keeps for adaptation, measured on made-up statistics: emotions, voices and corpora lie apart."""

import numpy as np
import pytest
import torch

from hf_mser import EmotionQFormer, EmotionQFormerConfig
from hf_mser.adaptation import set_domain
from hf_mser.training.adaptable.label_clouds import at_home_in, clouds_of_corpora
from hf_mser.training.adaptable.measuring import TrainingClips, make_adaptable

WIDTH, LAYERS, LABELS = 12, 2, 3
_GENERATOR = torch.Generator().manual_seed(0)
EMOTION = 1.5 * torch.randn(LABELS, LAYERS, 2, WIDTH, generator=_GENERATOR)
VOICE = torch.randn(LAYERS, 2, WIDTH, generator=_GENERATOR)


def corpus(name: str, seed: int, count: int = 60) -> TrainingClips:
    """Clips of five speakers, two of them with high voices, in a domain of their own."""
    generator = torch.Generator().manual_seed(seed)
    place = 3 * torch.randn(LAYERS, 2, WIDTH, generator=generator)
    people = 0.5 * torch.randn(5, LAYERS, 2, WIDTH, generator=generator)
    emotions, speakers = torch.arange(count) % LABELS, torch.arange(count) % 5
    high = speakers < 2
    rows = 0.7 * torch.randn(count, LAYERS, 2, WIDTH, generator=generator)
    rows += place + EMOTION[emotions] + people[speakers] + 2 * VOICE * high[:, None, None, None]
    return TrainingClips(
        rows,
        torch.full((count,), 40),
        emotions,
        np.full(count, name),
        np.array([f"{name}/{speaker}" for speaker in speakers]),
        ["female" if own else "male" for own in high],
    )


def together(*corpora: TrainingClips) -> TrainingClips:
    columns = [[vars(own)[field] for own in corpora] for field in vars(corpora[0])]
    joined = [torch.cat(own) if isinstance(own[0], torch.Tensor) else np.concatenate(own) for own in columns]
    return TrainingClips(*joined)


def connector(clips: TrainingClips, **changes) -> EmotionQFormer:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    layers = {"num_speech_layers": LAYERS, "encoder_hidden_size": WIDTH}
    made = EmotionQFormer(EmotionQFormerConfig(**{**sizes, **layers, **changes}), 8)
    set_domain(made, clips.domain())
    return made


@pytest.fixture(scope="module")
def clips() -> TrainingClips:
    return together(corpus("one", 1), corpus("two", 2), corpus("three", 3))


def test_the_reader_reads_a_corpus_that_it_has_not_heard_once_it_is_at_home_there(clips):
    made, unheard = connector(clips), corpus("four", 4)
    clouds = make_adaptable(made, clips, LABELS)
    with at_home_in(made, unheard.statistics, unheard.lengths):
        readings = made.readings_of(unheard.statistics)
    assert (readings.argmax(1) == unheard.emotions).float().mean() > 0.9
    assert (clouds.means.argmax(1) == torch.arange(LABELS)).all()
    assert torch.equal(made.statistics_mean, clips.domain()["statistics_mean"])  # at home again


def test_clouds_are_measured_on_every_corpus_in_its_own_domain(clips):
    made = connector(clips)
    clouds = make_adaptable(made, clips, LABELS)
    alone = []
    for name in ("one", "two", "three"):
        own = np.flatnonzero(clips.corpora == name)
        with at_home_in(made, clips.statistics[own], clips.lengths[own]):
            alone.append(made.readings_of(clips.statistics[own]).double())
    readings = torch.cat(alone)
    centred = readings - readings.mean(1, keepdim=True)
    expected = torch.stack([centred[clips.emotions == label].mean(0) for label in range(LABELS)])
    torch.testing.assert_close(clouds.means, expected, atol=1e-4, rtol=1e-4)


def test_clouds_of_some_labels_are_the_readings_of_these(clips):
    made = connector(clips)
    every = make_adaptable(made, clips, LABELS)
    some = clouds_of_corpora(
        made, clips.statistics, clips.lengths, clips.emotions, clips.corpora, torch.tensor([0, 2])
    )  # fmt: skip
    means = every.means[[0, 2]][:, [0, 2]]
    torch.testing.assert_close(some.means, means - means.mean(1, keepdim=True), atol=1e-4, rtol=1e-4)


def test_speakers_and_voices_are_told_apart_where_the_clips_tell(clips):
    made = connector(clips, num_voices=2)
    make_adaptable(made, clips, LABELS)
    high = torch.tensor([gender == "female" for gender in clips.genders])
    voices = made.voices_of(clips.statistics)
    assert ((voices[:, 1] > 0.5) == high).float().mean() > 0.95
    assert made.tells_speakers
    unheard = corpus("four", 4)
    traits = made.traits_of(unheard.statistics)
    middles = torch.stack([traits[number::5].mean(0) for number in range(5)])
    nearest = torch.cdist(traits, middles).argmin(1)
    assert (nearest == torch.arange(60) % 5).float().mean() > 0.8


def test_without_speakers_and_with_too_few_clips_there_is_less_or_nothing(clips):
    silent = TrainingClips(**{**vars(clips), "speakers": np.full(len(clips.lengths), "")})
    made = connector(clips)
    assert make_adaptable(made, silent, LABELS) is not None
    assert not made.tells_speakers
    made = connector(clips)
    assert make_adaptable(made, clips, LABELS + 1) is None  # nobody shows the fourth label
    assert made.config.num_readings == 0


def test_clips_without_a_label_tell_what_is_ordinary_and_nothing_more(clips):
    emotions = clips.emotions.clone()
    emotions[::4] = -1
    made, plain = connector(clips), connector(clips)
    make_adaptable(made, TrainingClips(**{**vars(clips), "emotions": emotions}), LABELS)
    labelled = np.flatnonzero(emotions >= 0)
    make_adaptable(plain, clips, LABELS)
    readings = made.readings_of(clips.statistics)
    assert (readings.argmax(1) == clips.emotions)[labelled].float().mean() > 0.8
    assert not torch.allclose(made.reader_weight, plain.reader_weight, atol=1e-4)
