"""Training of a network: the call, the run, the probes it starts from, its model and records."""

from ptycho_core.training.call import train
from ptycho_core.training.model import TrainedModel
from ptycho_core.training.run import TrainingRun

__all__ = ["TrainedModel", "TrainingRun", "train"]
