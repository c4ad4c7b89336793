"""Progress of a run, as the two calls and the command show it.

A progress display is a function ``progress(total, label)`` that returns a context manager. It
yields ``update(done, remark)``, which reports how many of the `total` steps are done.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar

from ptycho_config.log_format import PlainFormatter

from ptycho_core.displays import displayed
from ptycho_core.progress_bar import Bar

__all__ = [
    "Progress",
    "counter",
    "current_work",
    "log_to_stderr",
    "no_progress",
    "part_of",
    "show_progress",
]

log = logging.getLogger(__name__)

Update = Callable[[int, str], None]
Progress = Callable[[int, str], AbstractContextManager[Update]]

_work: ContextVar[str] = ContextVar("work", default="")


@contextmanager
def show_progress(total: int, label: str) -> Iterator[Update]:
    """Show a bar on a terminal or in a notebook, else a log line now and then; one at the end."""
    bar = Bar(label, total, within=current_work())

    def update(done: int, remark: str = "") -> None:
        bar.move(done, [f"{done}/{total}", remark])
        draw()

    with displayed(bar) as draw:
        yield update
    if bar.done:
        log.info("%s", bar.sentence(ended=True))


@contextmanager
def no_progress(_total: int, _label: str) -> Iterator[Update]:
    """Show nothing."""

    def update(_done: int, _remark: str = "") -> None:
        pass

    yield update


@contextmanager
def part_of(work: str) -> Iterator[None]:
    """Say of every progress shown meanwhile which larger work it is a part of: ``3/50 scan_7``."""
    token = _work.set(work)
    try:
        yield
    finally:
        _work.reset(token)


def current_work() -> str:
    """Return the larger work that `part_of` has named; empty if none is."""
    return _work.get()


@contextmanager
def counter(progress: Progress, label: str) -> Iterator[Callable[[int, int], None]]:
    """Show the progress of work whose length is known only after it has begun.

    Yields
    ------
    Callable
        ``update(done, total)``.
    """
    with ExitStack() as stack:
        advance: Update | None = None

        def update(done: int, total: int) -> None:
            nonlocal advance
            if advance is None:
                advance = stack.enter_context(progress(total, label))
            advance(done, "")

        yield update


@contextmanager
def log_to_stderr(*packages: str) -> Iterator[None]:
    """Show log lines of our packages on standard error, unless the program handles logs itself.

    Parameters
    ----------
    packages
        Names of the loggers, with everything below them.
    """
    if logging.getLogger().handlers:
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter("%(message)s"))
    loggers = [logging.getLogger(name) for name in packages]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        if not logger.isEnabledFor(logging.INFO):
            logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
