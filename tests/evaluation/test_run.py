"""Predictions: in order, resumable after SIGKILL at any moment, shared over processes, always the same bytes."""

import json
import multiprocessing
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
from spoken_world import PitchListener, write_corpus

from hf_mser.errors import MSERError
from hf_mser.evaluation.clips import read_clips
from hf_mser.evaluation.evaluate import evaluate
from hf_mser.evaluation.predictors import Prediction, PredictionError, restricted
from hf_mser.evaluation.protocols import protocol
from hf_mser.evaluation.run import OutputFolderError, Share, cut, predict

FORK = multiprocessing.get_context("fork")
FILES = ("results.json", "predictions.jsonl", "embeddings.npy", "run.json")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    clips = [
        *read_clips(write_corpus(folder / "one", "fr")),
        *read_clips(write_corpus(folder / "two", "it", speakers=5, emotions=("neutral", "sad"))),
    ]
    return protocol("whole-corpus").tasks(clips)


def run(tasks, output, batch_size=1, share=None, model=None):
    model = model or PitchListener()
    return evaluate(
        protocol("whole-corpus"),
        tasks,
        lambda task: model,
        model.identity,
        output,
        batch_size,
        share or Share(),
        report=False,
        quiet=True,
    )


def files_of(folder: Path):
    return {name: (folder / name).read_bytes() for name in FILES}


def test_lines_come_in_order_with_restricted_scores(tasks, tmp_path):
    lines = predict(tasks, lambda task: PitchListener(), tmp_path, {}, quiet=True)
    assert [line["clip"] for line in lines] == [clip.key for task in tasks for clip in task.test]
    for line in lines:
        classes = ["neutral", "sad"] if line["corpus"] == "two" else ["neutral", "happy", "sad", "angry"]
        assert list(line["scores"]) == classes
        assert sum(line["scores"].values()) == pytest.approx(1)
        assert line["label"] == max(classes, key=line["scores"].get)
        assert line["score"] == max(line["scores"].values())
    embeddings = np.load(tmp_path / "embeddings.npy")
    assert embeddings.shape == (len(lines), 4)
    again = PitchListener()([tasks[0].test[3]])[0].embedding
    np.testing.assert_allclose(embeddings[3], again, rtol=1e-6)


def test_ten_kills_at_random_moments_end_in_the_same_bytes(tasks, tmp_path):
    run(tasks, tmp_path / "whole")
    moments = random.Random(7)
    total = len(list(cut(tasks, 1)))
    for written in sorted(moments.choices(range(total), k=10)):
        process = FORK.Process(target=run, args=(tasks, tmp_path / "killed"))
        process.start()
        while process.is_alive() and len(list((tmp_path / "killed").glob("parts/*/*.jsonl"))) < written:
            pass
        process.join(timeout=moments.uniform(0, 0.01))
        process.kill()
        process.join()
    run(tasks, tmp_path / "killed")
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == sorted(FILES)


@pytest.mark.parametrize("moment", ["joined", "measured"])
def test_a_kill_at_the_end_leaves_nothing_behind(tasks, tmp_path, monkeypatch, moment):
    run(tasks, tmp_path / "whole")
    killing = {"joined": "shutil.rmtree", "measured": "os.replace"}[moment]

    def kill_itself(*args, **options):
        if moment == "joined" or str(args[1]).endswith("results.json"):
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(*args, **options)

    replace = os.replace
    with monkeypatch.context() as patch:
        patch.setattr(killing, kill_itself)
        process = FORK.Process(target=run, args=(tasks, tmp_path / "killed"))
        process.start()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    run(tasks, tmp_path / "killed")
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == sorted(FILES)


def test_a_kill_after_each_single_file_resumes(tasks, tmp_path):
    """Every state that a kill can leave: the files written so far, and nothing else."""
    run(tasks, tmp_path / "whole")
    parts = list(cut(tasks, 1))
    for done in range(0, len(parts), 3):
        folder = tmp_path / f"after{done}"
        counted = PitchListener()

        def dying(clips, limit=done, counted=counted):
            if len(counted.calls) >= 4 * limit:
                raise KeyboardInterrupt
            return counted(clips)

        model = PitchListener()
        with pytest.raises(KeyboardInterrupt):
            predict(tasks, lambda task, dying=dying: dying, folder, model.identity, 1, Share(), quiet=True)
        run(tasks, folder, model=model)
        assert len(model.calls) == sum(len(part.clips) for part in parts[done:])
        assert files_of(folder) == files_of(tmp_path / "whole")


def test_a_finished_run_predicts_nothing_again(tasks, tmp_path):
    run(tasks, tmp_path)
    before = files_of(tmp_path)
    model = PitchListener()
    run(tasks, tmp_path, model=model)
    assert model.calls == []
    assert files_of(tmp_path) == before


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_work_and_change_nothing(tasks, tmp_path, world):
    run(tasks, tmp_path / "alone", batch_size=2)
    others = [
        FORK.Process(target=run, args=(tasks, tmp_path / "shared", 2, Share(rank, world))) for rank in range(1, world)
    ]
    for process in others:
        process.start()
    assert run(tasks, tmp_path / "shared", 2, Share(0, world)) is not None
    for process in others:
        process.join()
        assert process.exitcode == 0
    assert files_of(tmp_path / "shared") == files_of(tmp_path / "alone")


def test_the_share_comes_from_the_environment(monkeypatch):
    assert Share.from_environment() == Share(0, 1)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert Share.from_environment() == Share(1, 4)
    assert not Share.from_environment().first
    monkeypatch.setenv("RANK", "4")
    with pytest.raises(MSERError, match="RANK=4 does not fit WORLD_SIZE=4"):
        Share.from_environment()


def test_a_folder_of_another_run_is_refused(tasks, tmp_path):
    run(tasks, tmp_path)
    with pytest.raises(OutputFolderError, match=r"another run \(different model\)"):
        run(tasks, tmp_path, model=PitchListener(sharpness=2))
    with pytest.raises(OutputFolderError, match=r"different tasks"):
        run(tasks[:1], tmp_path)
    (tmp_path / "run.json").unlink()
    with pytest.raises(OutputFolderError, match="unknown run"):
        run(tasks, tmp_path)


def test_a_model_that_loses_clips_is_refused(tasks, tmp_path):
    with pytest.raises(PredictionError, match="2 clips, but 1 predictions came back"):
        predict(tasks, lambda task: lambda clips: [Prediction({"sad": 1.0})], tmp_path, {}, 2, quiet=True)


def test_scores_of_synonyms_add_up():
    assert restricted({"joy": 0.3, "happy": 0.1, "anger": 0.4, "boredom": 0.2}, ["happy", "angry", "fear"]) == {
        "happy": pytest.approx(0.5),
        "angry": pytest.approx(0.5),
        "fear": 0.0,
    }
    assert restricted({"boredom": 1.0}, ["happy", "sad"]) == {"happy": 0.5, "sad": 0.5}
    with pytest.raises(PredictionError, match="score of 'sad' is nan"):
        restricted({"sad": float("nan")}, ["sad", "happy"])


def test_results_json_is_strict_json(tasks, tmp_path):
    run(tasks, tmp_path)

    def refuse(constant):
        raise AssertionError(constant)

    json.loads((tmp_path / "results.json").read_text(encoding="utf-8"), parse_constant=refuse)
