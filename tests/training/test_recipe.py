"""Recipes: what is wrong is said before anything is loaded, with the nearest valid name."""

from pathlib import Path

import pytest
import yaml

from hf_mser.training.recipe import RecipeError, load_recipe, parse_recipe

RECIPES = Path(__file__).parents[2] / "training" / "recipes"
SMALL = {
    "name": "small",
    "output_dir": "runs/small",
    "model": {"speech": "a/speech", "text": "a/text"},
    "data": {"train": [{"corpus": "emodb"}]},
    "objective": [{"name": "contrastive"}, {"name": "cross_entropy", "weight": 0.5}],
}


def changed(**changes):
    recipe = yaml.safe_load(yaml.safe_dump(SMALL))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = recipe
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = value
    return recipe


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_project_is_valid(path):
    if path.parent.name == "accelerate" or path.name in ("mser-tiny.yaml", "sere.yaml"):
        pytest.skip("not a recipe of `mser train`")
    recipe = load_recipe(path)
    assert recipe.data.train


def test_defaults_fill_what_a_recipe_leaves_out():
    recipe = parse_recipe(SMALL)
    assert recipe.model.qformer == "bert-base-uncased"
    assert recipe.data.max_seconds == 30.0
    assert recipe.data.train[0].splits == "speaker"
    assert recipe.lora.text is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modle": {}}, "Did you mean 'model'"),
        ({"model__speach": "x"}, "Did you mean 'speech'"),
        ({"data__train": [{"corpus": "emodb", "slit": "train"}]}, r"data\.train\.0.*Did you mean 'split'"),
        ({"training__learning_rat": 1.0}, "Did you mean 'learning_rate'"),
        ({"training__learning_rate": -1.0}, "at least 0"),
        ({"training__learning_rate": "fast"}, "a number"),
        ({"training__per_device_train_batch_size": 0}, "at least 1"),
        ({"training__bf16": "perhaps"}, "true or false"),
        ({"objective": [{"name": "contrastve"}]}, "Did you mean 'contrastive'"),
        ({"objective": [{"name": "contrastive", "margin": 7}]}, "cosine"),
        ({"objective": []}, "at least one"),
        ({"model__dtype": "float8"}, "float"),
        ({"model__checkpoint": "runs/x"}, "brings its backbones"),
        ({"model": {"speech": "only"}}, "checkpoint"),
        ({"data__train": []}, "at least one corpus"),
        ({"data__train": "emodb"}, "a list"),
        ({"data__max_seconds": 0.05}, "below max_seconds"),
        ({"data__augmentation": {"time_mask": 2}}, "time_mask"),
        ({"data__augmentation": {"tme_mask": 0.1}}, "Did you mean 'time_mask'"),
        ({"lora": {"text": {"r": 0}}}, r"lora\.text"),
        ({"cache": {"max_gigabytes": 0}}, "above 0"),
        ({"resume": "yes please"}, "true or false"),
    ],
)
def test_mistakes_are_named_with_the_place_and_a_cure(changes, message):
    with pytest.raises(RecipeError, match=message):
        parse_recipe(changed(**changes))


def test_a_missing_key_is_named():
    with pytest.raises(RecipeError, match="`data` is missing"):
        parse_recipe({key: value for key, value in SMALL.items() if key != "data"})


def test_overrides_reach_every_place(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    recipe = load_recipe(
        path,
        [
            "learning_rate=1e-4",
            "output_dir=elsewhere",
            "data.train.0.split=train",
            "objective.0.margin=0.1",
            "cache.folder=frames",
            "lora.text.r=4",
            "resume=true",
        ],
    )
    assert recipe.training["learning_rate"] == 1e-4
    assert recipe.output_dir == "elsewhere"
    assert recipe.data.train[0].split == "train"
    assert recipe.objective[0]["margin"] == 0.1
    assert recipe.cache.folder == "frames"
    assert recipe.lora.text.r == 4
    assert recipe.resume is True


def test_a_bare_no_is_a_strategy_and_not_false():
    recipe = parse_recipe(changed(training__eval_strategy=yaml.safe_load("no")))
    assert recipe.training["eval_strategy"] == "no"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("learnin_rate=1", "Did you mean 'learning_rate'"),
        ("learning_rate", "key=value"),
        ("data.train.7.split=x", "no place"),
        ("data.train.first.split=x", "no place"),
    ],
)
def test_impossible_overrides_are_errors(tmp_path, override, message):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        load_recipe(path, [override])


def test_a_recipe_extends_another(tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(changed(training__seed=7)), encoding="utf-8")
    (tmp_path / "more.yaml").write_text("extends: base.yaml\nname: more\ntraining: {max_steps: 3}\n", encoding="utf-8")
    recipe = load_recipe(tmp_path / "more.yaml")
    assert (recipe.name, recipe.training) == ("more", {"seed": 7, "max_steps": 3})


def test_a_circle_of_recipes_is_an_error(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="extends itself"):
        load_recipe(tmp_path / "a.yaml")


def test_a_missing_recipe_names_its_neighbours(tmp_path):
    (tmp_path / "stage1.yaml").write_text("{}", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"stage1\.yaml"):
        load_recipe(tmp_path / "stage_1.yaml")


@pytest.mark.parametrize("content", ["[1, 2]", "name: [", "just words"])
def test_files_that_are_no_recipe_are_errors(tmp_path, content):
    (tmp_path / "wrong.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError):
        load_recipe(tmp_path / "wrong.yaml")
