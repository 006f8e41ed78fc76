"""Eq. 1 against a double loop, its gradient against finite differences, and its behaviour at the edges."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.objectives import EmotionContrastive, IdleObjectiveWarning, ObjectiveError


def loss_by_double_loop(embeds, emotions, margin, w1, w2):
    """The formula as it is printed, one pair at a time."""
    total = 0.0
    for i in range(len(embeds)):
        for j in range(len(embeds)):
            if i == j or emotions[i] == -100 or emotions[j] == -100:
                continue
            similarity = torch.nn.functional.cosine_similarity(embeds[i], embeds[j], dim=0).item()
            agree = 1 if emotions[i] == emotions[j] else 0
            total += w1 * agree * (1 - similarity) + w2 * (1 - agree) * max(0.0, similarity - margin)
    return total


def run(objective, embeds, emotions):
    return objective(SimpleNamespace(speech_embeds=embeds), {"emotion_id": torch.as_tensor(emotions)})


@settings(max_examples=60, deadline=None)
@given(
    emotions=st.lists(st.sampled_from([-100, 0, 1, 2]), min_size=2, max_size=12),
    margin=st.floats(-0.5, 0.9),
    w1=st.floats(0, 3),
    w2=st.floats(0, 3),
    seed=st.integers(0, 10_000),
)
def test_equals_the_double_loop(emotions, margin, w1, w2, seed):
    embeds = torch.randn(len(emotions), 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    expected = loss_by_double_loop(embeds, emotions, margin, w1, w2)
    settings_ = {"margin": margin, "positive_weight": w1, "negative_weight": w2}
    total, _ = run(EmotionContrastive(reduction="sum", **settings_), embeds, emotions)
    mean, _ = run(EmotionContrastive(reduction="mean", **settings_), embeds, emotions)
    labelled = sum(emotion != -100 for emotion in emotions)
    assert total.item() == pytest.approx(expected, abs=1e-9)
    assert mean.item() == pytest.approx(expected / max(labelled * (labelled - 1), 1), abs=1e-9)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_gradient_is_right(reduction):
    embeds = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3), requires_grad=True)
    emotions = torch.tensor([0, 0, 1, 1, 2, 2, -100])
    objective = EmotionContrastive(margin=-0.3, reduction=reduction)
    assert torch.autograd.gradcheck(lambda e: run(objective, e, emotions)[0], (embeds,))


def test_the_diagonal_adds_nothing():
    one_each, _ = run(EmotionContrastive(margin=-1.0, reduction="sum"), torch.eye(3)[:1], [0])
    assert one_each.item() == 0.0


def test_parts_add_up_and_show_the_similarities():
    embeds = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])
    loss, parts = run(EmotionContrastive(margin=0.2, reduction="sum"), embeds, [0, 0, 1, 1])
    assert parts["loss/positive"].item() == pytest.approx(2 * (1 - 0) + 2 * (1 - 0.6))
    assert parts["loss/negative"].item() == pytest.approx(2 * (0.8 + 0.4 + 0.6))
    assert loss.item() == pytest.approx(parts["loss/positive"].item() + parts["loss/negative"].item())
    assert parts["loss/contrastive"].item() == pytest.approx(loss.item())
    assert parts["similarity/positive"].item() == pytest.approx(0.3)
    assert parts["similarity/negative"].item() == pytest.approx((1.0 + 0.6 + 0.0 + 0.8) / 4)
    assert not any(part.requires_grad for part in parts.values())


@pytest.mark.parametrize("autocast", [False, True])
def test_bf16_embeddings_lose_nothing_in_the_formula(autocast):
    exact = torch.nn.functional.normalize(torch.randn(16, 256, generator=torch.Generator().manual_seed(0)), dim=-1)
    rounded = exact.bfloat16()
    emotions = [i % 4 for i in range(16)]
    expected = loss_by_double_loop(rounded.double(), emotions, 0.0, 1.0, 1.0) / (16 * 15)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss, _ = run(EmotionContrastive(margin=0.0), rounded if not autocast else rounded.float(), emotions)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_zero_embeddings_stay_finite():
    embeds = torch.zeros(4, 8, requires_grad=True)
    loss, _ = run(EmotionContrastive(), embeds, [0, 0, 1, 1])
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(embeds.grad).all()


@pytest.mark.parametrize(
    ("emotions", "reason"),
    [([0, 0, 0], "same emotion"), ([0, 1, 2], "no two clips share"), ([-100, -100, 0], "no two labelled")],
)
def test_a_batch_that_teaches_nothing_warns(emotions, reason):
    with pytest.warns(IdleObjectiveWarning, match=reason):
        run(EmotionContrastive(), torch.randn(3, 4, requires_grad=True), emotions)


def test_satisfied_pairs_warn_because_the_gradient_is_gone():
    embeds = torch.eye(2)[[0, 0, 1, 1]].clone().requires_grad_()
    with pytest.warns(IdleObjectiveWarning, match="below the margin"):
        run(EmotionContrastive(), embeds, [0, 0, 1, 1])


@pytest.mark.filterwarnings("error")
def test_evaluation_does_not_warn():
    with torch.no_grad():
        run(EmotionContrastive(), torch.randn(3, 4), [0, 0, 0])


@pytest.mark.parametrize(
    "wrong",
    [{"margin": 1.5}, {"positive_weight": -1.0}, {"negative_weight": float("inf")}, {"reduction": "max"}],
)
def test_impossible_hyper_parameters_are_errors(wrong):
    with pytest.raises(ObjectiveError, match=next(iter(wrong))):
        EmotionContrastive(**wrong)


def test_a_batch_without_class_ids_says_what_to_add():
    with pytest.raises(ObjectiveError, match="emotion_id"):
        EmotionContrastive()(SimpleNamespace(speech_embeds=torch.eye(2)), {})


def test_shapes_that_do_not_match_are_an_error():
    with pytest.raises(ObjectiveError, match="one embedding"):
        run(EmotionContrastive(), torch.eye(3), [0, 1])
