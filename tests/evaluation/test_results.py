"""What results.json says, against scikit-learn on the lines of predictions.jsonl."""

import json

import numpy as np
import pytest
from sklearn import metrics as reference
from spoken_world import EMOTIONS, PitchListener, write_corpus

from hf_mser.evaluation.clips import read_clips
from hf_mser.evaluation.evaluate import evaluate
from hf_mser.evaluation.matrix import matrix_of
from hf_mser.evaluation.protocols import protocol


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    corpora = [
        write_corpus(folder / "one", "fr", speakers=4),
        write_corpus(folder / "two", "it", speakers=6),
        write_corpus(folder / "three", "fr", speakers=2, emotions=("happy", "sad")),
    ]
    clips = [clip for corpus in corpora for clip in read_clips(corpus)]

    def run(name, **options):
        output = folder / name
        model = PitchListener()
        tasks = protocol(name).tasks(clips, **options)
        evaluate(protocol(name), tasks, lambda task: model, model.identity, output, report=False, quiet=True)
        results = json.loads((output / "results.json").read_text(encoding="utf-8"))
        lines = [json.loads(line) for line in (output / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
        return results, lines

    return run


def test_values_equal_scikit_learn(evaluated):
    results, lines = evaluated("whole-corpus")
    assert [entry["corpus"] for entry in results["results"]] == ["one", "two", "three"]
    for entry in results["results"]:
        own = [line for line in lines if line["corpus"] == entry["corpus"]]
        true, answered = [line["reference"] for line in own], [line["label"] for line in own]
        assert entry["n"] == len(own)
        assert entry["WA"] == pytest.approx(reference.accuracy_score(true, answered))
        assert entry["UA"] == entry["UAR"] == pytest.approx(reference.balanced_accuracy_score(true, answered))
        assert entry["WF1"] == pytest.approx(reference.f1_score(true, answered, average="weighted"))
        assert entry["macro_F1"] == pytest.approx(reference.f1_score(true, answered, average="macro"))
        assert entry["confusion"] == reference.confusion_matrix(true, answered, labels=entry["classes"]).tolist()
        recalls = reference.recall_score(true, answered, labels=entry["classes"], average=None)
        assert list(entry["recall"].values()) == pytest.approx(recalls.tolist())
        low, high = entry["intervals"]["UA"]
        assert low <= entry["UA"] <= high
        women = [line for line in own if line["gender"] == "female"]
        assert entry["per_gender"]["female"]["n"] == len(women)
        assert entry["per_gender"]["female"]["WA"] == pytest.approx(
            np.mean([line["label"] == line["reference"] for line in women])
        )


def test_the_mean_counts_each_corpus_once_and_languages_average_corpora(evaluated):
    results, _ = evaluated("whole-corpus")
    values = {entry["corpus"]: entry["UA"] for entry in results["results"]}
    assert results["mean"]["of"] == 3
    assert results["mean"]["UA"] == pytest.approx(sum(values.values()) / 3)
    low, high = results["mean"]["intervals"]["UA"]
    assert low <= results["mean"]["UA"] <= high
    assert results["languages"]["fr"]["UA"] == pytest.approx((values["one"] + values["three"]) / 2)
    assert results["languages"]["it"]["entries"] == 1


def test_the_folds_of_a_corpus_are_one_result(evaluated):
    results, _ = evaluated("within-corpus", seeds=[0])
    entries = {entry["corpus"]: entry for entry in results["results"]}
    assert entries["one"]["n"] == 4 * len(EMOTIONS) * 2
    assert [task["name"] for task in entries["one"]["tasks"]] == [f"one--one--fold{k}" for k in (1, 2, 3, 4)]
    assert entries["one"]["tasks"][0]["sides"]["train"]["speakers"] == 2


def test_seeds_and_sources_are_results_of_their_own_and_make_a_matrix(evaluated):
    results, _ = evaluated("sere-any", seeds=[0, 1])
    keys = {(entry["source"], entry["corpus"], entry["seed"]) for entry in results["results"]}
    assert len(keys) == len(results["results"]) == 12
    assert results["mean"] | {"of": 6, "seeds": [0, 1]} == results["mean"]
    matrix = matrix_of(results)
    assert set(matrix.sources) == set(matrix.targets) == {"one", "two", "three"}
    cell = [e["UA"] for e in results["results"] if (e["source"], e["corpus"]) == ("one", "two")]
    assert matrix.values[matrix.sources.index("one"), matrix.targets.index("two")] == pytest.approx(np.mean(cell))
    assert np.isnan(matrix.values[matrix.sources.index("one"), matrix.targets.index("one")])
    assert "| one | " in matrix.markdown()


def test_the_restriction_and_what_was_left_out_are_said(evaluated):
    results, _ = evaluated("leave-one-language-out", seeds=[0], classes=("happy", "sad"))
    text = " ".join(results["notes"])
    assert "the rest renormalised" in text
    assert "one (part) left out: 16 of 32 clips have no class here" in text
