"""Devices of TensorFlow: one, or several with mirrored variables."""

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
        Names of the devices in TensorFlow.
    strategy : tf.distribute.Strategy or None
        Distribution strategy; None for a single device.
    """

    names: list[str]
    strategy: Any = None

    @property
    def count(self) -> int:
        """Number of devices that share the work."""
        return len(self.names)

    def scope(self) -> AbstractContextManager[Any]:
        """Context in which to build and use a model."""
        return tf.device(self.names[0]) if self.strategy is None else self.strategy.scope()

    def share(self, dataset: tf.data.Dataset) -> Any:
        """Distribute the batches of a data set over the devices in turn."""
        if self.strategy is None:
            return dataset
        return self.strategy.distribute_datasets_from_function(lambda context: dataset)  # noqa: ARG005 - its signature


def _logical(kind: str, wanted: int) -> list[str]:
    """Names of the devices of a kind; one CPU is divided into the number requested."""
    if kind == "CPU" and wanted > 1:
        (cpu, *_) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration() for _ in range(wanted)]
        try:
            tf.config.set_logical_device_configuration(cpu, parts)
        except RuntimeError:  # already divided, or in use as a single device
            log.debug("TensorFlow is already running: the division of its CPU is unchanged")
    return [device.name for device in tf.config.list_logical_devices(kind)]


def check_devices(execution: PyTorchExecutionConfig) -> str:
    """Refuse unavailable or unsupported devices and strategies; return the kind of device.

    Raises
    ------
    InvalidValueError
        If a setting is unsupported; the message lists the choices.
    """
    if execution.num_nodes > 1:
        rule, got = "1 with backend tensorflow", str(execution.num_nodes)
        raise InvalidValueError("num_nodes", rule, got, "use pytorch")
    if execution.strategy not in STRATEGIES:
        rule = f"one of {', '.join(STRATEGIES)} with backend tensorflow"
        raise InvalidValueError("strategy", rule, repr(execution.strategy))
    kinds = _KINDS[str(execution.accelerator)]
    kind = next((kind for kind in kinds if tf.config.list_physical_devices(kind)), None)
    if kind is None:
        available = sorted({d.device_type.lower() for d in tf.config.list_physical_devices()})
        rule = f"one that this machine has ({', '.join(available)})"
        raise InvalidValueError("accelerator", rule, repr(str(execution.accelerator)))
    return kind


def open_devices(execution: PyTorchExecutionConfig) -> Devices:
    """Find the devices of the execution settings.

    ``strategy`` may be ``mirrored``, TensorFlow's name, or ``ddp``, Lightning's for the same thing.

    Raises
    ------
    InvalidValueError
        If this machine does not have them, or TensorFlow does not support the settings.
    """
    kind = check_devices(execution)
    names = _logical(kind, execution.devices)
    if len(names) < execution.devices:
        rule = f"at most {len(names)}, all that TensorFlow has of kind {kind} in this process"
        raise InvalidValueError("devices", rule, str(execution.devices))
    names = names[: execution.devices]
    if execution.devices == 1:
        return Devices(names)
    return Devices(names, tf.distribute.MirroredStrategy(names))


def be_deterministic(value: bool | str) -> None:
    """Restrict TensorFlow to bit-reproducible operations, from now on in this process.

    With ``warn`` nothing changes: TensorFlow can only refuse other operations, not warn of them.
    """
    if value is True:
        tf.config.experimental.enable_op_determinism()


def device_names() -> list[str]:
    """Names of the devices that TensorFlow sees on this machine."""
    devices = tf.config.list_physical_devices()
    return [device.name.removeprefix("/physical_device:") for device in devices]
