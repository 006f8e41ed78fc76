"""`mser train`: from a recipe to a run folder whose model loads, with LoRA, two stages and a dry run."""

import json
import shutil

import pytest
import torch
import yaml

from hf_mser.cli import main
from hf_mser.errors import MSERError
from hf_mser.modeling_mser import MSERForEmotionGeneration
from hf_mser.processing_mser import MSERProcessor
from hf_mser.training.recipe import RecipeError, parse_recipe
from hf_mser.training.run import train_recipe


def test_a_recipe_becomes_a_run_folder_and_a_model(content, tmp_path, capsys):
    recipe = tmp_path / "tones.yaml"
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert main(["train", str(recipe), "seed=5"]) == 0
    printed = capsys.readouterr()
    assert "test/tones: n 8, WA" in printed.out
    assert "parameters" in printed.err
    run = tmp_path / "run"
    for name in ("recipe.yaml", "environment.json", "data.json", "history.json", "README.md", "model.safetensors"):
        assert (run / name).is_file(), name
    for name in ("losses", "embeddings_before", "embeddings_after"):
        assert (run / "plots" / f"{name}.png").stat().st_size > 1000
    assert list(run.rglob("events.out.tfevents*"))
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert results["seed"] == 5
    entry = results["sets"]["test/tones"]
    assert entry["n"] == 8
    assert sum(map(sum, entry["confusion"])) == 8
    data = json.loads((run / "data.json").read_text(encoding="utf-8"))
    assert data["train"]["clips"] == 24
    assert data["train"]["emotions"] == {"neutral": 6, "happy": 6, "sad": 6, "angry": 6}
    card = (run / "README.md").read_text(encoding="utf-8")
    row = next(line for line in card.splitlines() if line.startswith("| test/tones | 8 "))
    for name in ("UA", "WA", "WF1", "ECE"):
        assert f"| {100 * entry[name]:.1f} |" in row
    assert "### Languages" in card
    assert "### Women and men" not in card  # nobody said who is who
    assert "objective: 1 × contrastive, 1 × cross_entropy, 4 steps" in card
    assert "CPU hours. The energy was not measured." in card
    model = MSERForEmotionGeneration.from_pretrained(run)
    inputs = MSERProcessor.from_pretrained(run)(audio=torch.randn(8000), sampling_rate=16_000)
    assert model.score_emotions(**inputs).shape == (1, 4)

    again = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    parse_recipe(again)  # what was run can be run again


