"""Settings that cannot work here, told before any work is done."""

from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError
from ptycho_config.loggers import check_logger

from ptycho_tf.devices import check_devices
from ptycho_tf.networks import ARCHITECTURES, Network, check_architecture


def check_training(
    config: TrainingConfig,
    execution: PyTorchExecutionConfig,
    scans: int = 1,  # noqa: ARG001 - any number will do
) -> None:
    """Refuse an unknown network, and what TensorFlow or this machine cannot do.

    Raises
    ------
    InvalidValueError
        Naming the setting, what can be chosen, and what was found.
    MissingPackageError
        If the logger's package is missing.
    """
    check_architecture(config.model)
    check_logger(execution.logger_backend)
    check_devices(execution)


def recommended_rate(model: ModelConfig) -> float:
    """Return the learning rate that the network of a model recommends."""
    kind = ARCHITECTURES[model.architecture]
    return float(getattr(kind, "recommended_rate", Network.recommended_rate))


def check_inference(execution: PyTorchExecutionConfig) -> None:
    """Refuse a device that is not here, and several of them.

    Raises
    ------
    InvalidValueError
        Naming those that are here.
    """
    check_devices(execution)
    if execution.devices != 1:
        raise InvalidValueError(
            "devices",
            "1 to reconstruct with backend tensorflow",
            str(execution.devices),
            "use pytorch",
        )
