"""The systems that SERE is compared with: they answer as an independent count says, and their table is right."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from hf_mser.training.sere.frames import HeardClips
from hf_mser.training.sere.run import tasks_of
from hf_mser.training.sere.sounds import Listeners

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

import sere
import sere_systems


@pytest.fixture(scope="module")
def lesson(make_recipe, tmp_path_factory):
    recipe = make_recipe(tmp_path_factory.mktemp("unused"), training={"steps": 8, "warm_up_steps": 3})
    listeners = Listeners(recipe)
    [task] = tasks_of(recipe)[1]
    return sere_systems.Lesson(recipe, task, listeners.hear_task(task), listeners)


def test_the_labelled_only_baseline_equals_a_loop(lesson):
    readings, _ = sere_systems.by_prototype(lesson)
    encoder = lesson.sounds.test.encoder
    labelled = lesson.listeners.hear(encoder, lesson.task.train)
    frames = labelled.values.float()
    mean, deviation = frames.mean(0), frames.std(0, unbiased=False)

    def direction(clip):
        return normalize(((lesson.listeners.hear(encoder, [clip]).values.float() - mean) / deviation).mean(0), dim=0)

    means = [
        sum(direction(clip) for clip in lesson.task.train if clip.emotion == emotion) for emotion in lesson.task.classes
    ]
    for number, clip in enumerate(lesson.task.test[:12]):
        likeness = [float(direction(clip) @ normalize(own, dim=0)) for own in means]
        assert int(readings[number].argmax()) == max(range(len(likeness)), key=likeness.__getitem__)


def test_the_labelled_only_baseline_hears_nothing_unlabelled(lesson):
    deaf = replace(lesson.sounds, unlabelled=(), source={})
    own, _ = sere_systems.by_prototype(lesson)
    assert sere_systems.by_prototype(replace(lesson, sounds=deaf))[0].equal(own)


@pytest.mark.parametrize("system", sere_systems.SYSTEMS, ids=lambda system: system.name)
def test_every_system_answers_every_clip_and_says_so_again(lesson, system):
    taught = sere_systems.TaughtOnTask(system, lesson.recipe, lesson.listeners)
    first, again = (taught(lesson.task)(lesson.task.test) for _ in range(2))
    assert len(first) == len(lesson.task.test)
    for one, other in zip(first, again, strict=True):
        assert one.scores == other.scores
        assert sum(one.scores.values()) == pytest.approx(1.0, abs=1e-5)


def test_an_arm_changes_its_part_alone(lesson):
    whole = next(s for s in sere_systems.SYSTEMS if s.name == "sere").recipe(lesson.recipe, seed=4)
    without = next(s for s in sere_systems.SYSTEMS if s.name == "no-walk").recipe(lesson.recipe, seed=4)
    assert (without.seed, without.objective[0]["walk"]) == (4, 0.0)
    assert replace(without, objective=whole.objective) == whole


def test_the_strong_view_keeps_a_part_of_every_clip():
    clips = HeardClips.of([torch.arange(float(n))[:, None] for n in (1, 40, 3)])
    kept = sere_systems._part_of_frames(clips, torch.Generator().manual_seed(0))
    assert bool((kept.lengths >= 1).all())
    assert 10 < kept.lengths[1] < 30
    assert set(kept[1].flatten().tolist()) <= set(range(40))


def test_the_table_counts_wins_and_shows_every_draw():
    def row(title, values):
        pair = {"UA": sum(values) / len(values), "deviation": 0.01, "draws": values}
        return {
            "title": title,
            "draws": [0, 1],
            "mean": pair["UA"],
            "interval": [0.2, 0.6],
            "pairs": {"a > b": pair, "b > a": {"UA": 0.3, "deviation": None, "draws": [0.3, 0.3]}},
            "watched": {},
        }

    rows = {"prototype": row("labelled", [0.3, 0.4]), "sere": row("SERE", [0.5, 0.6])}
    assert sere.wins(rows, "prototype") == 1
    lucky = {**row("lucky", [0.55]), "draws": [1]}
    lucky["pairs"]["b > a"]["draws"] = [0.3]
    assert sere.wins({**rows, "prototype": lucky}, "prototype") == 1  # draw 1 alone: 0.6 against 0.55
    text = sere.markdown({"transductive": rows, "inductive": {}, "wins": {"prototype": 1}})
    assert "| SERE | 2 | 55.0 | 20.0–60.0 | 55.0 ± 1.0 | 30.0 |" in text
    assert "SERE is above prototype in 1 of 2 pairs (draws that both have)." in text
