"""Threads and processes, streams and lists: the same answers as one thread gives, in the same order."""

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tiny_models import tone
from transformers import pipeline

from hf_mser.pipeline_mser import PipelineOptionError

LENGTHS = (0.3, 2.0, 0.5, 7.3, 1.1, 0.4, 3.0, 0.9, 1.7, 5.0, 0.6)


def clips() -> list:
    """Clips of many lengths, with a bad one among them."""
    good = [
        {"array": tone(seconds, 150 + 20 * seed, seed), "sampling_rate": 16_000} for seed, seconds in enumerate(LENGTHS)
    ]
    return [*good[:4], b"this is no audio", *good[4:]]


def load():
    """The embedded checkpoint."""
    import hf_mser  # noqa: F401

    return pipeline("speech-emotion")


def answers(batch_size: int) -> list:
    """What a fresh process answers."""
    return load()(clips(), on_error="record", batch_size=batch_size)


@pytest.fixture(scope="module")
def pipe():
    return load()


@pytest.fixture(scope="module")
def alone(pipe):
    """The answers of one thread."""
    return pipe(clips(), on_error="record", num_workers=1)


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        if isinstance(other, dict):
            assert one == other
            continue
        scores = {entry["label"]: entry["score"] for entry in one}
        assert scores == pytest.approx({entry["label"]: entry["score"] for entry in other}, abs=1e-5)


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 3}, {"batch_size": 4, "batch_seconds": 3.0}])
def test_workers_answer_as_one_thread_does(pipe, alone, options):
    threads = torch.get_num_threads()
    assert_equal(pipe(clips(), on_error="record", num_workers=3, **options), alone)
    assert torch.get_num_threads() == threads
    stream = pipe((clip for clip in clips()), on_error="record", num_workers=2, **options)
    assert_equal(list(stream), alone)
    assert torch.get_num_threads() == threads


def test_batches_of_workers_run_side_by_side_after_the_very_first(pipe, monkeypatch):
    pipe(clips()[:1])
    together = threading.Barrier(2)
    forward = pipe.forward

    def meeting(*arguments, **options):
        together.wait(20)  # breaks unless two batches are heard at once
        return forward(*arguments, **options)

    monkeypatch.setattr(pipe, "forward", meeting)
    assert len(pipe([clip for clip in clips() if isinstance(clip, dict)][:8], batch_size=2, num_workers=2)) == 8


def test_every_batch_has_the_same_share_of_threads(monkeypatch):
    """The very first one too: how a product is shared out decides its last digits, and a resumed run begins anew."""
    fresh, seen = load(), []
    forward = fresh.forward

    def noting(*arguments, **options):
        seen.append(torch.get_num_threads())
        return forward(*arguments, **options)

    monkeypatch.setattr(fresh, "forward", noting)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        good = [clip for clip in clips() if isinstance(clip, dict)][:4]
        assert len(list(fresh((clip for clip in good), batch_size=1, num_workers=2))) == 4
        assert seen == [2, 2, 2, 2]
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_a_budget_of_seconds_limits_what_a_batch_holds(pipe, monkeypatch):
    seen = []
    forward = pipe.forward

    def noting(windows, **options):
        seen.append([window["end"] - window["start"] for window in windows])
        return forward(windows, **options)

    monkeypatch.setattr(pipe, "forward", noting)
    good = [clip for clip in clips() if isinstance(clip, dict)]
    pipe(good, batch_size=8, batch_seconds=4.0, num_workers=1)
    assert sorted(length for batch in seen for length in batch) == pytest.approx(sorted(LENGTHS), abs=1e-4)
    assert all(len(batch) == 1 or len(batch) * max(batch) <= 4.0 for batch in seen)
    assert max(map(len, seen)) > 2
    with pytest.raises(PipelineOptionError, match="batch_seconds=0"):
        pipe(good, batch_seconds=0)


def test_an_abandoned_stream_gives_the_threads_back(pipe):
    before, threads = threading.active_count(), torch.get_num_threads()
    stream = pipe((clip for clip in clips()), on_error="record", num_workers=2)
    next(iter(stream))
    stream.close()
    assert torch.get_num_threads() == threads
    for thread in threading.enumerate():
        if thread.name.startswith(("read_ahead", "run_ahead")):
            thread.join(10)
    assert threading.active_count() <= before


def test_many_callers_of_one_pipeline_get_what_one_gets(pipe, alone):
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(
            lambda size: pipe(clips(), on_error="record", batch_size=size, num_workers=2), (1, 2, 3, 5)
        ):
            assert_equal(found, alone)
    assert torch.get_num_threads() == threads


def test_another_process_answers_as_this_one_does(alone):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert_equal(pool.submit(answers, 4).result(), alone)


def test_long_audio_is_read_by_workers_in_order(pipe):
    long = {"array": np.concatenate([tone(4.0, 200, 1), tone(5.0, 400, 2)]), "sampling_rate": 16_000}
    options = {"return_timestamps": True, "batch_size": 2}
    expected = pipe([long, clips()[0]], num_workers=1, **options)
    found = pipe([long, clips()[0]], num_workers=3, **options)
    assert [segment["start"] for segment in found[0]["segments"]] == [0.0, 2.0, 4.0, 6.0]
    for one, other in zip(found, expected, strict=True):
        for mine, theirs in zip(one["segments"], other["segments"], strict=True):
            assert mine["start"] == theirs["start"]
            assert mine["score"] == pytest.approx(theirs["score"], abs=1e-5)
