"""Comparing arms over seeds: means, intervals over speakers, paired differences, and runs that are not repeated."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import ablation
import arms
import edrl_generation
from arms import Budget, accuracy, cell, difference, points, run

EMOTIONS = ("happy", "sad")


def answers(right_of_speaker, clips=20):
    """A run whose speakers are answered rightly in the given share of their clips of each emotion."""
    lines = []
    for speaker, right in right_of_speaker.items():
        for emotion in EMOTIONS:
            other = EMOTIONS[emotion == EMOTIONS[0]]
            for number in range(clips):
                label = emotion if number < right * clips else other
                lines.append(
                    {
                        "set": "test/x",
                        "reference": emotion,
                        "label": label,
                        "speaker": f"x/{speaker}",
                        "corpus": "x",
                        "scores": dict.fromkeys(EMOTIONS, 0.5),
                    }
                )
    return {"test/x": lines}


def test_accuracy_is_the_mean_of_the_seeds():
    runs = [answers({"anna": 0.5, "bert": 0.7}), answers({"anna": 0.9, "bert": 0.7})]
    found = accuracy(runs, ["test/x"])
    assert found["seeds"] == pytest.approx([0.6, 0.8])
    assert found["UA"] == pytest.approx(0.7)
    assert found["deviation"] == pytest.approx(np.std([0.6, 0.8], ddof=1))
    # Drawn speakers are (anna, anna), (anna, bert) or (bert, bert): seeds averaged, each gives 0.7.
    assert found["interval"] == pytest.approx((0.7, 0.7))


def test_a_difference_is_paired_by_speaker():
    """Speakers differ widely, but the second is better by a tenth for each: the difference has no spread."""
    first = [answers({"anna": 0.1, "bert": 0.9, "carl": 0.5})]
    second = [answers({"anna": 0.2, "bert": 1.0, "carl": 0.6})]
    found = difference(first, second, ["test/x"])
    assert found["UA"] == pytest.approx(0.1)
    assert found["interval"] == pytest.approx((0.1, 0.1))
    assert accuracy(first, ["test/x"])["interval"][1] - accuracy(first, ["test/x"])["interval"][0] > 0.3


def test_figures_are_shown_in_per_cent():
    assert cell({"UA": 0.5, "deviation": 0.012, "interval": (0.45, 0.551)}) == "50.0 ± 1.2 (45.0–55.1)"
    assert cell({"UA": 0.5, "deviation": None, "interval": None}) == "50.0"
    assert points({"UA": 0.015, "interval": (-0.01, 0.04)}) == "+1.5 (-1.0 to +4.0)"


def test_a_run_that_is_done_is_read_and_not_repeated(tmp_path):
    lines = answers({"anna": 1.0})["test/x"]
    (tmp_path / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")
    assert run(tmp_path / "no-such-recipe.yaml", tmp_path, []) == {"test/x": lines}


def test_a_budget_without_minutes_is_never_spent():
    assert not Budget(None).is_spent()
    assert Budget(0).is_spent()


def test_the_runs_that_two_tables_share_follow_one_recipe(monkeypatch, tmp_path):
    """A run is done once for both: so the first of them must ask for the very recipe that the second would."""
    recipes = []
    monkeypatch.setattr(arms, "train_recipe", recipes.append)
    for module in (ablation, edrl_generation):
        monkeypatch.setattr(
            sys, "argv", [module.__file__, "--shared", "data", "--folder", str(tmp_path), "--seeds", "1"]
        )
        monkeypatch.setattr(module, "write", lambda *_: None)
        monkeypatch.setattr(arms, "read_answers", lambda folder: answers({"anna": 0.5}))
        module.main()
    named = [{Path(recipe.output_dir).name: recipe for recipe in part} for part in (recipes[:6], recipes[6:])]
    shared = named[0].keys() & named[1].keys()
    assert shared == {"mser-0", "mser_lec-0"}
    assert all(named[0][name] == named[1][name] for name in shared)
