"""Check settings against backend and machine before any work."""

from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_config.loggers import check_logger

from ptycho_torch.devices import check_device
from ptycho_torch.networks import NETWORKS


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

    NETWORKS.to_train(config.model)
    check_logger(execution.logger_backend)
    check_trainer(execution)


def check_inference(execution: PyTorchExecutionConfig) -> None:
    """Refuse a device that this machine does not have.

    Raises
    ------
    InvalidValueError
        If it is missing; the message lists the devices present.
    """
    check_device(execution.accelerator)
