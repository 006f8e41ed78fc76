"""The supervised contrastive loss against a double loop, its gradient against finite differences, and its edges."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.objectives import IdleObjectiveWarning, ObjectiveError, SupervisedContrastive


def loss_by_double_loop(embeds, emotions, languages, tau, language_weight):
    """The formula as it is printed, one pair at a time."""
    rows = [i for i, emotion in enumerate(emotions) if emotion != -100]

    def similarity(i, j):
        return torch.nn.functional.cosine_similarity(embeds[i], embeds[j], dim=0).item()

    losses = []
    for i in rows:
        positives = [p for p in rows if p != i and emotions[p] == emotions[i]]
        if not positives:
            continue
        weights = {p: language_weight if languages[p] != languages[i] else 1.0 for p in positives}
        everything = sum(math.exp(similarity(i, a) / tau) for a in rows if a != i)
        total = sum(weights[p] * math.log(math.exp(similarity(i, p) / tau) / everything) for p in positives)
        losses.append(-total / sum(weights.values()))
    return sum(losses) / len(losses) if losses else 0.0


def run(objective, embeds, emotions, languages=None):
    batch = {"emotion_id": torch.as_tensor(emotions)}
    if languages is not None:
        batch["language_id"] = torch.as_tensor(languages)
    return objective(SimpleNamespace(speech_embeds=embeds), batch)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from([-100, 0, 1, 2]), st.integers(0, 2)), min_size=1, max_size=12),
    tau=st.floats(0.05, 2.0),
    language_weight=st.floats(0.2, 5.0),
    seed=st.integers(0, 10_000),
)
def test_equals_the_double_loop(rows, tau, language_weight, seed):
    emotions, languages = zip(*rows, strict=True)
    embeds = torch.randn(len(rows), 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    objective = SupervisedContrastive(temperature=tau, language_weight=language_weight)
    loss, parts = run(objective, embeds, emotions, languages)
    expected = loss_by_double_loop(embeds, emotions, languages, tau, language_weight)
    assert loss.item() == pytest.approx(expected, abs=1e-9)
    assert parts["loss/supcon"].item() == loss.item()


@pytest.mark.parametrize("language_weight", [1.0, 2.5])
def test_gradient_is_right(language_weight):
    embeds = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3), requires_grad=True)
    objective = SupervisedContrastive(temperature=0.5, language_weight=language_weight)
    languages = [0, 1, 0, 0, 1, 1, 0]
    assert torch.autograd.gradcheck(lambda e: run(objective, e, [0, 0, 0, 1, 1, 2, -100], languages)[0], (embeds,))


def test_pairs_across_languages_pull_harder():
    """Two clips of i's emotion, equally far from it: the one in the other language gets 2.5 times the pull."""
    embeds = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [-1.0, 0.0]], dtype=torch.float64)
    others = embeds[1:].clone().requires_grad_()

    rows = torch.cat([embeds[:1], others])
    loss, _ = run(SupervisedContrastive(temperature=1.0), rows, [0, 0, 0, 1], [0, 0, 1, 0])
    loss.backward()
    toward = -others.grad[:, 0]  # how strongly each is drawn along the first clip's direction
    assert toward[1] > 2 * toward[0] > 0


def test_without_a_language_weight_no_language_is_asked_for():
    embeds = torch.randn(4, 3)
    assert SupervisedContrastive(language_weight=1.0).ids == ()
    assert SupervisedContrastive().ids == ("language",)
    plain, _ = run(SupervisedContrastive(language_weight=1.0), embeds, [0, 0, 1, 1])
    same, _ = run(SupervisedContrastive(language_weight=2.5), embeds, [0, 0, 1, 1], [3, 3, 3, 3])
    assert plain.item() == pytest.approx(same.item())
    with pytest.raises(ObjectiveError, match="language_id"):
        run(SupervisedContrastive(), embeds, [0, 0, 1, 1])


@pytest.mark.parametrize("emotions", [[0], [-100, -100], [0, 1, 2]])
def test_nothing_to_compare_is_zero_and_harmless(emotions):
    embeds = torch.randn(len(emotions), 3, requires_grad=True)
    with pytest.warns(IdleObjectiveWarning, match="no two labelled"):
        loss, _ = run(SupervisedContrastive(), embeds, emotions, [0] * len(emotions))
    loss.backward()
    assert loss.item() == 0.0
    assert not embeds.grad.any()


def test_one_emotion_alone_warns():
    with pytest.warns(IdleObjectiveWarning, match="same emotion"):
        run(SupervisedContrastive(), torch.randn(3, 4, requires_grad=True), [0, 0, 0], [0, 1, 2])


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"temperature": float("inf")}, {"language_weight": 0.0}])
def test_impossible_hyper_parameters_are_errors(wrong):
    with pytest.raises(ObjectiveError, match=next(iter(wrong))):
        SupervisedContrastive(**wrong)
