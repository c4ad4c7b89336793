"""Loading with threads, a few items ahead of who needs them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["read_ahead"]

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


def read_ahead(
    load: Callable[[Item], Loaded], items: Iterable[Item], *, workers: int, per_worker: int
) -> Iterator[Loaded]:
    """Yield ``load(item)`` of every item, in order.

    Parameters
    ----------
    load
        Called in threads.
    items
        Of any number; taken up as they are needed.
    workers
        Number of threads; 0 loads in the caller's own, when an item is asked for.
    per_worker
        Items that each thread may be ahead.
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