def test_a_dry_run_prints_the_cost_and_touches_nothing(content, tmp_path, capsys):
    recipe = tmp_path / "tones.yaml"
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert main(["train", str(recipe), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    for word in ("parameters", "memory", "compute", "train 24 clips"):
        assert word in printed
    assert not (tmp_path / "run").exists()


def test_a_recipe_for_a_gpu_is_checked_without_one(content, tmp_path, capsys):
    content["training"] = {"per_device_train_batch_size": 8, "bf16": True, "max_steps": 4}
    content["model"] |= {"dtype": "bfloat16", "quantization": "4bit"}
    recipe = tmp_path / "tones.yaml"
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert main(["train", str(recipe), "--dry-run", "max_steps=7"]) == 0  # overrides may follow the option
    assert "compute      7 steps" in capsys.readouterr().out


def test_an_unknown_option_is_no_override(capsys):
    with pytest.raises(SystemExit):
        main(["train", "tones.yaml", "--dry-run", "--dryrun"])
    assert "unrecognized arguments: --dryrun" in capsys.readouterr().err


def test_a_mistake_in_a_recipe_is_status_two(content, tmp_path, capsys):
    recipe = tmp_path / "tones.yaml"
    recipe.write_text(yaml.safe_dump({**content, "objectiv": []}), encoding="utf-8")
    assert main(["train", str(recipe)]) == 2
    assert "Did you mean 'objective'" in capsys.readouterr().err


def test_the_second_stage_starts_from_the_first(content, tmp_path):
    content["training"] |= {"max_steps": 2, "load_best_model_at_end": False}
    train_recipe(parse_recipe(content))
    first = MSERForEmotionGeneration.from_pretrained(tmp_path / "run")
    content["model"] = {"checkpoint": str(tmp_path / "run")}
    content["output_dir"] = str(tmp_path / "stage2")
    content["training"] |= {"max_steps": 1, "learning_rate": 0.0}
    train_recipe(parse_recipe(content))
    second = MSERForEmotionGeneration.from_pretrained(tmp_path / "stage2")
    for (name, a), (_, b) in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_lora_trains_is_saved_small_and_folds_into_a_plain_model(content, tmp_path):
    from safetensors.torch import load_file

    content["lora"] = {"text": {"r": 2, "targets": ["q_proj", "v_proj"]}, "speech": {"r": 2}}
    content["training"] |= {"load_best_model_at_end": False}
    train_recipe(parse_recipe(content))
    saved = load_file(tmp_path / "run" / "checkpoint-4" / "model.safetensors")
    adapters = [name for name in saved if "lora_" in name]
    assert any(name.startswith("text_model.") for name in adapters)
    assert any(name.startswith("speech_encoder.") for name in adapters)
    assert all("lora_" in name or name.startswith("connector.") for name in saved)
    assert any(saved[name].any() for name in adapters if "lora_B" in name)
    folded = MSERForEmotionGeneration.from_pretrained(tmp_path / "run")
    assert not any("lora_" in name or "base_layer" in name for name in folded.state_dict())

    whole = json.loads((tmp_path / "run" / "history.json").read_text(encoding="utf-8"))
    shutil.rmtree(tmp_path / "run" / "checkpoint-4")
    train_recipe(parse_recipe({**content, "resume": True}))
    resumed = json.loads((tmp_path / "run" / "history.json").read_text(encoding="utf-8"))
    assert [e["loss"] for e in resumed if "loss" in e] == [e["loss"] for e in whole if "loss" in e]


def test_augmentation_with_variants_uses_the_cache_and_without_does_not(content, tmp_path):
    content["data"]["augmentation"] = {"gain_db": 6.0, "noise_db": 20.0, "time_mask": 0.1, "variants": 2}
    content["training"] |= {"load_best_model_at_end": False, "eval_strategy": "no", "save_strategy": "no"}
    content["data"] |= {"validation": [], "test": []}
    content["training"] |= {"max_steps": 12, "standardize_clips": 0}
    train_recipe(parse_recipe(content))
    lines = [line for path in (tmp_path / "cache").rglob("*.jsonl") for line in path.read_text().splitlines()]
    clips = [json.loads(line)["clip"] for line in lines]
    variants = [clip for clip in clips if clip.count("-") == 2]
    assert 24 < len(variants) <= 48
    assert len(set(variants)) == len(variants)


def test_shared_speakers_are_refused_unless_the_protocol_wants_them(content):
    content["data"]["test"] = [{"corpus": content["data"]["train"][0]["corpus"], "split": "train"}]
    with pytest.raises(RecipeError, match=r"3 speakers are in train and in tones.*allow_shared_speakers"):
        train_recipe(parse_recipe(content), dry_run=True)


def test_emotions_that_the_model_lacks_are_named(content):
    content["model"]["labels"] = ["neutral", "happy", "sad"]
    with pytest.raises(RecipeError, match=r"tones has the emotion 'angry'"):
        train_recipe(parse_recipe(content), dry_run=True)
    content["data"] = {key: [{**s, "emotions": ["neutral", "happy"]} for s in v] for key, v in content["data"].items()}
    train_recipe(parse_recipe(content), dry_run=True)


def test_a_batch_that_cannot_be_is_said_before_loading(content):
    content["training"]["per_device_train_batch_size"] = 7
    with pytest.raises(MSERError, match="Use a multiple of"):
        train_recipe(parse_recipe(content), dry_run=True)


def test_a_first_stage_that_is_not_there_is_named(content, tmp_path):
    content["model"] = {"checkpoint": str(tmp_path / "missing")}
    with pytest.raises(RecipeError, match="Train that stage first"):
        train_recipe(parse_recipe(content), dry_run=True)
