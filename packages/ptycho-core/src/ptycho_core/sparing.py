"""Finished results survive a failure of what is computed from them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ptycho_config import PtychoError

__all__ = ["sparing_results"]

log = logging.getLogger(__name__)


@contextmanager
def sparing_results(without: str) -> Iterator[None]:
    """Let the block fail with a warning: results that are finished are worth more than its own.

    The record of the warning has the exception as ``exc_info``.

    Parameters
    ----------
    without
        What the results will lack: the beginning of the warning.
    """
    try:
        yield
    except Exception as error:  # a defect of ours, too, is no reason to lose hours of work
        known = isinstance(error, PtychoError | OSError)
        text = " ".join(str(error).split()) or type(error).__name__
        if not known:
            text = f"internal error, please report it: {type(error).__name__}: {text}"
        log.warning("%s: %s", without, text, exc_info=error)
