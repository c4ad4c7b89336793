"""Progress of a run, as the two calls and the command show it.

A progress display is a function ``progress(total, label)`` that returns a context manager. It
yields ``update(done, remark)``, which reports how many of the `total` steps are done.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from ptycho_config.log_format import PlainFormatter

from ptycho_core.progress.bar import Bar
from ptycho_core.progress.displays import displayed

__all__ = [
    "Progress",
    "counter",
    "log_to_stderr",
    "no_progress",
    "show_progress",
]

log = logging.getLogger(__name__)

Update = Callable[[int, str], None]
Progress = Callable[[int, str], AbstractContextManager[Update]]


@contextmanager
def show_progress(total: int, label: str) -> Iterator[Update]:
    """Show a bar on a terminal or in a notebook, else a log line now and then; one at the end."""
    bar = Bar(label, total)

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
