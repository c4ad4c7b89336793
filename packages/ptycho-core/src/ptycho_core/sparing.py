"""Keep finished results if a later step fails."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ptycho_config import PtychoError

__all__ = ["sparing_results"]

log = logging.getLogger(__name__)


@contextmanager
def sparing_results(without: str) -> Iterator[None]:
    """Turn a failure of the block into a warning, so that finished results are kept.

    The record of the warning has the exception as ``exc_info``.

    Parameters
    ----------
    without
        Beginning of the warning: what the results will lack.
    """
    try:
        yield
    except Exception as error:  # not even a bug is a reason to lose hours of work
        known = isinstance(error, PtychoError | OSError)
        text = " ".join(str(error).split()) or type(error).__name__
        if not known:
            text = f"internal error, please report it: {type(error).__name__}: {text}"
        log.warning("%s: %s", without, text, exc_info=error)
