"""EDRL by recipe: a classifier trained with the supervised contrast and the speaker adversary, on tones, in seconds."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny_models import save_whisper

from hf_mser import MSERForEmotionClassification, MSERSpeechProcessor
from hf_mser.cli import main
from hf_mser.evaluation.checkpoint import CheckpointPredictor
from hf_mser.evaluation.clips import Clip
from hf_mser.training.balance import identities
from hf_mser.training.collator import BatchError, EmotionCollator
from hf_mser.training.recipe import RecipeError, load_recipe, parse_recipe
from hf_mser.training.run import build_model, train_recipe

RECIPES = Path(__file__).parents[2] / "training" / "recipes"


@pytest.fixture
def classifier(content, tmp_path) -> dict:
    """The recipe of the tones for a classifier with EDRL's objectives."""
    return {
        **content,
        "model": {
            "kind": "classification",
            "speech": str(save_whisper(tmp_path / "whisper")),
            "labels": content["model"]["labels"],
            "settings": {"adapted_layers": 1, "frames_per_token": 2},
        },
        "objective": [
            {"name": "cross_entropy"},
            {"name": "supcon", "temperature": 0.2},
            {"name": "speaker_adversarial", "weight": 0.3, "schedule": "ramp", "hidden_size": 8},
        ],
        "training": {
            **content["training"],
            "max_steps": 30,
            "lr_scheduler_type": "constant",
            "eval_steps": 15,
            "save_steps": 15,
            "per_device_train_batch_size": 12,  # 2 languages x 2 emotions (each has two of its own) x 3 clips
            "languages_per_batch": 2,
            "emotions_per_batch": 2,
            "learning_rate": 1e-2,
            "report_to": "none",
        },
    }


def test_a_recipe_becomes_a_classifier_and_resumes_exactly(classifier, corpus, tmp_path, capsys):
    recipe = tmp_path / "tones.yaml"
    recipe.write_text(yaml.safe_dump(classifier), encoding="utf-8")
    assert main(["train", str(recipe)]) == 0
    printed = capsys.readouterr()
    assert "test/tones: n 8, WA" in printed.out
    assert "adapters and head" in printed.err
    run = tmp_path / "run"
    history = json.loads((run / "history.json").read_text(encoding="utf-8"))
    steps = [entry for entry in history if "loss" in entry]
    first, last = steps[0], steps[-1]
    assert last["loss/cross_entropy"] < 0.5 * first["loss/cross_entropy"]
    assert first["reversal"] == 0.0
    assert 0.9 < last["reversal"] <= 1.0
    assert all(0.0 <= entry["accuracy/speaker"] <= 1.0 for entry in steps)
    assert json.loads((run / "results.json").read_text(encoding="utf-8"))["sets"]["test/tones"]["UA"] >= 0.75

    saved = load_file(run / "model.safetensors")
    assert saved
    assert not any(name.startswith("speech_encoder.") and ".lora_" not in name for name in saved)
    head = torch.load(run / "checkpoint-30" / "objective.pt", weights_only=True)
    assert [len(bias) for name, bias in head.items() if name.endswith("classifier.3.bias")] == [3]  # speakers
    lines = [line for path in (tmp_path / "cache").rglob("*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) == 40  # every clip was encoded once

    row = json.loads((corpus / "metadata.jsonl").read_text(encoding="utf-8").splitlines()[0])
    clip = Clip("tones", row["file_name"], str(corpus / row["file_name"]), row["emotion"])
    predictor = CheckpointPredictor(str(run))
    assert predictor.pipe.task == "speech-emotion"
    scores = predictor([clip])[0].scores
    assert max(scores, key=scores.__getitem__) == row["emotion"]

    shutil.rmtree(run / "checkpoint-30")
    train_recipe(parse_recipe({**classifier, "resume": True}))
    resumed = json.loads((run / "history.json").read_text(encoding="utf-8"))
    assert [e["loss"] for e in resumed if "loss" in e] == [e["loss"] for e in steps]
    model = MSERForEmotionClassification.from_pretrained(run)
    inputs = MSERSpeechProcessor.from_pretrained(run)(audio=torch.randn(8000), sampling_rate=16_000)
    assert model(**inputs).logits.shape == (1, 4)


def test_a_generation_model_trains_with_the_same_terms(classifier, content):
    shorter = {"max_steps": 2, "eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
    accumulated = {"per_device_train_batch_size": 6, "gradient_accumulation_steps": 2}
    training = {**classifier["training"], **shorter, **accumulated}
    train_recipe(parse_recipe({**classifier, "model": content["model"], "training": training}))
    history = json.loads((Path(content["output_dir"]) / "history.json").read_text(encoding="utf-8"))
    for name in ("loss/supcon", "loss/speaker", "loss/cross_entropy"):
        assert history[0][name] > 0


def test_the_recipes_name_what_there_is():
    """Every recipe of EDRL's is valid, and its batch is the paper's 3 x 4 x 3."""
    recipe = load_recipe(RECIPES / "edrl.yaml")
    assert recipe.training["per_device_train_batch_size"] == 3 * 4 * 3
    assert recipe.training["languages_per_batch"] == 3
    assert [(term["name"], term["weight"]) for term in recipe.objective] == [
        ("cross_entropy", 1.0),
        ("supcon", 1.0),
        ("speaker_adversarial", 0.3),
    ]
    for name in ("mser_supcon", "mser_lec_spk", "mser_supcon_spk"):
        load_recipe(RECIPES / "ablation" / f"{name}.yaml")


def test_mistakes_in_a_classifiers_recipe_are_named(classifier):
    with pytest.raises(RecipeError, match="a classifier has no LLM"):
        parse_recipe({**classifier, "model": {**classifier["model"], "text": "llm"}})
    with pytest.raises(RecipeError, match="name a `speech` encoder"):
        parse_recipe({**classifier, "model": {"kind": "classification"}})
    with pytest.raises(RecipeError, match="set lora_rank in"):
        parse_recipe({**classifier, "lora": {"speech": {"r": 2}}})


def test_people_are_numbered_by_corpus_and_strangers_count_only_in_evaluation(classifier, clips):
    rows = [{"speaker": "1", "corpus": corpus, "language": "de"} for corpus in ("a", "b", "a")]
    assert identities(rows, "speaker") == {"a/1": 0, "b/1": 1}
    assert identities(rows, "language") == {"de": 0}
    _, processor = build_model(parse_recipe(classifier).model)
    labels = classifier["model"]["labels"]
    collator = EmotionCollator(processor, labels, ids={"speaker": {"s0": 7}})
    known, stranger = clips[0], clips[1]
    assert collator([known])["speaker_id"].tolist() == [7]
    assert collator([known])["labels"].tolist() == [labels.index(known["emotion"])]
    with pytest.raises(BatchError, match="speaker 's1' is new"):
        collator([known, stranger])
    assert collator.for_evaluation()([known, stranger])["speaker_id"].tolist() == [7, -100]
