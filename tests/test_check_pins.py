"""Pins that contradict the bounds, or what is installed, are found; the project's own are right."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".ci"))

from check_pins import CONSTRAINTS, problems, read_pins  # noqa: E402


def test_what_agrees_is_quiet():
    pins = read_pins("# tried\nA_b==1.2\n\ntorch==2.13.0  # large\n")
    assert pins == {"a-b": "1.2", "torch": "2.13.0"}
    assert problems(pins, ["a.b>=1", "torch>=2.6", "hf-mser[train]"], {"torch": "2.13.0+cpu"}) == []


def test_each_contradiction_is_named_once():
    found = problems({"a": "1.0", "c": "2.0"}, ["a>=1.5", "b", "b>=2; extra == 'x'"], {"c": "2.1"})
    assert found == [
        "a==1.0 is outside of >=1.5: change pyproject.toml or the pin.",
        "b is a dependency and has no pin: add it to constraints.txt.",
        "c 2.1 is installed and 2.0 is pinned: install with -c constraints.txt.",
    ]


def test_the_projects_own_dependencies_are_pinned_within_their_bounds():
    tomllib = pytest.importorskip("tomllib")

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    named = [*project["dependencies"], *(requirement for extra in extras for requirement in extra)]
    assert problems(read_pins(CONSTRAINTS.read_text(encoding="utf-8")), named, {}) == []
