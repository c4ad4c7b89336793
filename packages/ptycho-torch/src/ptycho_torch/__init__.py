"""Physics-constrained networks for ptychography on PyTorch.

The parts that need torch are imported where they are used: `ptycho_torch.training.train` makes a
bundle out of a scan, `ptycho_torch.reconstruction.reconstruct` an object out of both.
"""

from ptycho_torch.__about__ import __version__

__all__ = ["__version__"]
