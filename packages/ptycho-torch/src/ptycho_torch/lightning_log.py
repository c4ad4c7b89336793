"""Quieten the log of Lightning, and translate its errors."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from lightning.fabric.utilities.exceptions import MisconfigurationException

T = TypeVar("T")

_LOGGERS = ("lightning.pytorch", "lightning.fabric")
_HINTS = (
    ".*does not have many workers.*",  # batches are cheap to load
    ".*exists and is not empty.*",  # results are replaced only when that was asked for
    ".*LeafSpec.*",  # Lightning's own use of a name that torch is about to change
    ".*GPU available but not used.*",  # the accelerator is chosen by the configuration
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's remarks on the machine, and its advertising, off the log."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for hint in _HINTS:
                warnings.filterwarnings("ignore", message=hint)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def make(factory: Callable[..., T], **settings: Any) -> T:
    """Make a trainer or a fabric; execution settings that this machine refuses are a ValueError.

    Raises
    ------
    ValueError
        With Lightning's reason, for example that there is no such accelerator here.
    """
    try:
        return factory(**settings)
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        msg = (
            f"execution: accelerator {settings.get('accelerator')!r}, devices "
            f"{settings.get('devices')!r}, precision {settings.get('precision')!r} and strategy "
            f"{settings.get('strategy', 'auto')!r} must work on this machine: {reason}"
        )
        raise ValueError(msg) from error
