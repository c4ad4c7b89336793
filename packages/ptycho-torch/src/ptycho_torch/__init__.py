"""Physics-constrained networks for ptychography on PyTorch.

The parts that need torch are imported where they are used: `ptycho_torch.training.train` makes a
bundle out of a scan, `ptycho_torch.reconstruction.reconstruct` an object out of both, and
`Reconstructor` one out of patterns that come batch by batch.
"""

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ptycho_torch.__about__ import __version__
from ptycho_torch._require import require_torch

if TYPE_CHECKING:
    from ptycho_torch.reconstructor import Reconstructor

__all__ = ["Reconstructor", "__version__", "reconstruct", "require_torch", "train"]


def __getattr__(name: str) -> Any:
    """Load `Reconstructor`, and with it PyTorch, or a call of `ptycho_core` when asked for.

    `train` is the module `ptycho_torch.train`, which can be called: a program that starts it by
    name and one that calls it find the same object.
    """
    if name == "train":
        return import_module("ptycho_torch.train")
    if name == "reconstruct":
        import ptycho_core

        return partial(ptycho_core.reconstruct, backend="pytorch")
    if name == "Reconstructor":
        require_torch()
        from ptycho_torch.reconstructor import Reconstructor

        return Reconstructor
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
