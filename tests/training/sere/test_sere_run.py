"""A SERE run from its recipe to its folder, on tones in two languages; its recipe's mistakes; its command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from hf_mser.evaluation.run import OutputFolderError
from hf_mser.training.recipe import RecipeError
from hf_mser.training.sere.recipe import load_sere_recipe
from hf_mser.training.sere.run import tasks_of, train_sere

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "training" / "recipes" / "sere.yaml"


@pytest.fixture(scope="module")
def finished(make_recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    recipe = make_recipe(folder)
    return folder, recipe, train_sere(recipe)


def test_a_debug_run_hears_the_emotions_of_another_language(finished):
    _, _, results = finished
    [entry] = results["results"]
    assert (entry["source"], entry["corpus"], entry["n"]) == ("anglish", "italic", 64)
    assert entry["UA"] > 0.5  # chance is 0.25


def test_the_run_folder_holds_what_repeats_it(finished):
    folder, recipe, results = finished
    [own] = (folder / "tasks").iterdir()
    assert {path.name for path in folder.iterdir()} >= {"recipe.yaml", "environment.json", "results.json", "report.md"}
    assert {path.name for path in own.iterdir()} == {
        "history.json",
        "model.safetensors",
        "embeddings_before.png",
        "embeddings_after.png",
    }
    history = json.loads((own / "history.json").read_text())
    assert history[-1]["step"] == recipe.training.steps
    assert {"loss/walk", "confident/target", "confident_accuracy/target"} <= history[-1].keys()
    assert load_file(own / "model.safetensors")["prototypes"].shape == (4, 8)
    assert json.loads((folder / "results.json").read_text())["mean"] == json.loads(json.dumps(results["mean"]))


def test_a_finished_run_is_not_run_again_and_not_overwritten(finished, make_recipe):
    folder, recipe, results = finished
    weights = folder / "tasks" / "anglish--italic" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert train_sere(recipe)["mean"] == results["mean"]
    assert weights.stat().st_mtime_ns == before
    with pytest.raises(OutputFolderError, match="another recipe"):
        train_sere(make_recipe(folder, training={"steps": 31}))


def test_inductive_tasks_hear_other_speakers_than_they_are_tested_on(make_recipe, tmp_path):
    protocol, tasks = tasks_of(make_recipe(tmp_path, data={"protocol": "sere-any-inductive"}))
    assert (protocol.name, len(tasks)) == ("sere-any-inductive", 2)
    for task in tasks:
        heard = {clip.speaker_key for clip in task.unlabelled}
        assert heard.isdisjoint(clip.speaker_key for clip in task.test)


def test_the_published_recipe_reads_and_takes_overrides():
    recipe = load_sere_recipe(RECIPE, ["seed=3", "data.target=casia", "training.steps=40"])
    assert (recipe.seed, recipe.data.target, recipe.training.steps) == (3, "casia", 40)
    assert [recipe.encoder_of(language) for language in ("en", "it", None)] == [
        "whisper-tiny.en",
        "whisper-base",
        "whisper-base",
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainig.steps=3", "Did you mean 'training'"),
        ("training.stps=3", "Did you mean 'steps'"),
        ("training.steps=0", "at least 1"),
        ("training.warm_up_steps=1000", "warm_up_steps"),
        ("heads.dropout=1.5", "dropout"),
        ("encoders.whisper-base.layer=-1", "layer"),
        ("languages.others=hubert", "languages.others is 'hubert'"),
        ("objective.0.walk=-1", "walk"),
        ("objective.0.name=contrastive", "triple_resonance"),
        ("learning_rate=1", "no key 'learning_rate'"),
    ],
)
def test_mistakes_are_named_before_anything_is_loaded(override, message):
    with pytest.raises(RecipeError, match=message):
        load_sere_recipe(RECIPE, [override])


def test_a_protocol_without_unlabelled_clips_is_an_error(make_recipe, tmp_path):
    with pytest.raises(RecipeError, match="Use sere-any"):
        tasks_of(make_recipe(tmp_path, data={"protocol": "within-corpus"}))


def test_a_language_that_nobody_listens_to_is_an_error(make_recipe, tmp_path):
    recipe = make_recipe(tmp_path)
    recipe.languages.pop("others")
    with pytest.raises(RecipeError, match="no encoder listens to 'it'"):
        recipe.encoder_of("it")


def test_the_command_says_what_is_wrong(tmp_path):
    command = [sys.executable, ROOT / "training" / "sere.py", RECIPE, f"data.root={tmp_path}", "data.source=nowhere"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("sere: ")
    assert "nowhere" in done.stderr
