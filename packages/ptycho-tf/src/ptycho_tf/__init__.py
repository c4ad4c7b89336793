"""Physics-constrained networks for ptychography on TensorFlow.

`train` and `reconstruct` are those of `ptycho_core`, with this backend as the default. They import
TensorFlow when they run, and without it raise an error that says how to install it.
"""

from functools import partial
from typing import Any

from ptycho_core.frameworks import explain_missing

from ptycho_tf.__about__ import __version__

__all__ = ["__version__", "reconstruct", "train"]

explain_missing(
    __name__,
    ("tensorflow", "keras"),
    "run `pip install tensorflow-cpu` (`tensorflow` on a Mac or an ARM processor), or "
    "`pip install 'tensorflow[and-cuda]'` for NVIDIA GPUs",
)


def __getattr__(name: str) -> Any:
    """Import a function of `ptycho_core` on first use."""
    if name in ("reconstruct", "train"):
        import ptycho_core

        return partial(getattr(ptycho_core, name), backend="tensorflow")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
