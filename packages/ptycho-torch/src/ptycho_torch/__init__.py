"""Physics-constrained networks for ptychography on PyTorch.

The parts that need torch are imported where they are used: `ptycho_torch.training.train` makes a
bundle out of a scan, `ptycho_torch.reconstruction.reconstruct` an object out of both, and
`Reconstructor` one out of patterns that come batch by batch.
"""

from typing import TYPE_CHECKING

from ptycho_torch.__about__ import __version__
from ptycho_torch._require import require_torch

if TYPE_CHECKING:
    from ptycho_torch.reconstructor import Reconstructor

__all__ = ["Reconstructor", "__version__", "require_torch"]


def __getattr__(name: str) -> object:
    """Load `Reconstructor`, and with it PyTorch, when it is asked for."""
    if name == "Reconstructor":
        require_torch()
        from ptycho_torch.reconstructor import Reconstructor

        return Reconstructor
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
