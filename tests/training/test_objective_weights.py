"""What an objective learns itself is clipped, checked, saved and resumed together with the model."""

from pathlib import Path

import pytest
import torch
from learned_scale import LearnedScale
from test_trainer import arguments, losses
from transformers import TrainerCallback

from hf_mser.objectives import CrossEntropy, SpeakerAdversary
from hf_mser.training.checkpoints import NonFiniteLossError, last_complete
from hf_mser.training.trainer import MSERTrainer

SAVING = {"save_strategy": "steps", "save_steps": 2}


@pytest.fixture
def make_trainer(make_model, clips, tmp_path):
    def make(*, callbacks=None, **options):
        model, processor = make_model()
        torch.manual_seed(5)  # the classifier's first weights
        return MSERTrainer(
            model,
            arguments(tmp_path / "run", **options),
            # So heavy that its gradients are of the size of the model's.
            objective=CrossEntropy() + 300 * SpeakerAdversary(hidden_size=8, coefficient=0.001) + LearnedScale(),
            train_dataset=clips,
            processing_class=processor,
            callbacks=callbacks,
        )

    return make


def gradients(module):
    return [weight.grad for weight in module.parameters() if weight.grad is not None]


def norm_of(tensors):
    return torch.linalg.vector_norm(torch.cat([tensor.flatten() for tensor in tensors])).item()


class BeforeTheStep(TrainerCallback):
    """Calls a function at one step (counted from 0), when gradients are clipped and weights not yet changed."""

    def __init__(self, step, function):
        self.step, self.function = step, function

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            self.function()


@pytest.mark.parametrize("accumulated", [1, 2])
def test_one_norm_is_clipped_over_the_model_and_the_objective(make_trainer, accumulated):
    def train(max_grad_norm):
        seen = {}

        def look():
            seen["own"] = norm_of(gradients(trainer.criterion))
            seen["all"] = norm_of(gradients(trainer.model) + gradients(trainer.criterion))

        trainer = make_trainer(
            callbacks=[BeforeTheStep(0, look)],
            max_steps=1,
            max_grad_norm=max_grad_norm,
            per_device_train_batch_size=8 // accumulated,
            gradient_accumulation_steps=accumulated,
        )
        trainer.train()
        return seen, trainer.state.log_history[0]["grad_norm"]

    free, free_norm = train(0.0)
    assert free["own"] > 0.05 * free["all"] > 0.005  # what the objective learns counts
    assert free_norm == pytest.approx(free["all"], rel=1e-5)
    clipped, clipped_norm = train(0.01)
    assert clipped_norm == pytest.approx(free["all"], rel=1e-5)  # what is logged is the norm before clipping
    assert clipped["all"] == pytest.approx(0.01, rel=1e-3)
    assert clipped["own"] == pytest.approx(0.01 * free["own"] / free["all"], rel=1e-3)


def poison_weight(trainer):
    with torch.no_grad():
        trainer.criterion.members[1].classifier[0].weight[0, 0] = float("nan")


def poison_gradient(trainer):
    """From now on the loss is finite, and its gradient for the scale is not a number: 0 x inf."""
    trainer.criterion.members[2].scale.register_hook(lambda gradient: gradient * 0 * float("inf"))


@pytest.mark.parametrize(
    ("poison", "said"),
    [(poison_weight, "the loss is nan"), (poison_gradient, "the norm of the gradient is nan")],
)
@pytest.mark.parametrize("max_grad_norm", [0.0, 1.0])
def test_what_is_no_number_in_the_objective_stops_the_run(make_trainer, poison, said, max_grad_norm):
    options = {**SAVING, "max_steps": 6, "max_grad_norm": max_grad_norm}
    trainer = make_trainer(callbacks=[BeforeTheStep(2, lambda: poison(trainer))], **options)
    with pytest.raises(NonFiniteLossError, match=rf"step 4, before the weights changed: {said}(.|\n)*checkpoint-2, is"):
        trainer.train()
    run = Path(trainer.args.output_dir)
    assert last_complete(run) == run / "checkpoint-2"
    assert all(weight.isfinite().all() for weight in torch.load(run / "checkpoint-2" / "objective.pt").values())
    again = make_trainer(**options)
    again.train(resume_from_checkpoint=True)
    assert again.state.global_step == 6


def test_a_resumed_objective_goes_on_where_it_was(make_trainer):
    whole = make_trainer(**SAVING, max_steps=6)
    first = {name: weight.detach().clone() for name, weight in whole.criterion.named_parameters()}
    whole.train()
    resumed = make_trainer(**SAVING, max_steps=6)
    with torch.no_grad():
        for weight in resumed.criterion.parameters():
            weight.add_(1.0)  # what it starts from must not matter
    resumed.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-2"))
    assert losses(resumed)[2:] == losses(whole)[2:]
    for name, weight in resumed.criterion.named_parameters():
        assert torch.equal(weight, whole.criterion.get_parameter(name)), name
        assert not torch.equal(weight, first[name]), name
