"""Check settings against backend and machine before any work."""

from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError
from ptycho_config.loggers import check_logger
from ptycho_core import fine_tuning
from ptycho_data import Bundle

from ptycho_tf.devices import check_devices
from ptycho_tf.networks import check_architecture, network_class


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
    check_architecture(config.model)
    check_logger(execution.logger_backend)
    check_devices(execution)


def check_start(start: Bundle, model: ModelConfig) -> None:
    """Refuse to train from a model of another network: see `ptycho_core.fine_tuning`.

    Raises
    ------
    InvalidValueError
        Naming the first setting that differs.
    """
    fine_tuning.check_start(start, model, network_class(model.architecture))


def recommended_rate(model: ModelConfig) -> float:
    """Return the learning rate that the network of a model to be trained recommends."""
    check_architecture(model)
    return network_class(model.architecture).recommended_rate


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
