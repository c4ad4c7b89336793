"""Check settings against backend and machine before any work."""

from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError
from ptycho_config.loggers import check_logger

from ptycho_tf.devices import check_devices
from ptycho_tf.networks import NETWORKS


def check_training(
    config: TrainingConfig,
    execution: PyTorchExecutionConfig,
    scans: int = 1,  # noqa: ARG001 - any number is supported
) -> None:
    """Refuse an unknown network, and settings that TensorFlow or this machine does not support.

    Raises
    ------
    InvalidValueError
        If a setting is invalid; the message names the setting, the choices and the value.
    MissingPackageError
        If the logger's package is missing.
    """
    NETWORKS.to_train(config.model)
    check_logger(execution.logger_backend)
    check_devices(execution)


def check_inference(execution: PyTorchExecutionConfig) -> None:
    """Refuse a device that this machine does not have, and several devices.

    Raises
    ------
    InvalidValueError
        If it is missing; the message lists the devices present.
    """
    check_devices(execution)
    if execution.devices != 1:
        raise InvalidValueError(
            "devices",
            "1 to reconstruct with backend tensorflow",
            str(execution.devices),
            "use pytorch",
        )
