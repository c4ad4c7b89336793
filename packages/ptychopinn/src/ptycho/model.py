"""Parameters of the model for older callers."""

from typing import Any

from ptycho._moved import MOVED
from ptycho.params import cfg

__all__ = ["params"]


def params() -> dict[str, Any]:
    """Return `ptycho.params.cfg` itself, with ``intensity_scale`` once a model is loaded."""
    return cfg


__getattr__ = MOVED.in_module(__name__)
