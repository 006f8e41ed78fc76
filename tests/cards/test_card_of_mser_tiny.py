"""The embedded checkpoint's card is what its template and the results files say."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from local_hub.metadata import metadata_faults

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "model_cards"))

import mser_tiny  # noqa: E402

EVALUATED = {
    "UA": 0.5,
    "WA": 0.25,
    "n": 7,
    "classes": ["sad"],
    "source": "-",
    "seed": 0,
    "per_gender": {"female": {"n": 7, "WA": 0.5, "UA": 0.5}},
}


@pytest.fixture
def results(tmp_path) -> Path:
    for name in ("accuracy_mser_tiny.json", "accuracy_mser_tiny.md", "corpora.json"):
        shutil.copy(mser_tiny.RESULTS / name, tmp_path)
    return tmp_path


def write_evaluation(folder: Path, digest: str) -> None:
    content = {"model": {"digest": digest}, "results": [{"corpus": "nowhere", **EVALUATED}]}
    (folder / "evaluation_mser_tiny.json").write_text(json.dumps(content), encoding="utf-8")


def test_it_is_up_to_date():
    assert mser_tiny.card() == mser_tiny.CARD.read_text(encoding="utf-8"), "run `make figures`"


def test_the_hub_accepts_it():
    text = mser_tiny.CARD.read_text(encoding="utf-8")
    assert metadata_faults(text, "model") == []
    assert ModelCard(text).data.license == "cc-by-nc-sa-4.0"
    assert ModelCard(text).data.eval_results


def test_an_evaluation_of_these_weights_is_quoted_and_one_of_others_is_not(results):
    without = mser_tiny.card(results)
    write_evaluation(results, "somebody else")
    assert mser_tiny.card(results) == without
    write_evaluation(results, mser_tiny.digest_of(mser_tiny.EMBEDDED_CHECKPOINT))
    text = mser_tiny.card(results)
    assert "| nowhere | female | 7 | 50.0 | 50.0 |" in text
    assert {result.dataset_name for result in ModelCard(text).data.eval_results} == {"nowhere"}


def test_tables_of_further_benchmarks_are_taken_along(results):
    (results / "calibration_mser_tiny.md").write_text("| corpus | ECE |\n|---|---|\n| x | 3.1 |\n", encoding="utf-8")
    (results / "cost_mser_tiny.json").write_text(
        json.dumps({"wall_hours": 2.0, "cpu_hours": 3.0, "device": "a CPU", "kwh": None}), encoding="utf-8"
    )
    text = mser_tiny.card(results)
    assert "| x | 3.1 |" in text
    assert "2.00 h on a CPU" in text


def test_it_can_be_made_from_no_results_at_all(tmp_path):
    text = mser_tiny.card(tmp_path)
    assert "### Results\n\nNot measured." in text
    assert metadata_faults(text, "model") == []
