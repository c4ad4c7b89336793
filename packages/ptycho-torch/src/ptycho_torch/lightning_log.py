"""Quieten the log of Lightning, and translate its errors."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from ptycho_config import InvalidValueError

from ptycho_torch.devices import check_device

T = TypeVar("T")

_LOGGERS = ("lightning.pytorch", "lightning.fabric")
_HINTS = (
    ".*does not have many workers.*",  # batches are cheap to load
    ".*exists and is not empty.*",  # results are replaced only on request
    ".*LeafSpec.*",  # Lightning's own use of a name that torch is about to change
    ".*GPU available but not used.*",  # the accelerator is chosen by the configuration
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's messages about the machine, and its advertising."""
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
    """Make a trainer or a fabric; report execution settings that do not work on this machine.

    Raises
    ------
    InvalidValueError
        Naming ``accelerator`` where this machine has no such device, and ``execution``, with
        Lightning's reason, otherwise.
    """
    try:
        return factory(**settings)
    except (MisconfigurationException, ModuleNotFoundError, RuntimeError, ValueError) as error:
        check_device(settings["accelerator"])
        reason = " ".join(str(error).split())
        asked = {name: settings.get(name) for name in ("accelerator", "devices", "precision")}
        asked["strategy"] = settings.get("strategy", "auto")
        got = ", ".join(f"{name} {value!r}" for name, value in asked.items())
        raise InvalidValueError(
            "execution", "settings that work on this machine", got, reason
        ) from error


def make_fabric(**settings: Any) -> Fabric:
    """Make a fabric; errors as those of `make`."""
    return make(Fabric, **settings)
