"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest
import torch

import hf_mser

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(hf_mser.__path__, "hf_mser.") if ".checkpoints" not in module.name
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str, tmp_path, monkeypatch):
    if name == "hf_mser.demo.page":
        pytest.importorskip("gradio")
    if name == "hf_mser.training.tiny.learner" and not hasattr(torch.optim, "Muon"):
        pytest.skip("the distillation needs torch 2.9 or later (torch.optim.Muon)")
    for folder in ("examples", "metrics"):
        (tmp_path / folder).symlink_to(Path(__file__).parents[1] / folder)
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert found.failed == 0
