"""SERE's field and chain against naive double loops, their gradients against finite differences, and each switch."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from hf_mser.objectives import UNLABELLED, ObjectiveError, build
from hf_mser.objectives import resonance as chain
from hf_mser.objectives import resonance_field as field

T = 0.2
seeds = st.integers(0, 10_000)


def directions(count, seed, size=4):
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, size, dtype=torch.float64, generator=generator), dim=1)


def softmax(values):
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def readings_by_loops(embeds, prototypes):
    return [softmax([dot(z, c) / T for c in prototypes]) for z in embeds]


def field_by_loops(embeds, own, share):
    heard = []
    for u, z in enumerate(embeds):
        others = [v for v in range(len(embeds)) if v != u]
        weights = softmax([dot(z, embeds[v]) / T for v in others])
        mixed = [sum(w * own[v][k] for w, v in zip(weights, others, strict=True)) for k in range(len(own[u]))]
        heard.append([(1 - share) * q + share * m for q, m in zip(own[u], mixed, strict=True)])
    return heard


def nearest_by_loops(first, second):
    def best(one, many):
        return max(range(len(many)), key=lambda index: dot(one, many[index]))

    return [(i, best(z, second)) for i, z in enumerate(first) if best(second[best(z, second)], first) == i]


def contrast_by_loops(embeds, emotions):
    known = [i for i, emotion in enumerate(emotions) if emotion != UNLABELLED]
    terms = []
    for i in known:
        others = [a for a in known if a != i]
        partners = [p for p in others if emotions[p] == emotions[i]]
        total = sum(math.exp(dot(embeds[i], embeds[a]) / T) for a in others)
        terms.append(-sum(dot(embeds[i], embeds[p]) / T - math.log(total) for p in partners) / len(partners))
    return sum(terms) / len(terms)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=5), seed=seeds)
def test_highlights_equal_the_loop(lengths, seed):
    frames, prototypes = directions(sum(lengths), seed), directions(3, seed + 1)
    owner = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    pooled = field.pooled_by_highlights(frames, owner, len(lengths), prototypes, T)
    for clip in range(len(lengths)):
        own = frames[owner == clip]
        weights = softmax([max(dot(f, c) for c in prototypes) / T for f in own])
        expected = normalize(sum(w * f for w, f in zip(weights, own, strict=True)), dim=0)
        torch.testing.assert_close(pooled[clip], expected)


def test_without_a_temperature_every_frame_weighs_the_same():
    frames = directions(5, seed=0)
    pooled = field.pooled_by_highlights(frames, torch.zeros(5, dtype=torch.long), 1, directions(2, 1), float("inf"))
    torch.testing.assert_close(pooled[0], normalize(frames.mean(0), dim=0))


@settings(max_examples=25, deadline=None)
@given(count=st.integers(2, 7), share=st.floats(0, 1), seed=seeds)
def test_readings_equal_the_loops_and_are_distributions(count, share, seed):
    embeds, prototypes = directions(count, seed), directions(3, seed + 1)
    own = field.own_readings(embeds, prototypes, T)
    expected = readings_by_loops(embeds, prototypes)
    torch.testing.assert_close(own, torch.tensor(expected, dtype=torch.float64))
    heard = field.field_readings(embeds, own, T, share)
    torch.testing.assert_close(heard, torch.tensor(field_by_loops(embeds, expected, share), dtype=torch.float64))
    torch.testing.assert_close(heard.sum(1), torch.ones(count, dtype=torch.float64))


def test_a_clip_alone_has_no_field():
    own = torch.tensor([[0.7, 0.3]])
    assert field.field_readings(directions(1, 0), own, T, 0.5).equal(own)


def test_prototypes_are_normalised_means_and_move_by_the_momentum():
    embeds, emotions = directions(6, seed=3), torch.tensor([0, 0, 1, 1, UNLABELLED, 0])
    found = field.prototypes_of(embeds, emotions, 2)
    torch.testing.assert_close(found[0], normalize(embeds[[0, 1, 5]].mean(0), dim=0))
    moved = field.moved_prototypes(found, embeds[2:4], torch.tensor([0, UNLABELLED]), momentum=0.75)
    torch.testing.assert_close(moved[0], normalize(0.75 * found[0] + 0.25 * embeds[2], dim=0))
    assert moved[1].equal(found[1])


def test_an_emotion_without_a_labelled_clip_is_an_error():
    with pytest.raises(ObjectiveError, match="emotion number 1"):
        field.prototypes_of(directions(2, 0), torch.tensor([0, 2]), 3)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.floats(0, 1), min_size=1, max_size=12), confidence=st.floats(0, 1), share=st.floats(0.1, 1))
def test_no_emotion_takes_more_than_its_share_and_the_surest_keep_it(rows, confidence, share):
    readings = torch.tensor([[p, 1 - p] for p in rows])
    guessed = field.confident_emotions(readings, confidence, share)
    for emotion in (0, 1):
        own = readings[guessed == emotion, emotion]
        left = readings[(readings.argmax(1) == emotion) & (guessed == UNLABELLED)].amax(1)
        assert len(own) <= max(1, int(share * len(rows)))
        assert bool((own >= confidence).all())
        if len(own) and len(left[left >= confidence]):
            assert own.min() >= left.max()


@settings(max_examples=25, deadline=None)
@given(first=st.integers(1, 6), second=st.integers(1, 6), seed=seeds)
def test_mutual_neighbours_equal_the_loops(first, second, seed):
    one, other = directions(first, seed), directions(second, seed + 1)
    rows = torch.stack(chain.mutual_neighbours(one, other)).T.tolist()
    assert [tuple(row) for row in rows] == nearest_by_loops(one, other)


@settings(max_examples=25, deadline=None)
@given(emotions=st.lists(st.integers(0, 2), min_size=1, max_size=6), unknown=st.integers(1, 6), seed=seeds)
def test_the_walk_equals_the_loops(emotions, unknown, seed):
    labelled, unlabelled = directions(len(emotions), seed), directions(unknown, seed + 1)
    loss = 0.0
    for i, start in enumerate(emotions):
        there = softmax([dot(labelled[i], u) / T for u in unlabelled])
        home = 0.0
        for u, weight in enumerate(there):
            back = softmax([dot(unlabelled[u], z) / T for z in labelled])
            home += weight * sum(back[j] for j, end in enumerate(emotions) if end == start)
        loss -= math.log(home) / len(emotions)
    assert chain.walk_loss(labelled, torch.tensor(emotions), unlabelled, T).item() == pytest.approx(loss, abs=1e-9)


def test_entropy_is_judged_for_each_language():
    sure, even = [1.0, 0.0], [0.5, 0.5]
    readings = torch.tensor([sure, sure, even, [0.0, 1.0], sure])
    one_sided = chain.entropy_loss(readings, torch.tensor([0, 0, 1, 1, 1]))
    assert one_sided.item() == pytest.approx(math.log(2) / 2)


def chained(embeds, emotions, languages, prototypes, **options):
    outputs = SimpleNamespace(speech_embeds=embeds, prototypes=prototypes)
    batch = {"emotion_id": torch.tensor(emotions), "language_id": torch.tensor(languages)}
    return chain.TripleResonance(temperature=T, **options)(outputs, batch)


EMOTIONS = [0, 1, 2, 0, 1, 2, *[UNLABELLED] * 6]
LANGUAGES = [0] * 9 + [1] * 3


def test_the_whole_equals_its_parts_by_loops():
    embeds, prototypes, share, confidence = directions(12, 5), directions(3, 6), 0.3, 0.7
    options = {"field_share": share, "confidence": confidence, "largest_share": 3.0}
    loss, parts = chained(embeds, EMOTIONS, LANGUAGES, prototypes, **options)
    known, unknown = embeds[:6], embeds[6:]
    own = readings_by_loops(embeds, prototypes)
    heard = field_by_loops(unknown, own[6:], share)
    guessed = [row.index(max(row)) if max(row) >= confidence else UNLABELLED for row in heard]
    assert 0 < sum(emotion != UNLABELLED for emotion in guessed) < 6
    labelled = sum(-math.log(own[i][EMOTIONS[i]]) for i in range(6)) / 6
    unlabelled = sum(-math.log(own[6 + u][k]) for u, k in enumerate(guessed) if k != UNLABELLED) / 6
    agreements = [heard[u][EMOTIONS[i]] for i, u in nearest_by_loops(known, unknown)]
    agreements += [dot(heard[u], heard[3 + v]) for u, v in nearest_by_loops(unknown[:3], unknown[3:])]
    assert parts["loss/prototype_labelled"].item() == pytest.approx(labelled)
    assert parts["loss/prototype_unlabelled"].item() == pytest.approx(unlabelled)
    assert parts["loss/instance_pairs"].item() == pytest.approx(-sum(map(math.log, agreements)) / len(agreements))
    assert parts["pairs"].item() == len(agreements)
    contrast = contrast_by_loops(embeds, EMOTIONS[:6] + guessed)
    assert parts["loss/instance_contrast"].item() == pytest.approx(contrast)
    total = sum(
        (0.1 if name == "loss/entropy" else 1.0) * value.item()
        for name, value in parts.items()
        if name.startswith("loss/") and name != "loss/triple_resonance"
    )
    assert loss.item() == pytest.approx(total)


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("prototype", {"loss/prototype_labelled", "loss/prototype_unlabelled"}),
        ("instance", {"loss/instance_contrast", "loss/instance_pairs"}),
        ("walk", {"loss/walk"}),
        ("entropy", {"loss/entropy"}),
    ],
)
def test_a_part_can_be_switched_off_and_used_alone(part, names):
    embeds, prototypes = directions(12, 5), directions(3, 6)
    whole, parts = chained(embeds, EMOTIONS, LANGUAGES, prototypes)
    without, rest = chained(embeds, EMOTIONS, LANGUAGES, prototypes, **{part: 0.0})
    assert parts.keys() - rest.keys() == names
    others = dict.fromkeys({"prototype", "instance", "walk", "entropy"} - {part}, 0.0)
    alone, _ = chained(embeds, EMOTIONS, LANGUAGES, prototypes, **others)
    assert whole.item() == pytest.approx(without.item() + alone.item())
    assert alone.item() > 0


def test_gradients_are_right():
    prototypes = directions(3, 6)

    def loss(rows):
        return chained(normalize(rows, dim=1), EMOTIONS, LANGUAGES, prototypes, confidence=0.5)[0]

    assert torch.autograd.gradcheck(loss, (directions(12, 5).requires_grad_(),))


def test_the_highlights_have_a_right_gradient():
    owner, prototypes = torch.tensor([0, 0, 0, 1, 1]), directions(3, 6)

    def pooled(frames):
        return field.pooled_by_highlights(frames, owner, 2, prototypes, T)

    assert torch.autograd.gradcheck(pooled, (directions(5, 5).requires_grad_(),))


def test_labelled_clips_alone_teach_and_unlabelled_parts_are_zero():
    embeds = directions(6, 5).requires_grad_()
    loss, parts = chained(embeds, EMOTIONS[:6], LANGUAGES[:6], directions(3, 6))
    loss.backward()
    assert bool(embeds.grad.isfinite().all())
    for name in ("prototype_unlabelled", "instance_pairs", "walk", "entropy"):
        assert parts[f"loss/{name}"].item() == 0
    assert parts["loss/prototype_labelled"].item() > 0


def test_recipes_know_it_by_name():
    [(weight, objective)] = build([{"name": "triple_resonance", "walk": 0.0, "weight": 2}]).terms()
    assert (weight, objective.weights["walk"]) == (2.0, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [{"walk": -1.0}, {"temperature": 0.0}, {"field_share": 1.5}, {"confidence": -0.1}, {"largest_share": 0.5}],
)
def test_impossible_hyper_parameters_are_errors(wrong):
    with pytest.raises(ObjectiveError, match=next(iter(wrong))):
        chain.TripleResonance(**wrong)


def test_nothing_to_minimise_is_an_error():
    with pytest.raises(ObjectiveError, match="every part"):
        chain.TripleResonance(prototype=0, instance=0, walk=0, entropy=0)


def test_clips_without_a_language_are_an_error():
    outputs = SimpleNamespace(speech_embeds=directions(2, 0), prototypes=directions(2, 1))
    with pytest.raises(ObjectiveError, match="no language ids"):
        chain.TripleResonance()(outputs, {"emotion_id": torch.tensor([0, 1])})
