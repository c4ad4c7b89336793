"""Physics-constrained networks for ptychography on TensorFlow."""

from ptycho_tf.__about__ import __version__
from ptycho_tf._require import require_tensorflow

__all__ = ["__version__", "require_tensorflow"]
