"""What people do with a `Trainer`: search hyper-parameters, push to the Hub, stop early, quantise."""

from pathlib import Path

import pytest
import torch
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


PUSH = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
from test_trainer import arguments
from hf_mser import MSERForEmotionGeneration, MSERProcessor
from hf_mser.training import MSERTrainer

model = MSERForEmotionGeneration.from_pretrained("model")
processor = MSERProcessor.from_pretrained("model")
clips = pickle.load(open("clips.pkl", "rb"))
options = {"push_to_hub": True, "hub_model_id": "org/mine", "save_strategy": "steps", "save_steps": 2}
trainer = MSERTrainer(
    model, arguments("run", **options), train_dataset=clips, eval_dataset=clips[:8], processing_class=processor
)
trainer.train()
trainer.push_to_hub(commit_message="done")
import torch
torch.save(trainer.model.connector.state_dict(), "connector.pt")
"""

PULL = """
import sys, torch
from hf_mser import MSERForEmotionGeneration, MSERProcessor
model = MSERForEmotionGeneration.from_pretrained("org/mine")
MSERProcessor.from_pretrained("org/mine")
torch.save(model.connector.state_dict(), "connector.pt")
"""


def test_push_to_hub_puts_a_model_there_that_loads(make_model, clips, local_hub, tmp_path):
    import pickle

    model, processor = make_model()
    home = tmp_path / "trains"
    model.save_pretrained(home / "model")
    processor.save_pretrained(home / "model")
    (home / "clips.pkl").write_bytes(pickle.dumps(clips))
    local_hub.python(PUSH, home, local_hub.WRITER, str(Path(__file__).parent))
    files = local_hub.store.files("model", "org/mine")
    assert {"README.md", "config.json", "model.safetensors", "modeling_mser.py", "training_args.bin"} <= set(files)
    assert not any(name.startswith("checkpoint-") for name in files)
    assert b"generated_from_trainer" in files["README.md"]
    local_hub.python(PULL, tmp_path / "loads")
    sent, fetched = (torch.load(tmp_path / folder / "connector.pt") for folder in ("trains", "loads"))
    assert sent.keys() == fetched.keys()
    assert all(torch.equal(sent[name], fetched[name]) for name in sent)


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
