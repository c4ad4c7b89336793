"""PtychoPINN behind the import name ptycho."""

from ptycho.__about__ import __version__

__all__ = ["__version__"]
