"""Settings that cannot work here, told before any work is done."""

from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_config.loggers import check_logger

from ptycho_tf.devices import check_devices
from ptycho_tf.networks import ARCHITECTURES, Network, check_architecture


def check_training(
    config: TrainingConfig, execution: PyTorchExecutionConfig, scans: int = 1
) -> None:
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
    if scans != 1:
        msg = f"scan: one expected with backend tensorflow, found {scans}; use pytorch"
        raise ValueError(msg)
    if config.positions_trainable:
        msg = "positions_trainable: must be false with backend tensorflow, found true; use pytorch"
        raise ValueError(msg)


def recommended_rate(model: ModelConfig) -> float:
    """Return the learning rate that the network of a model recommends."""
    kind = ARCHITECTURES[model.architecture]
    return float(getattr(kind, "recommended_rate", Network.recommended_rate))


def check_inference(execution: PyTorchExecutionConfig) -> None:
    """Refuse a device that is not here, and several of them.

    Raises
    ------
    ValueError
        Naming those that are here.
    """
    check_devices(execution)
    if execution.devices != 1:
        msg = (
            f"devices: one expected to reconstruct with backend tensorflow, found "
            f"{execution.devices}; use pytorch"
        )
        raise ValueError(msg)
