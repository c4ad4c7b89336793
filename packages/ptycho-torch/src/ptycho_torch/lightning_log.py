"""Quieten the log of Lightning, and translate its errors."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from ptycho_config import InvalidValueError, PyTorchExecutionConfig

from ptycho_torch.clusters import cluster_environment
from ptycho_torch.devices import check_device

T = TypeVar("T")

_LOGGERS = ("lightning.pytorch", "lightning.fabric")
_HINTS = (
    ".*does not have many workers.*",  # batches are cheap to load
    ".*exists and is not empty.*",  # results are replaced only on request
    ".*LeafSpec.*",  # Lightning's own use of a name that torch is about to change
    ".*Grad strides do not match bucket view strides.*",  # of 1 x 1 convolutions; no error
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


def make(
    factory: Callable[..., T],
    execution: PyTorchExecutionConfig,
    *,
    strategy: str,
    plugins: Sequence[Any] = (),
    **more: Any,
) -> T:
    """Make a trainer or a fabric; report execution settings that do not work on this machine.

    Raises
    ------
    InvalidValueError
        Naming ``accelerator`` where this machine has no such device, and ``execution``, with
        Lightning's reason, otherwise.
    """
    settings: dict[str, Any] = {
        "accelerator": execution.accelerator,
        "devices": execution.devices,
        "precision": execution.precision,
        "strategy": strategy,
    }
    try:
        environment = cluster_environment(execution)
        parts = [*plugins, *([] if environment is None else [environment])]
        return factory(**settings, **more, num_nodes=execution.num_nodes, plugins=parts)
    except InvalidValueError:  # which is a ValueError, too
        raise
    except (MisconfigurationException, ModuleNotFoundError, RuntimeError, ValueError) as error:
        check_device(execution.accelerator)
        reason = " ".join(str(error).split())
        got = ", ".join(f"{name} {value!r}" for name, value in settings.items())
        raise InvalidValueError(
            "execution", "settings that work on this machine", got, reason
        ) from error


def make_fabric(execution: PyTorchExecutionConfig, strategy: str) -> Fabric:
    """Make a fabric; errors as those of `make`."""
    return make(Fabric, execution, strategy=strategy)
