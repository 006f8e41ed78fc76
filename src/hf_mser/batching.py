"""Which clips the model reads together, and how the next ones are read meanwhile.

Both keep memory bounded whatever the length of the input, and neither changes what comes out, only when.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

LOOK_AHEAD_BATCHES = 4


def read_ahead(items: Iterable[T], limit: int) -> Iterator[T]:
    """The same items in the same order, but a thread takes up to `limit` of them (and one in hand) in advance.

    What goes wrong in the thread is raised here, at its place in the order.

    Example:
        >>> list(read_ahead(iter("abc"), limit=2))
        ['a', 'b', 'c']
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(limit)
    stopped = threading.Event()

    def read() -> None:
        try:
            for item in items:
                ready.put((item, None))
                if stopped.is_set():
                    return
            ready.put((None, StopIteration()))
        except BaseException as error:
            ready.put((None, error))

    threading.Thread(target=read, name="read_ahead", daemon=True).start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]  # there is no error, so there is an item
    finally:
        stopped.set()
        while not ready.empty():  # the thread may wait for a free place; with one it finds that it is stopped
            ready.get_nowait()


def alike_batches(items: Iterable[T], size: int, length: Callable[[T], float]) -> Iterator[list[tuple[int, T]]]:
    """Batches of numbered items of similar length, so that little of a batch is padding.

    A batch is chosen among the next few batches' worth of items and always holds the oldest of them, so that nothing
    waits for long. The first batch is made of the first items: the choice grows afterwards. If `items` raises, what
    came before is batched first.

    Example:
        >>> words = ["aa", "bb", "c", "dddd", "eee", "f"]
        >>> [[word for _, word in batch] for batch in alike_batches(words, 2, len)]
        [['aa', 'bb'], ['c', 'f'], ['eee', 'dddd']]
    """
    numbered = enumerate(items)
    most = size * LOOK_AHEAD_BATCHES if size > 1 else 1
    wanted = size
    pool: list[tuple[int, T]] = []
    failure: Exception | None = None
    while True:
        try:
            while failure is None and len(pool) < wanted and (following := next(numbered, None)) is not None:
                pool.append(following)
        except Exception as error:
            failure = error
        if not pool:
            break
        by_length = sorted(pool, key=lambda entry: length(entry[1]))
        lengths = [length(item) for _, item in by_length]
        oldest = by_length.index(pool[0])
        starts = range(max(0, oldest - size + 1), min(oldest, len(pool) - size) + 1)
        start = min(starts, key=lambda start: lengths[start + size - 1] - lengths[start], default=0)
        batch = by_length[start : start + size]
        yield batch
        chosen = {number for number, _ in batch}
        pool = [entry for entry in pool if entry[0] not in chosen]
        wanted = min(wanted + size, most)
    if failure is not None:
        raise failure
