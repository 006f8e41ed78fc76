"""What people do with a `Trainer`: search hyper-parameters, push to the Hub, stop early, quantise."""

import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from test_trainer import arguments
from transformers import EarlyStoppingCallback

from hf_mser.training.adapters import counted_as_adapter
from hf_mser.training.trainer import MSERTrainer


@pytest.fixture
def make_trainer(make_model, clips, tmp_path):
    def make(folder="run", **options):
        extras = {name: options.pop(name) for name in ("callbacks", "model_init") if name in options}
        model, processor = make_model()
        return MSERTrainer(
            None if "model_init" in extras else model,
            arguments(tmp_path / folder, **options),
            train_dataset=clips,
            eval_dataset=clips[:12],
            processing_class=processor,
            **extras,
        )

    return make


def test_a_search_varies_arguments_and_the_objective(make_trainer, make_model):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seen = []

    def space(trial):
        weight = trial.suggest_categorical("weight", [0.0, 1.0])
        return {
            "learning_rate": trial.suggest_categorical("learning_rate", [0.0, 3e-3]),
            "objective": [{"name": "contrastive", "weight": weight}, {"name": "cross_entropy"}],
        }

    def remember(metrics):
        log = trainer.state.log_history
        first = next(entry for entry in log if "loss" in entry)
        seen.append((trainer.args.learning_rate, trainer.criterion.weights[0], first["loss"], metrics["eval_loss"]))
        return metrics["eval_loss"]

    trainer = make_trainer(model_init=lambda trial: make_model()[0], max_steps=4, eval_strategy="steps", eval_steps=4)
    best = trainer.hyperparameter_search(
        hp_space=space,
        compute_objective=remember,
        n_trials=4,
        direction="minimize",
        backend="optuna",
        sampler=optuna.samplers.GridSampler({"learning_rate": [0.0, 3e-3], "weight": [0.0, 1.0]}),
    )
    last = {(rate, weight): (first, end) for rate, weight, first, end in seen}
    assert set(last) == {(rate, weight) for rate in (0.0, 3e-3) for weight in (0.0, 1.0)}
    assert best.objective == min(end for _, end in last.values())
    assert best.hyperparameters["learning_rate"] == 3e-3
    for weight in (0.0, 1.0):  # every trial started from the same fresh weights
        assert last[0.0, weight][0] == pytest.approx(last[3e-3, weight][0])
    assert last[0.0, 1.0][0] > last[0.0, 0.0][0] + 0.01  # the contrastive part is there where its weight is


def test_early_stopping_ends_a_run_that_gains_nothing(make_trainer):
    trainer = make_trainer(
        max_steps=12,
        learning_rate=0.0,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        load_best_model_at_end=True,
        callbacks=[EarlyStoppingCallback(early_stopping_patience=2)],
    )
    trainer.train()
    assert trainer.state.global_step == 3
    assert trainer.state.best_global_step == 1


PULL = """
import sys, torch
from hf_mser import MSERForEmotionGeneration, MSERProcessor
model = MSERForEmotionGeneration.from_pretrained("org/mine")
MSERProcessor.from_pretrained("org/mine")
torch.save(model.connector.state_dict(), "connector.pt")
"""


def test_a_recipe_pushes_a_model_that_loads_with_its_card_and_figures(content, local_hub, tmp_path):
    recipe = tmp_path / "tones.yaml"
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    command = [sys.executable, "-m", "hf_mser.cli", "train", str(recipe), "push_to_hub=true", "hub_model_id=org/mine"]
    local_hub.run(command, tmp_path / "trains", local_hub.WRITER)
    files = local_hub.store.files("model", "org/mine")
    assert {"config.json", "model.safetensors", "modeling_mser.py", "results.json", "plots/losses.png"} <= set(files)
    assert not any(name.startswith("checkpoint-") for name in files)
    assert b"| test/tones | 8 |" in files["README.md"]
    local_hub.python(PULL, tmp_path / "loads")
    sent = load_file(tmp_path / "run" / "model.safetensors")
    fetched = torch.load(tmp_path / "loads" / "connector.pt")
    assert {f"connector.{name}" for name in fetched} == set(sent)
    assert all(torch.equal(sent[f"connector.{name}"], fetched[name]) for name in fetched)


def test_a_card_that_the_run_wrote_stays(make_trainer):
    trainer = make_trainer(max_steps=1)
    trainer.train()
    card = Path(trainer.args.output_dir) / "README.md"
    trainer.create_model_card()
    assert "generated_from_trainer" in card.read_text(encoding="utf-8")
    card.write_text("---\ntags: [hf-mser]\n---\nOurs.\n", encoding="utf-8")
    trainer.create_model_card(model_name="theirs")
    assert "Ours." in card.read_text(encoding="utf-8")


def test_a_quantised_model_counts_as_adapted_only_while_the_trainer_is_built(make_model):
    model, _ = make_model()
    with counted_as_adapter(model):
        assert not getattr(model, "_hf_peft_config_loaded", False)  # not quantised: nothing to do
    model.is_quantized = True
    with counted_as_adapter(model):
        assert model._hf_peft_config_loaded
    assert not model._hf_peft_config_loaded
    model.connector.requires_grad_(False)
    with counted_as_adapter(model):
        assert not model._hf_peft_config_loaded  # nothing learns: Trainer is right to refuse
