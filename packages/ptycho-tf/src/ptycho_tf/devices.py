"""Where TensorFlow computes: one device, or several that mirror each other."""

import logging
from contextlib import AbstractContextManager
from typing import Any

from attrs import frozen
from ptycho_config import PyTorchExecutionConfig
from ptycho_config.errors import InvalidValueError

from ptycho_tf.frameworks import tf

log = logging.getLogger(__name__)

STRATEGIES = ("auto", "ddp", "mirrored")
_KINDS: dict[str, tuple[str, ...]] = {
    "auto": ("GPU", "CPU"),
    "cpu": ("CPU",),
    "cuda": ("GPU",),
    "gpu": ("GPU",),
    "mps": ("MPS",),
    "tpu": ("TPU",),
}


@frozen(eq=False)
class Devices:
    """The devices of a run.

    Attributes
    ----------
    names : list of str
        As TensorFlow calls them.
    strategy : tf.distribute.Strategy or None
        What joins them, where there are several.
    """

    names: list[str]
    strategy: Any = None

    @property
    def count(self) -> int:
        """Devices that share the work."""
        return len(self.names)

    def scope(self) -> AbstractContextManager[Any]:
        """Context in which to make a model and to use it."""
        return tf.device(self.names[0]) if self.strategy is None else self.strategy.scope()

    def share(self, dataset: tf.data.Dataset) -> Any:
        """Let the devices take the batches of a data set in turn."""
        if self.strategy is None:
            return dataset
        return self.strategy.distribute_datasets_from_function(lambda context: dataset)  # noqa: ARG005 - its signature


def _refused(execution: PyTorchExecutionConfig, rule: str) -> InvalidValueError:
    got = (
        f"accelerator {execution.accelerator!r}, devices {execution.devices}, num_nodes "
        f"{execution.num_nodes}, strategy {execution.strategy!r}"
    )
    return InvalidValueError("execution", "settings that work on this machine", got, rule)


def _logical(kind: str, wanted: int) -> list[str]:
    """Names of the devices of a kind; one CPU is divided into as many as are wanted."""
    if kind == "CPU" and wanted > 1:
        (cpu, *_) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration() for _ in range(wanted)]
        try:
            tf.config.set_logical_device_configuration(cpu, parts)
        except RuntimeError:  # it was divided before, or is in use in one piece
            log.debug("TensorFlow runs already: its CPU stays divided as it is")
    return [device.name for device in tf.config.list_logical_devices(kind)]


def check_devices(execution: PyTorchExecutionConfig) -> str:
    """Refuse what this machine does not have, or TensorFlow cannot do; return the kind of device.

    Raises
    ------
    InvalidValueError
        Naming what there is.
    """
    if execution.num_nodes > 1:
        raise _refused(execution, "several computers need the pytorch backend")
    if execution.strategy not in STRATEGIES:
        raise _refused(execution, f"strategies here are {', '.join(STRATEGIES)}")
    kinds = _KINDS[str(execution.accelerator)]
    kind = next((kind for kind in kinds if tf.config.list_physical_devices(kind)), None)
    if kind is None:
        found = {d.device_type.lower() for d in tf.config.list_physical_devices()}
        raise _refused(execution, f"TensorFlow finds {', '.join(sorted(found))}")
    return kind


def open_devices(execution: PyTorchExecutionConfig) -> Devices:
    """Find the devices that the execution settings ask for.

    ``strategy`` may be ``mirrored``, TensorFlow's name, or ``ddp``, Lightning's for the same thing.

    Raises
    ------
    InvalidValueError
        If this machine does not have them, or TensorFlow cannot do what is asked for.
    """
    kind = check_devices(execution)
    names = _logical(kind, execution.devices)
    if len(names) < execution.devices:
        raise _refused(execution, f"TensorFlow has {len(names)} of kind {kind} in this process")
    names = names[: execution.devices]
    if execution.devices == 1:
        return Devices(names)
    return Devices(names, tf.distribute.MirroredStrategy(names))


def be_deterministic(value: bool | str) -> None:
    """Let TensorFlow use only operations that repeat bit by bit, from now on in this process.

    ``warn`` asks for operations that cannot: TensorFlow would refuse them, so nothing changes.
    """
    if value is True:
        tf.config.experimental.enable_op_determinism()


def device_names() -> list[str]:
    """Names of the devices that TensorFlow sees on this machine."""
    devices = tf.config.list_physical_devices()
    return [device.name.removeprefix("/physical_device:") for device in devices]
