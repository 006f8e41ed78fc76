"""The Trainer with its usual idioms, and what it adds: one objective over the whole optimiser step."""

import copy

import pytest
import torch

from hf_mser.objectives import CrossEntropy, IdleObjectiveWarning, SpeakerAdversary
from hf_mser.training.arguments import MSERTrainingArguments, TrainingArgumentsError
from hf_mser.training.trainer import MSERTrainer


def arguments(folder, **options):
    settings = {
        "per_device_train_batch_size": 8,
        "max_steps": 4,
        "learning_rate": 1e-3,
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 3,
        **options,
    }
    return MSERTrainingArguments(output_dir=str(folder), **settings)


MEASURED = ("reader_weight", "reader_bias", "trait_weight", "speaker_middles", "speaker_offsets")
"""What a new connector measures for adaptation."""


def losses(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.fixture
def train(make_model, clips, tmp_path):
    def run(folder="run", *, model_options=None, trainer_options=None, resume=None, **options):
        model, processor = make_model(**(model_options or {}))
        trainer = MSERTrainer(
            model,
            arguments(tmp_path / folder, **options),
            train_dataset=clips,
            eval_dataset=clips[:12],
            processing_class=processor,
            **(trainer_options or {}),
        )
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    return run


def test_only_the_connector_learns(make_model, clips, tmp_path):
    model, processor = make_model()
    before = copy.deepcopy(model.state_dict())
    trainer = MSERTrainer(model, arguments(tmp_path), train_dataset=clips, processing_class=processor)
    trainer.train()
    after = model.state_dict()
    changed = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert changed
    assert {name for name in after if name not in before} == {f"connector.{name}" for name in MEASURED}
    assert all(name.startswith("connector.") for name in changed)
    assert sum(p.numel() for group in trainer.optimizer.param_groups for p in group["params"]) == sum(
        p.numel() for p in model.connector.parameters()
    )


def test_what_was_fitted_to_the_answers_is_dropped_when_training_begins(make_model, clips, tmp_path):
    model, processor = make_model()
    model.config.label_bias, model.config.temperature = [0.5] * len(model.config.labels), 2.0
    trainer = MSERTrainer(model, arguments(tmp_path, max_steps=1), train_dataset=clips, processing_class=processor)
    assert model.config.label_bias
    trainer.train()
    assert (model.config.label_bias, model.config.temperature) == (None, 1.0)


def test_what_is_measured_beforehand_leaves_the_run_as_it_was(train):
    """Not a random number is drawn, and the Q-Former hears nothing else."""
    assert losses(train("with", adaptation_clips=40)) == losses(train("without", adaptation_clips=0))


def test_the_loss_falls_and_its_parts_are_logged(train):
    trainer = train(max_steps=40, learning_rate=3e-3, eval_strategy="steps", eval_steps=20)
    curve = losses(trainer)
    assert sum(curve[-5:]) < 0.8 * sum(curve[:5])
    first = trainer.state.log_history[0]
    assert first["loss"] == pytest.approx(first["loss/contrastive"] + first["loss/cross_entropy"], abs=1e-5)
    assert first["loss/contrastive"] == pytest.approx(first["loss/positive"] + first["loss/negative"], abs=1e-6)
    steps = [entry for entry in trainer.state.log_history if "loss" in entry]
    gaps = [entry["similarity/positive"] - entry["similarity/negative"] for entry in steps]
    assert sum(gaps[-10:]) > sum(gaps[:10])
    evaluations = [entry for entry in trainer.state.log_history if "eval_UA" in entry]
    assert len(evaluations) == 2
    assert {"eval_WA", "eval_WF1", "eval_precision", "eval_macro_F1", "eval_loss"} <= set(evaluations[-1])


def test_evaluation_scores_the_words_as_the_model_does(train, clips):
    trainer = train(max_steps=2)
    answers = trainer.predict(clips[:6])
    batch = trainer.data_collator(clips[:6])
    scores = trainer.model.score_emotions(batch["input_features"], input_features_mask=batch["input_features_mask"])
    torch.testing.assert_close(torch.tensor(answers.predictions), scores, atol=1e-5, rtol=0)
    assert answers.label_ids.tolist() == [0, 1, 2, 3, 0, 1]
    right = (scores.argmax(1) == batch["emotion_id"]).float().mean().item()
    assert answers.metrics["test_WA"] == pytest.approx(right)


def test_evaluation_has_no_dropout_in_what_the_objective_learns(train):
    objective = CrossEntropy() + SpeakerAdversary(hidden_size=8, dropout=0.5)
    trainer = train(max_steps=1, trainer_options={"objective": objective})
    first, second = (trainer.evaluate()["eval_loss"] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("accumulated", [2, 4])
def test_accumulated_batches_equal_the_large_batch(train, accumulated):
    """Without dropout the gradient, and so every weight after several steps, must be that of one large batch."""
    no_dropout = {
        "qformer_config": {
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "statistics_dropout": 0.0,
        }
    }
    # A tiny random encoder's frames hardly vary: dividing by their deviation would magnify rounding.
    plain = {"optim": "sgd", "learning_rate": 0.01, "max_grad_norm": 0.0, "standardize_clips": 0, "max_steps": 2}
    options = {"model_options": no_dropout, **plain}
    large = train("large", per_device_train_batch_size=16, **options)
    small = train(
        "small", per_device_train_batch_size=16 // accumulated, gradient_accumulation_steps=accumulated, **options
    )
    assert losses(small) == pytest.approx(losses(large), rel=1e-5)
    for (name, a), (_, b) in zip(large.model.named_parameters(), small.model.named_parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4, msg=name)


def test_cached_gradients_draw_the_same_dropout_twice(train):
    """The first pass and the second must see one and the same network, or the cached gradient is of another."""
    trainer = train(per_device_train_batch_size=4, gradient_accumulation_steps=2, max_steps=1)
    batches = [trainer.data_collator(trainer.train_dataset[i : i + 4]) for i in (0, 4)]
    trainer.model.train()
    trainer._step_batches, trainer._prepared, trainer._step, trainer._position = batches, {}, None, 0
    first_pass = []
    embed = trainer._embed

    def remember(model, batch):
        first_pass.append(embed(model, batch))
        return first_pass[-1]

    trainer._embed = remember
    for position, batch in enumerate(batches):
        _, outputs = trainer.compute_loss(trainer.model, trainer._prepare_inputs(batch), return_outputs=True)
        torch.testing.assert_close(outputs.speech_embeds, first_pass[position]["speech_embeds"])


def test_frozen_features_change_nothing_but_the_time(train, tmp_path):
    from hf_mser.training.features import FrozenFeatureCache

    options = {"max_steps": 12, "learning_rate": 1e-4, "standardize_clips": 0}
    plain = train("plain", **options)
    cache = FrozenFeatureCache(tmp_path / "cache", "tiny")
    cold = train("cold", **options, trainer_options={"feature_cache": cache})
    assert len(cache) == 40
    misses = cache.misses
    warm = train("warm", **options, trainer_options={"feature_cache": cache})
    assert cache.misses == misses
    assert losses(cold) == pytest.approx(losses(plain), rel=1e-5)
    assert losses(warm) == pytest.approx(losses(plain), rel=1e-5)


def test_the_best_model_comes_back_at_the_end(train):
    trainer = train(
        max_steps=6,
        learning_rate=3e-3,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
    )
    scores = [entry["eval_UA"] for entry in trainer.state.log_history if "eval_UA" in entry]
    assert trainer.state.best_metric == max(scores)
    assert trainer.evaluate()["eval_UA"] == pytest.approx(max(scores))


def test_callbacks_and_model_init_work_as_in_any_trainer(make_model, clips, tmp_path):
    from transformers import TrainerCallback

    steps = []

    class Count(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            steps.append(state.global_step)
            control.should_training_stop = state.global_step == 3

    _, processor = make_model()
    trainer = MSERTrainer(
        args=arguments(tmp_path),
        model_init=lambda trial: make_model()[0],
        train_dataset=clips,
        processing_class=processor,
        callbacks=[Count()],
    )
    trainer.train()
    assert steps == [1, 2, 3]


def test_plain_sampling_is_there_for_those_who_want_it(train):
    with pytest.warns(IdleObjectiveWarning):  # unbalanced batches of two have no pair of one emotion, or no other
        trainer = train(balanced_batches=False, per_device_train_batch_size=2, max_steps=20)
    assert len(losses(trainer)) == 20


def test_a_datasets_dataset_trains_too(make_model, clips, tmp_path):
    import datasets

    table = datasets.Dataset.from_list([{**row, "audio": row["audio"]["path"]} for row in clips])
    table = table.class_encode_column("emotion").cast_column("audio", datasets.Audio(decode=False))
    model, processor = make_model()
    trainer = MSERTrainer(model, arguments(tmp_path), train_dataset=table, processing_class=processor)
    batch = trainer.data_collator([table[0], table[1]])
    assert [model.config.labels[i] for i in batch["emotion_id"]] == [clips[0]["emotion"], clips[1]["emotion"]]
    trainer.train()
    assert len(losses(trainer)) == 4


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"per_device_train_batch_size": 16}, (4, 4)),
        ({"per_device_train_batch_size": 8}, (4, 2)),
        ({"per_device_train_batch_size": 6}, (3, 2)),
        ({"per_device_train_batch_size": 4, "gradient_accumulation_steps": 6}, (4, 6)),
        ({"per_device_train_batch_size": 12, "emotions_per_batch": 2}, (2, 6)),
        ({"per_device_train_batch_size": 36, "languages_per_batch": 3}, (4, 3)),
    ],
)
def test_the_batch_shape_follows_from_the_batch_size(tmp_path, options, shape):
    assert arguments(tmp_path, **options).batch_shape(4) == shape


@pytest.mark.parametrize(
    "options",
    [
        {"per_device_train_batch_size": 2},
        {"per_device_train_batch_size": 7},
        {"per_device_train_batch_size": 16, "emotions_per_batch": 3},
        {"per_device_train_batch_size": 16, "languages_per_batch": 3},
    ],
)
def test_a_batch_without_contrast_is_an_error_with_a_cure(tmp_path, options):
    with pytest.raises(TrainingArgumentsError, match="Use a multiple of"):
        arguments(tmp_path, **options).batch_shape(4)
