"""Packages that a recipe wants and that are not there are named at once, with a way out."""

import importlib.util

import pytest
import yaml
from test_recipe import SMALL, changed

from hf_mser.cli import main
from hf_mser.training.preflight import missing_packages
from hf_mser.training.recipe import parse_recipe


@pytest.fixture
def without(monkeypatch):
    """A function that hides a package, as if it were not installed."""
    find = importlib.util.find_spec

    def hide(package):
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest)
        )

    return hide


@pytest.mark.parametrize(
    ("package", "changes", "words"),
    [
        ("bitsandbytes", {"model__quantization": "4bit"}, "model.quantization=4bit needs bitsandbytes"),
        ("peft", {"lora": {"text": {"r": 4}}}, "lora needs peft"),
        ("tensorboard", {}, "report_to needs tensorboard"),
        ("deepspeed", {"training__deepspeed": "zero2.json"}, "DeepSpeed needs deepspeed"),
    ],
)
def test_what_is_missing_is_named(without, package, changes, words):
    recipe = parse_recipe(changed(**changes))
    without(package)
    assert [line for line in missing_packages(recipe) if line.startswith(words)]


def test_what_a_recipe_does_not_want_is_not_missed(without):
    without("bitsandbytes")
    recipe = parse_recipe(changed(training__report_to="none"))
    assert missing_packages(recipe) == []


def test_the_command_says_so_before_it_loads_anything(without, tmp_path, capsys):
    without("bitsandbytes")
    recipe = tmp_path / "small.yaml"
    recipe.write_text(yaml.safe_dump({**SMALL, "model": {**SMALL["model"], "quantization": "4bit"}}), encoding="utf-8")
    assert main(["train", str(recipe), "report_to=none"]) == 2
    said = capsys.readouterr().err
    assert "pip install bitsandbytes, or give model.quantization=null" in said
