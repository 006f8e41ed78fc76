"""Every script can be imported, and those that take arguments say which: renamed functions show here first."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "benchmarks/accuracy", "training", "model_cards", "fuzz", ".")
SCRIPTS = sorted(script for folder in FOLDERS for script in (ROOT / folder).glob("*.py"))


def takes_arguments(script):
    text = script.read_text(encoding="utf-8")
    return "ArgumentParser(" in text and "\ndef main(" in text


def load(script, monkeypatch):
    """The script's variables, as after an import from its own folder."""
    monkeypatch.syspath_prepend(str(script.parent))
    return runpy.run_path(str(script), run_name=script.stem)


def test_there_are_scripts_in_every_folder():
    found = {script.parent.relative_to(ROOT).as_posix() for script in SCRIPTS}
    assert found == set(FOLDERS)
    assert sum(map(takes_arguments, SCRIPTS)) > len(SCRIPTS) / 2


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.relative_to(ROOT).as_posix())
def test_script_imports_and_shows_its_help(script, monkeypatch, capsys):
    variables = load(script, monkeypatch)
    assert variables["__doc__"]
    if not takes_arguments(script):
        return
    monkeypatch.setattr(sys, "argv", [script.name, "--help"])
    with pytest.raises(SystemExit) as ended:
        variables["main"]()
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert shown.startswith(f"usage: {script.name}")


def test_a_script_that_imports_what_is_gone_is_found(tmp_path, monkeypatch):
    script = tmp_path / "broken.py"
    script.write_text('"""Broken."""\nfrom hf_mser.training import a_name_that_is_gone\n', encoding="utf-8")
    with pytest.raises(ImportError, match="a_name_that_is_gone"):
        load(script, monkeypatch)
