"""Order, bounds and errors of reading ahead and of batches by length."""

import itertools
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.batching import alike_batches, read_ahead, run_ahead


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(), max_size=6), max_size=9), st.integers(1, 4), st.integers(1, 5))
def test_read_ahead_changes_nothing(sources: list[list[int]], threads: int, limit: int) -> None:
    expected = [item for source in sources for item in source]
    assert list(read_ahead(sources, iter, threads, limit)) == expected


def test_read_ahead_opens_two_sources_a_thread_and_takes_no_more_than_its_limit_and_one_in_hand() -> None:
    taken, opened = [], []
    reached = threading.Event()

    def sources():
        for name in itertools.count():
            opened.append(name)
            yield name

    def read(name):
        for item in itertools.count():
            taken.append((name, item))
            if item == 3:
                reached.set()
            yield item

    stream = read_ahead(sources(), read, threads=1, limit=2)
    assert next(stream) == 0
    assert reached.wait(10)  # 0 is out, 1 and 2 are ready, 3 is in hand
    assert taken == [(0, item) for item in range(4)]
    assert opened == [0, 1]
    stream.close()


def test_read_ahead_reads_sources_side_by_side() -> None:
    together = threading.Barrier(3)

    def read(source):
        together.wait(10)  # breaks unless three threads read at once
        yield source, threading.current_thread().name

    found = list(read_ahead("abc", read, threads=3, limit=1))
    assert [source for source, _ in found] == ["a", "b", "c"]
    assert len({name for _, name in found}) == 3


def test_read_ahead_ends_its_threads_when_nobody_listens() -> None:
    threads = []

    def read(_):
        for item in itertools.count():
            threads.append(threading.current_thread())
            yield item

    stream = read_ahead(itertools.count(), read, threads=2, limit=3)
    next(stream)
    stream.close()
    for thread in set(threads):
        thread.join(timeout=10)
        assert thread is not threading.current_thread()
        assert not thread.is_alive()


def test_read_ahead_raises_an_error_at_its_place() -> None:
    def read(name):
        yield name
        if name == "b":
            raise OSError("bad disk")

    stream = read_ahead("abc", read, threads=2, limit=4)
    assert [next(stream), next(stream)] == ["a", "b"]
    with pytest.raises(OSError, match="bad disk"):
        next(stream)


def test_sources_that_fail_are_read_up_to_there() -> None:
    def sources():
        yield from "ab"
        raise OSError("no more")

    stream = read_ahead(sources(), iter, threads=2, limit=4)
    assert [next(stream), next(stream)] == ["a", "b"]
    with pytest.raises(OSError, match="no more"):
        next(stream)


def test_batches_run_side_by_side_and_come_in_order() -> None:
    together = threading.Barrier(2)

    def run(batch):
        together.wait(10)  # breaks unless two run at once
        return batch * 10

    assert list(run_ahead(range(6), run, threads=2)) == [0, 10, 20, 30, 40, 50]


def test_only_one_batch_waits_beside_those_that_run() -> None:
    taken = []

    def batches():
        for number in itertools.count():
            taken.append(number)
            yield number

    stream = run_ahead(batches(), lambda number: number, threads=2)
    assert next(stream) == 0
    assert taken == [0, 1, 2]
    stream.close()


@pytest.mark.parametrize("fails", ["batches", "run"])
def test_results_before_an_error_come_first(fails) -> None:
    def batches():
        yield from range(3)
        if fails == "batches":
            raise OSError("bad disk")
        yield 3

    def run(number):
        if number == 3:
            raise OSError("bad disk")
        return number

    stream = run_ahead(batches(), run, threads=2)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="bad disk"):
        next(stream)


@settings(deadline=None)
@given(st.lists(st.integers(0, 100)), st.integers(1, 6), st.none() | st.floats(0.1, 300))
def test_every_item_is_in_one_batch_with_the_oldest_that_is_left(lengths, size, budget) -> None:
    left = dict(enumerate(lengths))
    for batch in alike_batches(lengths, size, float, budget):
        assert 1 <= len(batch) <= size
        assert budget is None or len(batch) == 1 or len(batch) * max(length for _, length in batch) <= budget
        assert min(left) in dict(batch)
        for number, length in batch:
            assert left.pop(number) == length
    assert not left


def test_lengths_that_alternate_are_batched_apart_once_the_choice_has_grown() -> None:
    batches = list(alike_batches([1, 9] * 34, 4, float))
    assert [length for _, length in batches[0]] == [1, 1, 9, 9]
    assert all(len({length for _, length in batch}) == 1 for batch in batches[1:])


def test_a_budget_makes_batches_of_many_short_items_or_of_few_long_ones() -> None:
    batches = list(alike_batches([1] * 12 + [4] * 4, 8, float, budget=8))
    assert [[length for _, length in batch] for batch in batches] == [[1] * 8, [1] * 4, [4] * 2, [4] * 2]


def test_single_items_keep_their_order_and_wait_for_nobody() -> None:
    taken = iter([5, 1, 3])
    batches = alike_batches(taken, 1, float)
    assert next(batches) == [(0, 5)]
    assert next(taken) == 1


def test_what_came_before_an_error_is_batched_first() -> None:
    def items():
        yield from range(5)
        raise OSError("bad disk")

    batches = alike_batches(items(), 4, float)
    assert [number for number, _ in [*next(batches), *next(batches)]] == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="bad disk"):
        next(batches)
