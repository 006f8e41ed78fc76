"""What a run's folder says of its surroundings."""

import sys

from hf_mser.training.run_folder import environment


def test_the_command_names_no_folder_of_this_machine(tmp_path, monkeypatch):
    here = tmp_path / "project"
    here.mkdir()
    monkeypatch.chdir(here)
    words = [
        "--data",
        f"{tmp_path}/corpora/emodb",
        f"cache.folder={here}/runs/a",
        "--plain",
        "seed=1",
        "../b",
        str(here),
    ]
    monkeypatch.setattr(sys, "argv", [f"{here}/benchmarks/edrl.py", *words, "/nowhere/else/weights", "a=/nowhere/w"])
    assert environment()["command"] == (
        "edrl.py --data ../corpora/emodb cache.folder=runs/a --plain seed=1 ../b . weights a=w"
    )
