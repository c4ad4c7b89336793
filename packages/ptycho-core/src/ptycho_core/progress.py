"""Progress of a run: a bar on a terminal, otherwise an occasional log line.

A progress display is a function ``progress(total, label)`` that returns a context manager. It
yields ``update(done, remark)``, which reports how many of the `total` steps are done.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

__all__ = ["Progress", "counter", "log_to_stderr", "no_progress", "text_progress"]

log = logging.getLogger(__name__)

Update = Callable[[int, str], None]
Progress = Callable[[int, str], AbstractContextManager[Update]]

LOG_INTERVAL = 10.0
"""Seconds between two log lines where there is no terminal."""

BAR = 30
"""Length of a full bar, in characters."""


@contextmanager
def text_progress(total: int, label: str) -> Iterator[Update]:
    """Show a bar on a terminal, else a log line every `LOG_INTERVAL` seconds and at the end."""
    terminal = sys.stderr.isatty()
    last = time.monotonic()

    def update(done: int, remark: str = "") -> None:
        nonlocal last
        if terminal:
            bar = "#" * (BAR * done // max(total, 1))
            sys.stderr.write(f"\r{label} [{bar:<{BAR}}] {done}/{total} {remark}\x1b[K")
        elif done >= total or time.monotonic() - last >= LOG_INTERVAL:
            last = time.monotonic()
            log.info("%s: %d/%d %s", label, done, total, remark)

    yield update
    if terminal:
        sys.stderr.write("\n")


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
    handler.setFormatter(logging.Formatter("%(message)s"))
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
