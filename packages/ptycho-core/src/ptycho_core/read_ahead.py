"""Load items with threads, a few ahead of the consumer."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["read_ahead"]

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


def read_ahead(
    load: Callable[[Item], Loaded], items: Iterable[Item], *, workers: int, per_worker: int
) -> Generator[Loaded, None, None]:
    """Yield ``load(item)`` of every item, in order.

    Parameters
    ----------
    load
        Function that loads an item; called in threads.
    items
        Items; any number, consumed as needed.
    workers
        Number of threads; 0 loads in the caller's thread, when an item is requested.
    per_worker
        Number of items that each thread loads ahead.
    """
    if not workers:
        yield from map(load, items)
        return
    coming: deque[Future[Loaded]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            coming.append(pool.submit(load, item))
            if len(coming) > workers * per_worker:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
