"""Reconstruction with a trained network: the call, the run, its work and its model."""

from ptycho_core.models import OpenedModel
from ptycho_core.reconstruction.call import reconstruct
from ptycho_core.reconstruction.run import ReconstructionRun
from ptycho_core.reconstruction.work import Extras

__all__ = ["Extras", "OpenedModel", "ReconstructionRun", "reconstruct"]
