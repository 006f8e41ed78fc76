"""Objectives add up, come by name, and refuse what they do not know."""

from types import SimpleNamespace

import pytest
import torch

from hf_mser.objectives import CrossEntropy, EmotionContrastive, ObjectiveError, build, names

OUTPUTS = SimpleNamespace(
    loss=torch.tensor(0.7), speech_embeds=torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])
)
BATCH = {"emotion_id": torch.tensor([0, 0, 1, 1])}


def test_sum_and_product_are_what_they_say():
    contrastive, cross_entropy = EmotionContrastive(), CrossEntropy()
    loss, parts = (2.0 * contrastive + cross_entropy * 3)(OUTPUTS, BATCH)
    expected = 2 * contrastive(OUTPUTS, BATCH)[0] + 3 * 0.7
    assert loss.item() == pytest.approx(expected.item())
    assert set(parts) >= {"loss/contrastive", "loss/cross_entropy", "similarity/negative"}


def test_weights_multiply_through_nested_sums():
    nested = 2.0 * (0.5 * CrossEntropy() + EmotionContrastive() * 3) + CrossEntropy()
    assert [weight for weight, _ in nested.terms()] == [1.0, 6.0, 1.0]


def test_a_recipe_entry_becomes_an_objective():
    objective = build([{"name": "contrastive", "weight": 2, "margin": 0.1}, {"name": "cross_entropy"}])
    assert [weight for weight, _ in objective.terms()] == [2.0, 1.0]
    assert objective.terms()[0][1].margin == 0.1


def test_both_objectives_are_listed():
    assert {"contrastive", "cross_entropy"} <= set(names())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "contrastiv"}, "Did you mean 'contrastive'"),
        ({"name": "contrastive", "margn": 0.2}, "Did you mean 'margin'"),
        ({"weight": 1.0}, "no name"),
        ({"name": "contrastive", "margin": "wide"}, "contrastive"),
        ({"name": "cross_entropy", "weight": "much"}, "must be a number"),
        ({"name": "cross_entropy", "weight": -1}, "not negative"),
    ],
)
def test_mistakes_are_named_with_a_cure(entry, message):
    with pytest.raises(ObjectiveError, match=message):
        build([entry])


def test_no_terms_is_an_error():
    with pytest.raises(ObjectiveError, match="at least one"):
        build([])


def test_cross_entropy_counts_its_label_tokens():
    labels = torch.tensor([[-100, -100, 5, 6], [-100, 7, -100, -100]])
    assert CrossEntropy().items({"labels": labels}).item() == 3
    assert CrossEntropy().items({"labels": torch.tensor([0, 1, -100])}).item() == 2


def test_cross_entropy_without_labels_says_so():
    with pytest.raises(ObjectiveError, match="Give the batch labels"):
        CrossEntropy()(SimpleNamespace(loss=None), {})
