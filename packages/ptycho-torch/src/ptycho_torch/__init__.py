"""Physics-constrained networks for ptychography on PyTorch.

Modules that need PyTorch are imported on first use, and without it raise an error that says how to
install it: `ptycho_torch.training.train` makes a bundle from a scan,
`ptycho_torch.reconstruction.reconstruct` makes an object from a bundle and a scan, and
`Reconstructor` makes one from patterns that arrive batch by batch.
"""

import ptycho_config  # noqa: F401  # first: ``python -m ptycho_torch.train`` must not import data

# isort: split
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ptycho_core.frameworks import explain_missing

from ptycho_torch.__about__ import __version__
from ptycho_torch._moved import MOVED

if TYPE_CHECKING:
    from ptycho_torch.reconstructor import Reconstructor

__all__ = ["Reconstructor", "__version__", "reconstruct", "train"]

explain_missing(__name__, ("torch", "lightning"), "run `pip install torch lightning`")
MOVED.install()


def __getattr__(name: str) -> Any:
    """Import `Reconstructor`, and with it PyTorch, or a function of `ptycho_core` on first use.

    `train` is the module `ptycho_torch.train`, which is callable: ``python -m ptycho_torch.train``
    and ``ptycho_torch.train(scan)`` use the same object.
    """
    if name == "train":
        return import_module("ptycho_torch.train")
    if name == "reconstruct":
        import ptycho_core

        return partial(ptycho_core.reconstruct, backend="pytorch")
    if name == "Reconstructor":
        from ptycho_torch.reconstructor import Reconstructor

        return Reconstructor
    return MOVED.in_module(__name__)(name)
