"""Settings that cannot work here, told before any work is done."""

from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_config.loggers import check_logger

from ptycho_tf.devices import check_devices
from ptycho_tf.networks import check_architecture


def check_training(config: TrainingConfig, execution: PyTorchExecutionConfig) -> None:
    """Refuse an unknown network, and what TensorFlow or this machine cannot do.

    Raises
    ------
    ValueError
        Naming the setting, what can be chosen, and what was found.
    RuntimeError
        If the logger's package is missing.
    """
    check_architecture(config.model)
    check_logger(execution.logger_backend)
    check_devices(execution)
    if config.positions_trainable:
        msg = "positions_trainable: must be false with backend tensorflow, found true; use pytorch"
        raise ValueError(msg)


def check_inference(execution: PyTorchExecutionConfig) -> None:
    """Refuse a device that is not here.

    Raises
    ------
    ValueError
        Naming those that are.
    """
    check_devices(execution)
