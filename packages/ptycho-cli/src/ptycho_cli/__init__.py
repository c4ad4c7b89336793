"""The ptycho command."""

import ptycho_config  # noqa: F401  # first: ``python -m ptycho_cli`` must not import from the data

# isort: split
from ptycho_cli.__about__ import __version__

__all__ = ["__version__"]
