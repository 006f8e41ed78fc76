"""The speed benchmarks run and report what they promise; how fast anything is, is not tested here."""

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
FIGURES = {"seconds", "against_seconds", "ratio", "ratio_low", "ratio_high"}


@pytest.fixture
def benchmark(monkeypatch):
    """A benchmark script as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def tiny(benchmark):
    """The smallest shapes of all parts."""
    return benchmark("inference_models").Shape("tiny", "tiny", "tiny")


def test_one_command_measures_every_part_and_writes_json_and_table(benchmark, tmp_path, capsys):
    benchmark("inference").main(["--tiny", "--rounds", "1", "--output", str(tmp_path)])
    results = json.loads((tmp_path / "inference.json").read_text(encoding="utf-8"))
    assert [(row["part"], row["case"], row["batch"]) for row in results["rows"]] == [
        *(("encoder", f"{seconds} s", 1) for seconds in (2, 4, 8, 30)),
        *(("scoring", "7 labels", batch) for batch in (1, 1, 8, 8)),
        ("pipeline", "4 s", 1),
        ("pipeline", "4 s", 8),
        ("pipeline", "1 to 12 s", 8),
    ]
    for row in results["rows"]:
        assert all(row[name] > 0 for name in FIGURES)
        assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    assert {row["target"] for row in results["rows"]} == {None, 3.0, 4.0, 5.0}
    assert {"cpu", "threads", "torch", "transformers"} <= set(results["machine"])
    assert results["shapes"][0]["text"]["parameters"] > 0
    table = (tmp_path / "inference.md").read_text(encoding="utf-8")
    assert sum(line.startswith("| ") for line in table.splitlines()) == 1 + len(results["rows"])
    assert len(capsys.readouterr().out.splitlines()) == len(results["rows"])


def test_a_ratio_is_taken_within_a_round(benchmark):
    figures = benchmark("side_by_side").compare([1.0, 10.0, 2.0], [4.0, 40.0, 10.0])
    assert figures["ratio"] == 4.0
    assert figures["ratio_high"] == 4.5
    assert figures["seconds"] == 2.0


def test_contestants_take_turns_and_the_first_changes(benchmark):
    runs = []
    contestants = {name: lambda name=name: runs.append(name) for name in "ab"}
    seconds = benchmark("side_by_side").take_turns(contestants, rounds=3)
    assert "".join(runs) == "ab" + "ab" + "ba" + "ab"
    assert {name: len(turns) for name, turns in seconds.items()} == {"a": 3, "b": 3}


def test_a_forward_per_label_scores_as_one_pass_does(benchmark, tiny):
    import torch

    model = benchmark("inference_models").mser_model(tiny)
    speech = torch.randn(3, model.config.qformer_config.num_speech_tokens, model.config.text_config.hidden_size)
    expected = benchmark("inference").forward_per_label(model, speech)
    torch.testing.assert_close(model.score_emotions(speech_tokens=speech), expected, atol=1e-4, rtol=0)


def test_the_plain_composition_writes_an_answer_for_every_file(benchmark, tiny, tmp_path):
    models = benchmark("inference_models")
    model = models.mser_model(tiny, speech_layers="last")
    plain = benchmark("plain_composition").PlainComposition(model, models.tokenizer())
    paths = benchmark("inference").write_clips(tmp_path, [1, 2, 1])
    answers = plain(paths, batch_size=2)
    assert len(answers) == 3
    assert answers == plain(paths, batch_size=1)


def test_every_label_takes_one_token_and_an_end(benchmark, tiny):
    config = benchmark("inference_models").mser_config(tiny)
    assert [len(ids) for ids in config.candidate_ids] == [2] * 7


def test_the_cost_model_counts_every_stage_and_runs_every_peer(benchmark, tmp_path):
    arguments = ["--tiny", "--rounds", "1", "--dtype", "float32", "bfloat16", "--output", str(tmp_path)]
    benchmark("cost_model").main(arguments)
    results = json.loads((tmp_path / "cost_model.json").read_text(encoding="utf-8"))
    stages = [row for row in results["stages"] if row["dtype"] == "float32"]
    assert [row["stage"] for row in stages] == ["decode + log-mel", "encoder", "Q-Former", "scoring", "end to end"]
    assert stages[-1]["flop"] == pytest.approx(sum(row["flop"] for row in stages[:-1]))
    assert all(row["ratio"] == pytest.approx(row["seconds"] / row["floor_seconds"]) for row in stages)
    peers = ["plain composition", "Qwen2Audio", "Voxtral", "GraniteSpeech", "WhisperForAudioClassification"]
    assert [(row["peer"], row["dtype"]) for row in results["peers"]] == [
        (name, dtype) for dtype in ("float32", "bfloat16") for name in peers
    ]
    assert [row["shortcut"] for row in results["shortcuts"]] == ["scoring, bfloat16", "scoring, linear maps in int8"]
    assert [row["target"] for row in results["peers"][:5]] == [8, 5, 5, 5, None]
    assert (tmp_path / "cost_model.md").read_text(encoding="utf-8").count("░" * 10) == 8


def test_the_import_brings_no_forbidden_module(benchmark, tmp_path):
    benchmark("import_time").main(["--rounds", "1", "--clock", "cpu", "--output", str(tmp_path)])
    results = json.loads((tmp_path / "import_time.json").read_text(encoding="utf-8"))
    assert results["forbidden_modules"] == []
    assert set(results["seconds"]) == {"transformers", "hf_mser"}
