"""A reconstruction against a reference, over the rectangle that was scanned.

Both are placed on the object grid by their origins and cut to the bounding box of the patch
centres; what is left of a shift and one complex factor is removed by the comparison itself.
"""

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data import (
    Reconstruction,
    ReconstructionError,
    ScanFormatError,
    format_of,
    list_arrays,
    load_arrays,
    load_parts,
    load_reconstruction,
)
from ptycho_physics import Canvas
from ptycho_physics.metrics import Comparison, compare

from ptycho_cli.sources import as_complex

__all__ = [
    "Placed",
    "canvas_of",
    "compare_placed",
    "metrics_of",
    "read_reconstruction",
    "read_reference",
]

#: Smallest side of a rectangle that can be compared, pixels.
SMALLEST = 16

Box = tuple[int, int, int, int]


@frozen(kw_only=True, eq=False)
class Placed:
    """An object that knows where it lies on the object grid.

    Attributes
    ----------
    name
        What to call it.
    values : (H, W) complex64 array
    origin
        Object-grid pixel ``(x, y)`` of ``values[0, 0]``.
    centres : (k, 2) float64 array or None
        Patch centres ``(x, y)`` on the object grid.
    pixel_size_m
        Object pixel in metres, where known.
    """

    name: str
    values: NDArray[np.complex64]
    origin: tuple[int, int] = (0, 0)
    centres: NDArray[np.float64] | None = None
    pixel_size_m: float | None = None

    @classmethod
    def of(cls, rec: Reconstruction, name: str = "reconstruction") -> "Placed":
        """Place a reconstruction by its own origin."""
        x0, y0 = (int(value) for value in rec.origin)
        return cls(
            name=name,
            values=rec.object,
            origin=(x0, y0),
            centres=np.stack([rec.xcoords + x0, rec.ycoords + y0], axis=1),
            pixel_size_m=rec.pixel_size_m,
        )

    def box(self) -> Box:
        """Left, top, right, bottom (exclusive): the scanned rectangle, or the whole object."""
        x0, y0 = self.origin
        height, width = self.values.shape
        if self.centres is None:
            return x0, y0, x0 + width, y0 + height
        low, high = self.centres.min(axis=0), self.centres.max(axis=0)
        return (
            max(math.ceil(low[0]), x0),
            max(math.ceil(low[1]), y0),
            min(math.floor(high[0]) + 1, x0 + width),
            min(math.floor(high[1]) + 1, y0 + height),
        )

    def cut(self, box: Box) -> NDArray[np.complex64]:
        """Part of the object in a box of the object grid."""
        x0, y0 = self.origin
        left, top, right, bottom = box
        return self.values[top - y0 : bottom - y0, left - x0 : right - x0]


def canvas_of(rec: Reconstruction) -> Canvas:
    """Return where the object of a reconstruction lies on the object grid."""
    x0, y0 = (int(value) for value in rec.origin)
    height, width = rec.object.shape
    return Canvas(origin=(x0, y0), shape=(height, width))


def read_reconstruction(path: Path) -> Placed:
    """Read ``reconstruction.npz``, or the one in a folder.

    Raises
    ------
    ReconstructionError
        There is none, or it is damaged.
    """
    file = path / "reconstruction.npz" if path.is_dir() else path
    held: list[str] = []
    with suppress(ScanFormatError):  # what cannot be read at all is told below
        held = [name for name, _ in list_arrays(file)]
    if held and "object" not in held:
        msg = (
            f"{file}: not a reconstruction: an array `object` expected, found only "
            f"{', '.join(held)}; name a reconstruction.npz or the folder that holds it"
        )
        raise ReconstructionError(msg)
    return Placed.of(load_reconstruction(file), path.name or str(path))


def read_reference(path: Path) -> Placed:
    """Read what to compare with: another reconstruction, or the ``objectGuess`` of a scan.

    Raises
    ------
    ValueError
        The file has neither.
    """
    if (path / "reconstruction.npz").is_file():
        return read_reconstruction(path)
    if format_of(path).name == "npz":
        found = load_arrays(path, (), optional=("objectGuess", "object", "origin", "coverage"))
    else:
        found = load_parts(path, ("objectGuess",))
    if "origin" in found and "coverage" in found:
        return read_reconstruction(path)
    if "objectGuess" not in found:
        msg = (
            f"{path}: a scan with objectGuess or a reconstruction.npz expected, found neither; "
            "without a reference the R-factor in metrics.json tells how well the data are met"
        )
        raise ValueError(msg)
    return Placed(name=path.name, values=as_complex(found["objectGuess"], 2, path, "objectGuess"))


def common_box(a: Placed, b: Placed) -> Box:
    """Rectangle of the object grid that both cover.

    Raises
    ------
    ValueError
        It is empty or too small to say anything.
    """
    one, two = a.box(), b.box()
    left, top = (max(p, q) for p, q in zip(one[:2], two[:2], strict=True))
    right, bottom = (min(p, q) for p, q in zip(one[2:], two[2:], strict=True))
    if right - left < SMALLEST or bottom - top < SMALLEST:
        msg = (
            f"{a.name} and {b.name} must share at least {SMALLEST} x {SMALLEST} pixels of the "
            f"object grid; x, y range {one[0]}..{one[2]}, {one[1]}..{one[3]} and "
            f"{two[0]}..{two[2]}, {two[1]}..{two[3]}: are they of one scan?"
        )
        raise ValueError(msg)
    return left, top, right, bottom


def compare_placed(a: Placed, b: Placed, *, remove_ramp: bool = False) -> tuple[Comparison, Box]:
    """Compare a reconstruction with a reference over their common rectangle."""
    box = common_box(a, b)
    return compare(a.cut(box), b.cut(box), remove_ramp=remove_ramp), box


def metrics_of(comparison: Comparison, box: Box) -> dict[str, Any]:
    """Figures of a comparison, ready for JSON, with the rectangle they are of.

    A cutoff of the ``frc`` that is not crossed is the last frequency of the curve.
    """
    left, top, right, bottom = box
    return {**comparison.to_dict(), "region": {"x": [left, right], "y": [top, bottom]}}
