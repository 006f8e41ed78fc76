"""Model cards: valid for the Hub, and every figure is the results file's."""

import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from local_hub.metadata import metadata_faults
from tiny_models import tiny_config

from hf_mser.cards.model_card import ModelFacts, model_card
from hf_mser.cards.results import entries_of
from hf_mser.cards.run_card import cost_text, is_run_folder, run_facts

ENTRY = {
    "corpus": "emodb",
    "source": "-",
    "seed": 0,
    "language": "de",
    "n": 200,
    "speakers": 10,
    "classes": ["happy", "sad"],
    "UA": 0.6123,
    "WA": 0.655,
    "WF1": 0.6,
    "ECE": 0.081,
    "intervals": {"UA": [0.55, 0.68]},
    "recall": {"happy": 0.5, "sad": 0.7246},
    "per_language": {"de": {"n": 200, "UA": 0.6123, "WA": 0.655, "WF1": 0.6}},
    "per_gender": {"female": {"n": 120, "UA": 0.65, "WA": 0.66}, "male": {"n": 80, "UA": 0.55, "WA": 0.64}},
}
ZERO_SHOT = {
    "corpora": {
        "urdu": {
            "clips": 400,
            "classes": ["sad"],
            "UA": {"without": {"own_classes": 41.5, "interval_95": [34.1, 50.5]}},
        }
    }
}


def facts(**changes) -> ModelFacts:
    known = {
        "name": "mine",
        "description": "A model.",
        "config": tiny_config().to_dict(),
        "licence": "cc-by-4.0",
        "training_data": "clips",
        "data_terms": "terms",
        "procedure": "steps",
        "languages": ["de"],
        "entries": [ENTRY],
    }
    return ModelFacts(**{**known, **changes})


def test_a_card_is_valid_and_its_model_index_holds_the_figures():
    text = model_card(facts(), "org/mine")
    assert metadata_faults(text, "model") == []
    data = ModelCard(text).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("cc-by-4.0", "transformers", "audio-classification")
    found = {result.metric_type: result for result in data.eval_results}
    assert {name: result.metric_value for name, result in found.items()} == {
        "recall": 61.2,
        "accuracy": 65.5,
        "f1": 60.0,
    }
    assert {(result.dataset_type, result.task_type) for result in found.values()} == {("emodb", "audio-classification")}


def test_a_card_shows_results_by_language_gender_and_emotion_and_their_calibration():
    text = model_card(facts(), "org/mine")
    for row in (
        "| emodb | de | 200 | 10 | 2 | 61.2 | 55.0–68.0 | 65.5 | 60.0 | 8.1 |",
        "| de | 200 | 61.2 | 65.5 | 60.0 |",
        "| emodb | female | 120 | 66.0 | 65.0 |",
        "| emodb | 50.0 | 72.5 |",
    ):
        assert row in text
    assert "expected calibration error (15 bins) is 8.1 to 8.1 %" in text
    assert 'model="org/mine", trust_remote_code=True' in text


@pytest.mark.parametrize(
    "said",
    ["## Intended use", "Article 5(1)(f)", "workplace", "education", "## Energy and cost", "2503.21806", "## Limits"],
)
def test_a_card_says_what_it_must(said):
    assert said in model_card(facts(entries=[]))


def test_what_was_not_measured_is_said_and_its_tables_are_left_out():
    text = model_card(facts(entries=[]))
    assert "### Results\n\nNot measured." in text
    assert "The calibration error was not measured" in text
    assert "### Women and men" not in text
    assert metadata_faults(text, "model") == []
    assert not ModelCard(text).data.eval_results


def test_a_licence_that_the_hub_does_not_know_is_named():
    data = ModelCard(model_card(facts(licence="CC0-1.0, and others", known_licence=False))).data
    assert (data.license, data.license_name, data.license_link) == ("other", "cc0-1-0-and-others", "LICENSE-WEIGHTS.md")


def test_pinned_backbones_are_the_base_models():
    config = {**tiny_config().to_dict(), "backbones": {"speech": {"id": "openai/whisper-base", "revision": "ab12"}}}
    text = model_card(facts(config=config))
    assert ModelCard(text).data.base_model == ["openai/whisper-base"]
    assert "`openai/whisper-base` (revision ab12)" in text


def test_all_kinds_of_results_take_one_shape():
    (zero_shot,) = entries_of(ZERO_SHOT)
    assert (zero_shot["corpus"], zero_shot["n"], zero_shot["UA"]) == ("urdu", 400, 0.415)
    assert zero_shot["intervals"]["UA"] == pytest.approx([0.341, 0.505])
    assert entries_of({"results": [ENTRY]}) == [ENTRY]
    assert entries_of({"sets": {"validation": {"n": 3}}}) == [
        {"corpus": "validation", "source": "-", "seed": 0, "n": 3}
    ]
    assert entries_of({}) == []


@pytest.fixture
def run(tmp_path) -> Path:
    """The files of a run, as `mser train` and a later `mser evaluate` leave them."""
    train = {
        "clips": 24,
        "hours": 0.5,
        "speakers": 3,
        "corpora": {"tones": 20, "emodb": 4},
        "languages": {"de": 12, "en": 12},
        "emotions": {"happy": 14, "sad": 10},
        "licences": ["CC0-1.0"],
    }
    cost = {"wall_hours": 1.25, "cpu_hours": 2.5, "device": "one CPU", "kwh": 0.0417}
    recipe = {
        "name": "tones",
        "objective": [{"name": "contrastive", "weight": 0.5}, {"name": "cross_entropy"}],
        "lora": {"text": {"r": 2}, "speech": None},
    }
    later = {
        "model": {"name": "run"},
        "protocol": {"name": "whole", "description": "Whole corpora."},
        "notes": ["Each clip is answered among the classes of its task."],
        "results": [ENTRY],
    }
    files = {
        "data.json": {"train": train},
        "config.json": tiny_config().to_dict(),
        "results.json": {"sets": {"test/tones": {"n": 8, "UA": 0.75, "WA": 0.8}}, "seed": 5, "steps": 40, "cost": cost},
        "evaluation/results.json": later,
        "evaluation/other/results.json": {"not": "ours"},
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return tmp_path


def test_a_runs_card_quotes_the_files_of_its_folder(run):
    assert is_run_folder(run)
    text = model_card(run_facts(run), "org/tones")
    assert metadata_faults(text, "model") == []
    for said in (
        "24 clips, 0.5 h, 3 speakers; corpora: tones 20, emodb 4; emotions: happy 14, sad 10.",
        "The connector learned, and LoRA in text; objective: 0.5 × contrastive, 1 × cross_entropy, 40 steps.",
        "seed 5",
        "Protocol whole: Whole corpora.",
        "1.25 h on one CPU, 2.50 CPU hours. 0.0417 kWh",
    ):
        assert said in text
    data = ModelCard(text).data
    assert [(result.dataset_name, result.metric_value) for result in data.eval_results][:2] == [
        ("test/tones", 75.0),
        ("test/tones", 80.0),
    ]
    assert (data.language, data.datasets, data.license_name) == (["de", "en"], ["emodb", "tones"], "cc0-1-0")


def test_a_run_without_results_still_has_a_card(run):
    (run / "results.json").unlink()
    text = model_card(run_facts(run), "org/tones")
    assert "## Energy and cost\n\nNot measured." in text
    assert cost_text(None) == "Not measured."
