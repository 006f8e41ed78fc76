"""Order, bounds and errors of reading ahead and of batches by length."""

import itertools
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.batching import alike_batches, read_ahead


@settings(deadline=None)
@given(st.lists(st.integers()), st.integers(1, 5))
def test_read_ahead_changes_nothing(items: list[int], limit: int) -> None:
    assert list(read_ahead(iter(items), limit)) == items


def test_read_ahead_takes_no_more_than_its_limit_and_one_in_hand() -> None:
    taken = []
    reached = threading.Event()

    def items():
        for item in itertools.count():
            taken.append(item)
            if item == 3:
                reached.set()
            yield item

    stream = read_ahead(items(), limit=2)
    assert next(stream) == 0
    assert reached.wait(10)  # 0 is out, 1 and 2 are ready, 3 is in hand
    assert taken == [0, 1, 2, 3]
    stream.close()


def test_read_ahead_reads_in_another_thread_and_ends_it_when_nobody_listens() -> None:
    threads = []

    def items():
        for item in itertools.count():
            threads.append(threading.current_thread())
            yield item

    stream = read_ahead(items(), limit=3)
    next(stream)
    stream.close()
    threads[0].join(timeout=10)
    assert threads[0] is not threading.current_thread()
    assert not threads[0].is_alive()


def test_read_ahead_raises_an_error_at_its_place() -> None:
    def items():
        yield "good"
        raise OSError("bad disk")

    stream = read_ahead(items(), limit=4)
    assert next(stream) == "good"
    with pytest.raises(OSError, match="bad disk"):
        next(stream)


@settings(deadline=None)
@given(st.lists(st.integers(0, 100)), st.integers(1, 6))
def test_every_item_is_in_one_batch_with_the_oldest_that_is_left(lengths: list[int], size: int) -> None:
    left = dict(enumerate(lengths))
    for batch in alike_batches(lengths, size, float):
        assert 1 <= len(batch) <= size
        assert min(left) in dict(batch)
        for number, length in batch:
            assert left.pop(number) == length
    assert not left


def test_lengths_that_alternate_are_batched_apart_once_the_choice_has_grown() -> None:
    batches = list(alike_batches([1, 9] * 34, 4, float))
    assert [length for _, length in batches[0]] == [1, 1, 9, 9]
    assert all(len({length for _, length in batch}) == 1 for batch in batches[1:])


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
