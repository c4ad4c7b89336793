"""Export of a trained network for programs without this package: see `docs/export.md`."""

from ptycho_torch.exporting.files import export

__all__ = ["export"]
