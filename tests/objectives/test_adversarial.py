"""The speaker adversary: what flows back, how it grows, and that it hides speakers while emotion stays."""

import math
from types import SimpleNamespace

import pytest
import torch

from hf_mser.objectives import CrossEntropy, ObjectiveError, SpeakerAdversary, build, reverse_gradient


def adversary(speakers=3, width=4, **settings):
    torch.manual_seed(0)
    made = SpeakerAdversary(**{"hidden_size": 8, **settings})
    made.make_heads({"speaker": speakers}, width)
    return made


def run(objective, embeds, speakers):
    return objective(SimpleNamespace(speech_embeds=embeds), {"speaker_id": torch.as_tensor(speakers)})


def test_the_reversal_leaves_values_and_turns_gradients():
    x = torch.randn(5, requires_grad=True)
    y = reverse_gradient(x, 0.25)
    assert torch.equal(y, x)
    y.square().sum().backward()
    torch.testing.assert_close(x.grad, -0.25 * 2 * x.detach())


def test_the_model_gets_the_reversed_gradient_and_the_classifier_its_own():
    embeds = torch.randn(6, 4, requires_grad=True)
    speakers = [0, 1, 2, 0, 1, -100]
    objective = adversary(coefficient=0.5, dropout=0.0)
    run(objective, embeds, speakers)[0].backward()
    reversed_, own = embeds.grad.clone(), objective.classifier[0].weight.grad.clone()

    plain = embeds.detach().clone().requires_grad_()
    seen = torch.nn.functional.layer_norm(plain[:5], (4,))
    objective.zero_grad()
    torch.nn.functional.cross_entropy(objective.classifier(seen), torch.tensor(speakers[:5])).backward()
    torch.testing.assert_close(reversed_, -0.5 * plain.grad)
    torch.testing.assert_close(own, objective.classifier[0].weight.grad)
    assert not reversed_[5].any()


def test_the_ramp_is_danns():
    objective = adversary(schedule="ramp", coefficient=2.0)
    for progress in (0.0, 0.3, 1.0):
        objective.progress = progress
        assert objective.reversal == pytest.approx(2.0 * (2 / (1 + math.exp(-10 * progress)) - 1))
    assert adversary(coefficient=0.7).reversal == 0.7


def test_the_length_of_an_embedding_tells_nothing():
    objective, embeds = adversary().eval(), torch.randn(3, 4)
    a, b = (run(objective, scale * embeds, [0, 1, 2])[0].item() for scale in (1.0, 40.0))
    assert a == pytest.approx(b, rel=1e-4)


def test_accuracy_counts_known_speakers_alone():
    objective, embeds = adversary().eval(), torch.randn(4, 4)
    answers = objective.classifier(torch.nn.functional.layer_norm(embeds, (4,))).argmax(1).tolist()
    wrong = (answers[1] + 1) % 3
    batch = [answers[0], wrong, -100, -100]
    assert run(objective, embeds, batch)[1]["accuracy/speaker"].item() == 0.5
    assert objective.items({"speaker_id": torch.tensor(batch)}).item() == 2
    nobody, parts = run(objective, embeds, [-100] * 4)
    assert nobody.item() == 0.0
    assert parts["accuracy/speaker"].item() == 0.0


def test_speakers_are_hidden_while_emotion_stays():
    """Inputs that say emotion and speaker alike: a linear map learns to keep the one and to drop the other."""
    generator = torch.Generator().manual_seed(0)
    emotion, speaker = (torch.randint(2, (400,), generator=generator) for _ in range(2))
    x = torch.randn(400, 6, generator=generator) * 0.5
    x[:, 0] += 2.0 * emotion - 1
    x[:, 1] += 2.0 * speaker - 1

    def train(weight):
        torch.manual_seed(1)
        encoder, head = torch.nn.Linear(6, 6), torch.nn.Linear(6, 2)
        objective = CrossEntropy() + weight * adversary(speakers=2, width=6, hidden_size=16, dropout=0.0)
        optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters(), *objective.parameters()], 3e-3)
        for _ in range(300):
            embeds = encoder(x)
            outputs = SimpleNamespace(
                loss=torch.nn.functional.cross_entropy(head(embeds), emotion), speech_embeds=embeds
            )
            optimizer.zero_grad()
            objective(outputs, {"speaker_id": speaker})[0].backward()
            optimizer.step()
        embeds = encoder(x).detach()
        right = (head(embeds).argmax(1) == emotion).float().mean().item()
        return right, separation(torch.nn.functional.layer_norm(embeds, (6,)), speaker)

    (right_without, apart_without), (right_with, apart_with) = train(0.0), train(1.0)
    assert min(right_with, right_without) > 0.95
    assert apart_with < apart_without / 3


def separation(rows, labels):
    """Fisher's: how far the best linear view holds two classes apart, in units of their spread."""
    first, second = rows[labels == 0], rows[labels == 1]
    away = second.mean(0) - first.mean(0)
    around = torch.cat([first - first.mean(0), second - second.mean(0)])
    spread = around.T @ around / len(around) + 1e-6 * around.var() * torch.eye(rows.shape[1])
    return (away @ torch.linalg.solve(spread, away)).item()


def test_recipes_name_it():
    sum_ = build([{"name": "speaker_adversarial", "weight": 0.3, "schedule": "ramp"}])
    assert sum_.weights == [0.3]
    assert sum_.terms()[0][1].schedule == "ramp"


@pytest.mark.parametrize("wrong", [{"coefficient": -1.0}, {"schedule": "linear"}, {"hidden_size": 0}, {"dropout": 1.0}])
def test_impossible_hyper_parameters_are_errors(wrong):
    with pytest.raises(ObjectiveError, match=next(iter(wrong))):
        SpeakerAdversary(**wrong)


def test_what_is_missing_is_named():
    with pytest.raises(ObjectiveError, match="make_heads"):
        run(SpeakerAdversary(), torch.randn(2, 4), [0, 1])
    with pytest.raises(ObjectiveError, match="speaker_id"):
        adversary()(SimpleNamespace(speech_embeds=torch.randn(2, 4)), {})
    with pytest.raises(ObjectiveError, match="at least two"):
        SpeakerAdversary().make_heads({"speaker": 1}, 4)
