"""Check settings against backend and machine before any work."""

import torch
from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_config.loggers import check_logger

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
    import lightning.pytorch as pl

    from ptycho_torch.lightning_log import make, quiet_lightning

    check_architecture(config.model)
    check_logger(execution.logger_backend)
    switch = torch.are_deterministic_algorithms_enabled()
    with quiet_lightning():
        make(
            pl.Trainer,
            accelerator=execution.accelerator,
            devices=execution.devices,
            num_nodes=execution.num_nodes,
            strategy=execution.strategy,
            precision=execution.precision,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    torch.use_deterministic_algorithms(switch)


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
