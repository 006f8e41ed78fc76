"""The accuracy study's own arithmetic: recall, evened classes, files that appear whole, the table."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_mser.evaluation.metrics import confusion_matrix, unweighted_accuracy

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks" / "accuracy"))

from real_stack_report import best_probes, markdown
from study_features import LAYERS
from study_runs import Clock, Run, evened, recall, save_scores
from study_training import Form, adapted, clip_moments, padded

from hf_mser.training.tiny.domains import measure
from hf_mser.training.tiny.hearing import HeardClips


@pytest.fixture
def heard():
    """Three clips of 4, 2 and 6 frames whose values are the clip's number."""
    import torch

    lengths = np.array([4, 2, 6])
    starts = np.array([0, 4, 6])
    frames = np.repeat(np.arange(3), lengths)[:, None, None] * np.ones((1, len(LAYERS), 8))
    means = torch.arange(3).float()[:, None, None].expand(3, len(LAYERS), 8)
    return HeardClips(frames.astype(np.float16), starts, lengths, means, torch.ones_like(means))


@given(st.integers(0, 10_000), st.integers(2, 7))
def test_recall_is_the_unweighted_accuracy_among_the_classes(seed, kinds):
    random = np.random.default_rng(seed)
    classes = np.sort(random.choice(7, kinds, replace=False))
    truth = np.concatenate([classes, random.choice(classes, 40)])
    scores = random.normal(size=(len(truth), 7))
    answers = classes[scores[:, classes].argmax(1)]
    names = [str(kind) for kind in classes]
    matrix = confusion_matrix([str(kind) for kind in truth], [str(kind) for kind in answers], names)
    assert recall(scores, truth, classes) == pytest.approx(100 * float(unweighted_accuracy(matrix)))


def test_evened_classes_are_answered_more_equally_and_others_left_alone():
    random = np.random.default_rng(0)
    scores = random.normal(size=(500, 7)) + np.array([2.0, 0, 0, 0, 9, 0, 0])
    classes = np.array([0, 1, 2, 3])
    moved = evened(scores, classes)
    before, after = (np.bincount(s[:, classes].argmax(1), minlength=4).std() for s in (scores, moved))
    assert after < 0.7 * before
    np.testing.assert_array_equal(moved[:, 4:], scores[:, 4:])


def test_evening_does_nothing_to_classes_that_are_even_already():
    scores = np.log(np.array([[0.7, 0.3], [0.3, 0.7]]))
    shifted = evened(scores, np.arange(2)) - scores
    assert np.ptp(shifted) == pytest.approx(0, abs=1e-12)


def test_scores_appear_whole_and_are_not_computed_again(tmp_path):
    path = tmp_path / "folder" / "de-0.npz"
    save_scores(path, {"clips": np.arange(3), "world_scores": np.ones((3, 7))})
    assert [file.name for file in path.parent.iterdir()] == ["de-0.npz"]
    run = Run(path, Form(), np.arange(0), np.arange(3), seed=0)
    kept = run.scores(heard=None, table=None, backbones=None)  # nothing that training needs is there
    assert kept["world_scores"].shape == (3, 7)


def test_the_clock_ends_the_program_only_when_its_minutes_are_over():
    Clock(None).stop_if_over()
    Clock(60).stop_if_over()
    with pytest.raises(SystemExit, match="goes on from here"):
        Clock(-1).stop_if_over()


def test_adaptation_moves_towards_the_clips_own_domain(heard):
    everything, own = np.arange(3), np.array([2])
    world = measure(*clip_moments(heard, everything, (1, 3)))
    moved = adapted(heard, own, (1, 3), world)
    weight = 1 / (1 + 5)
    assert world["frame_mean"].shape == (2, 8)
    expected = weight * 2 + (1 - weight) * world["frame_mean"][0, 0].item()
    assert moved["frame_mean"][0, 0].item() == pytest.approx(expected, abs=1e-5)


def test_padding_is_masked():
    frames, mask = padded([np.ones((2, 1, 4), np.float16), np.ones((3, 1, 4), np.float16)])
    assert tuple(frames.shape) == (2, 1, 3, 4)
    assert mask.tolist() == [[True, True, False], [True, True, True]]
    assert frames[0, 0, 2].abs().sum() == 0


def test_the_table_says_the_spread_over_seeds_and_each_language():
    corpora = {"emovo": {"language": "it", "classes": ["sad", "happy"], "UA_per_seed": [0.5, 0.6]}}
    mean = {"UA": 0.55, "WF1": 0.4, "UA_per_seed": [0.5, 0.6], "intervals": {"UA": (0.51, 0.58)}}
    languages = {"it": {"UA": 0.55, "WF1": 0.4}}
    table = markdown({"ours": {"mean": mean, "languages": languages, "corpora": corpora, "seeds": [0, 1]}})
    assert "| ours | 55.0 ± 7.1 | 51.0–58.0 | 40.0 | 55.0 ± 7.1 |" in table
    assert "| ours | 55.0 / 40.0 |" in table
    assert "Seeds: 2." in table


def test_the_bar_is_the_best_probe_and_the_last_layer():
    bars = best_probes()
    assert list(bars) == [
        "probe on layer 6",
        "probe on layer 3",
        "probe on layer 6, adapted",
        "probe on layer 2, adapted",
    ]
    assert bars["probe on layer 3"]["mean"]["UA"] == pytest.approx(0.537, abs=5e-4)
