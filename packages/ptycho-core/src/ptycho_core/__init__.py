"""What trainings and reconstructions share, whichever framework computes them."""

from ptycho_core.__about__ import __version__

__all__ = ["__version__"]
