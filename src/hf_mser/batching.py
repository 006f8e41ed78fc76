"""Which clips the model reads together, how the next ones are read meanwhile, and how batches run side by side.

All of it keeps memory bounded whatever the length of the input, and none of it changes what comes out, only when.
"""

import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

LOOK_AHEAD_BATCHES = 4
_END = object()


def read_ahead(sources: Iterable[T], read: Callable[[T], Iterable[R]], threads: int, limit: int) -> Iterator[R]:
    """What `read` gives for each source, in order; `threads` threads read the next sources meanwhile.

    Two sources per thread are open at most, and of each at most `limit` items wait (and one is in hand). The sources
    themselves are taken by the caller's thread. What goes wrong is raised at its place in the order.

    Example:
        >>> list(read_ahead(["ab", "c"], iter, threads=2, limit=2))
        ['a', 'b', 'c']
    """
    jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
    stopped = threading.Event()

    def work() -> None:
        while (job := jobs.get()) is not None and not stopped.is_set():
            source, ready = job
            try:
                for item in read(source):
                    ready.put((item, None))
                    if stopped.is_set():
                        return
                ready.put((_END, None))
            except BaseException as error:
                ready.put((_END, error))

    # Daemons: an interpreter that is told to end does not wait for a thread that waits for us.
    for number in range(threads):
        threading.Thread(target=work, name=f"read_ahead_{number}", daemon=True).start()
    opened: deque[queue.Queue[Any]] = deque()
    waiting = _Cautious(sources)
    try:
        while True:
            while len(opened) < 2 * threads and (source := waiting.following()) is not _END:
                opened.append(queue.Queue(limit))
                jobs.put((source, opened[-1]))
            if not opened:
                break
            while (entry := opened[0].get())[0] is not _END:
                yield entry[0]
            if entry[1] is not None:
                raise entry[1]
            opened.popleft()
    finally:
        stopped.set()
        for _ in range(threads):
            jobs.put(None)
        for ready in opened:
            while not ready.empty():  # a thread may wait for a free place; with one it finds that it is stopped
                ready.get_nowait()
    waiting.raise_failure()


def run_ahead(batches: Iterable[T], run: Callable[[T], R], threads: int) -> Iterator[R]:
    """`run` of every batch, in order; `threads` batches run side by side, and one more waits.

    If `batches` or `run` raises, the results that come before are given first.

    Example:
        >>> list(run_ahead([1, 2, 3], lambda number: number * 10, threads=2))
        [10, 20, 30]
    """
    pending: deque[Future[R]] = deque()
    waiting = _Cautious(batches)
    with ThreadPoolExecutor(threads, "run_ahead") as pool:
        try:
            while True:
                while len(pending) <= threads and (batch := waiting.following()) is not _END:
                    pending.append(pool.submit(run, batch))
                if not pending:
                    break
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
    waiting.raise_failure()


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """So many items at a time.

    Example:
        >>> list(batches("abcde", 2))
        [['a', 'b'], ['c', 'd'], ['e']]
    """
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def alike_batches(
    items: Iterable[T], size: int, length: Callable[[T], float], budget: float | None = None
) -> Iterator[list[tuple[int, T]]]:
    """Batches of numbered items of similar length, so that little of a batch is padding.

    A batch is chosen among the next few batches' worth of items and always holds the oldest of them, so that nothing
    waits for long. The first batch is made of the first items: the choice grows afterwards. If `items` raises, what
    came before is batched first.

    Args:
        items: What to batch.
        size: The most items in a batch.
        length: How long an item is.
        budget: The most that a batch of more than one item takes with its padding: items times the longest length.

    Example:
        >>> words = ["aa", "bb", "c", "dddd", "eee", "f"]
        >>> [[word for _, word in batch] for batch in alike_batches(words, 2, len)]
        [['aa', 'bb'], ['c', 'f'], ['eee', 'dddd']]
    """
    numbered = _Cautious(enumerate(items))
    most = size * LOOK_AHEAD_BATCHES if size > 1 else 1
    wanted = size
    pool: list[tuple[int, T]] = []
    while True:
        while len(pool) < wanted and (following := numbered.following()) is not _END:
            pool.append(following)
        if not pool:
            break
        by_length = sorted(pool, key=lambda entry: length(entry[1]))
        lengths = [length(item) for _, item in by_length]
        start, end = _alike(lengths, by_length.index(pool[0]), size, math.inf if budget is None else budget)
        batch = by_length[start:end]
        yield batch
        chosen = {number for number, _ in batch}
        pool = [entry for entry in pool if entry[0] not in chosen]
        wanted = min(wanted + size, most)
    numbered.raise_failure()


def _alike(lengths: list[float], oldest: int, size: int, budget: float) -> tuple[int, int]:
    """The stretch of ascending `lengths` around `oldest` with most items; of those, the one most alike."""

    def first(last: int) -> int:
        room = size if lengths[last] <= 0 else min(size, max(1, int(min(budget / lengths[last], size))))
        return max(0, last - room + 1)

    ends = range(oldest, min(oldest + size, len(lengths)))
    stretches = [(first(last), last) for last in ends if first(last) <= oldest]
    start, last = min(stretches, key=lambda ends: (ends[0] - ends[1], lengths[ends[1]] - lengths[ends[0]], ends))
    return start, last + 1


class _Cautious:
    """An iterator whose failure waits until everything that came before it has been dealt with."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)
        self._failure: Exception | None = None

    def following(self) -> Any:
        """The next item, or _END at the end and after a failure."""
        if self._failure is None:
            try:
                return next(self._items, _END)
            except Exception as error:
                self._failure = error
        return _END

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
