"""Closed sets of values, for annotations, checks, options and schema."""

from enum import StrEnum
from typing import Literal

ModelType = Literal["pinn", "supervised"]
AmplitudeActivation = Literal["sigmoid", "swish", "softplus", "relu"]
Domain = Literal["counts", "amplitude"]
Accelerator = Literal["auto", "cpu", "gpu", "cuda", "tpu", "mps"]
Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
ClipAlgorithm = Literal["norm", "value"]
CheckpointMode = Literal["min", "max"]
LoggerBackend = Literal["csv", "tensorboard", "mlflow", "none"]


class Scheduler(StrEnum):
    """Learning rate schedules; members are strings and compare equal to their names.

    ``DEFAULT`` stands for the schedule recommended for the architecture in use.
    """

    DEFAULT = "Default"
    EXPONENTIAL = "Exponential"
    MULTI_STAGE = "MultiStage"
    ADAPTIVE = "Adaptive"
    WARMUP_COSINE = "WarmupCosine"
    REDUCE_LR_ON_PLATEAU = "ReduceLROnPlateau"
