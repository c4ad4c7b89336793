"""Check settings against backend and machine before any work."""

from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_config.loggers import check_logger
from ptycho_core import fine_tuning
from ptycho_data import Bundle

from ptycho_torch.devices import check_device
from ptycho_torch.networks import check_architecture, network_class


def check_training(
    config: TrainingConfig,
    execution: PyTorchExecutionConfig,
    scans: int = 1,  # noqa: ARG001 - any number is supported
) -> None:
    """Refuse an unknown network, and devices, strategies and precisions that are unavailable here.

    Raises
    ------
    InvalidValueError
        Naming the setting, what can be chosen, and what was found.
    MissingPackageError
        If the logger's package is missing.
    """
    from ptycho_torch.fitting import check_trainer

    check_architecture(config.model)
    check_logger(execution.logger_backend)
    check_trainer(execution)


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
    """Refuse a device that this machine does not have.

    Raises
    ------
    InvalidValueError
        If it is missing; the message lists the devices present.
    """
    check_device(execution.accelerator)
