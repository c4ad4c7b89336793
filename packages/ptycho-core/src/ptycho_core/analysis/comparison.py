"""Comparison of a reconstruction with a reference over the scanned rectangle.

Both objects are placed on the object grid by their origins and cut to the bounding box of the patch
centres. The comparison itself removes the remaining shift and one complex factor.
"""

import math
from contextlib import suppress
from pathlib import Path

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, MissingFileError
from ptycho_data import (
    RECONSTRUCTION_SET,
    Reconstruction,
    ReconstructionError,
    Scan,
    ScanFormatError,
    format_of,
    list_arrays,
    load_object,
    load_reconstruction,
    read_set,
)
from ptycho_physics import Canvas

from ptycho_core.file_arrays import complex_array

__all__ = [
    "Box",
    "PlacedObject",
    "canvas_of",
    "common_box",
    "read_reconstruction",
    "read_reference",
]

#: Smallest side of a rectangle that can be compared, pixels.
SMALLEST_SIDE = 16

#: Pixels that differ by more than this are of different size: over a thousand of them, by one.
SAME_PIXEL = 1e-3

#: Left, top, right and bottom (exclusive) of a rectangle on the object grid, pixels.
Box = tuple[int, int, int, int]


@frozen(kw_only=True, eq=False)
class PlacedObject:
    """An object and its place on the object grid.

    Attributes
    ----------
    name : str
        Name in messages.
    values : (H, W) complex64 array
    origin : (int, int)
        Object-grid pixel ``(x, y)`` of ``values[0, 0]``.
    centres : (k, 2) float64 array or None
        Patch centres ``(x, y)`` on the object grid.
    pixel_size_m : float or None
        Object pixel in metres, if known.
    origin_m : (float, float) or None
        Where pixel ``(0, 0)`` of the object grid lies on the stage, in metres, if known.
    """

    name: str
    values: NDArray[np.complex64]
    origin: tuple[int, int] = (0, 0)
    centres: NDArray[np.float64] | None = None
    pixel_size_m: float | None = None
    origin_m: tuple[float, float] | None = None

    @classmethod
    def from_reconstruction(
        cls, rec: Reconstruction, name: str = "reconstruction"
    ) -> "PlacedObject":
        """Place the object of a reconstruction at the reconstruction's origin."""
        x0, y0 = (int(value) for value in rec.origin)
        return cls(
            name=name,
            values=rec.object,
            origin=(x0, y0),
            centres=np.stack([rec.xcoords + x0, rec.ycoords + y0], axis=1),
            pixel_size_m=rec.pixel_size_m,
            origin_m=rec.origin_m,
        )

    @classmethod
    def from_scan(cls, scan: Scan) -> "PlacedObject":
        """Place the ``object_guess`` of a scan.

        Raises
        ------
        InvalidValueError
            If the scan has none.
        """
        if scan.object_guess is None:
            raise InvalidValueError(
                f"objectGuess of {scan.source or 'the scan'}",
                "given for a comparison",
                "none",
                "without a reference, see the R-factor in metrics.json",
            )
        return cls(
            name="objectGuess",
            values=scan.object_guess,
            pixel_size_m=scan.pixel_size_m,
            origin_m=scan.origin_m,
        )

    def box(self) -> Box:
        """Bounding box of the patch centres, or of the whole object if there are none."""
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

    def on_grid_of(self, other: "PlacedObject") -> "PlacedObject":
        """Return this object on the grid of another, laid by metres if both know their place.

        What is left of the shift, less than a pixel, is for the comparison to remove.

        Raises
        ------
        InvalidValueError
            If the pixels are known to be of different size.
        """
        mine, theirs = self.pixel_size_m, other.pixel_size_m
        if mine is not None and theirs is not None and abs(mine / theirs - 1) > SAME_PIXEL:
            raise InvalidValueError(
                f"the object pixel of {self.name}",
                f"that of {other.name}, {theirs * 1e9:.6g} nm",
                f"{mine * 1e9:.6g} nm",
                "resample one of them to compare the two",
            )
        pixel = mine or theirs
        if pixel is None or self.origin_m is None or other.origin_m is None:
            return self
        x, y = (round((a - b) / pixel) for a, b in zip(self.origin_m, other.origin_m, strict=True))
        return evolve(
            self,
            origin=(self.origin[0] + x, self.origin[1] + y),
            centres=None if self.centres is None else self.centres + np.array([x, y]),
            origin_m=other.origin_m,
        )

    def cut(self, box: Box) -> NDArray[np.complex64]:
        """Return the part of the object inside a box."""
        x0, y0 = self.origin
        left, top, right, bottom = box
        return self.values[top - y0 : bottom - y0, left - x0 : right - x0]


def canvas_of(rec: Reconstruction) -> Canvas:
    """Return where the object of a reconstruction lies on the object grid."""
    x0, y0 = (int(value) for value in rec.origin)
    height, width = rec.object.shape
    return Canvas(origin=(x0, y0), shape=(height, width))


def read_reconstruction(path: Path) -> PlacedObject:
    """Read ``reconstruction.npz``, or the one in a folder.

    Raises
    ------
    MissingFileError
        If there is none.
    ReconstructionError
        If it is damaged, or not a reconstruction.
    ResultSetError
        If the files of the folder do not belong together.
    """
    file = read_set(path, RECONSTRUCTION_SET) if path.is_dir() else path
    if not file.is_file():
        msg = f"{file}: no such file; give a reconstruction.npz or the folder that holds it"
        raise MissingFileError(msg)
    keys: list[str] = []
    with suppress(ScanFormatError):  # load_reconstruction below reports an unreadable file
        keys = [name for name, _ in list_arrays(file)]
    if keys and "object" not in keys:
        msg = (
            f"{file} must be a reconstruction with an array `object`, got only {', '.join(keys)}; "
            "give a reconstruction.npz or the folder that holds it"
        )
        raise ReconstructionError(msg)
    return PlacedObject.from_reconstruction(load_reconstruction(file), path.name or str(path))


def read_reference(path: Path) -> PlacedObject:
    """Read a reference: another reconstruction, or the ``objectGuess`` of a scan.

    Raises
    ------
    InvalidValueError
        If the file holds neither.
    ReconstructionError, ScanFormatError
        If the file is damaged.
    """
    if path.is_dir() and read_set(path, RECONSTRUCTION_SET).is_file():
        return read_reconstruction(path)
    if format_of(path).name == "npz":
        members = {name for name, _ in list_arrays(path)}
        if members >= {"origin", "coverage"}:
            return read_reconstruction(path)
    stored = load_object(path)
    if stored is None:
        raise InvalidValueError(
            f"{path}",
            "a scan with objectGuess or a reconstruction.npz",
            "a file without either",
            "without a reference, see the R-factor in metrics.json",
        )
    # On the grid whose zero is that of the file's metres, which is that of a result whose place on
    # the stage is not known.
    x, y = (round(value) for value in stored.origin)
    place, pixel = stored.origin_m, stored.pixel_size_m
    return PlacedObject(
        name=path.name,
        values=complex_array(stored.values, 2, path, "objectGuess"),
        origin=(x, y),
        pixel_size_m=pixel,
        origin_m=(place[0] - x * pixel, place[1] - y * pixel) if place and pixel else None,
    )


def common_box(a: PlacedObject, b: PlacedObject) -> Box:
    """Return the rectangle of the object grid that both objects cover.

    Raises
    ------
    InvalidValueError
        If it is smaller than 16 x 16 pixels.
    """
    box_a, box_b = a.box(), b.box()
    left, top = (max(p, q) for p, q in zip(box_a[:2], box_b[:2], strict=True))
    right, bottom = (min(p, q) for p, q in zip(box_a[2:], box_b[2:], strict=True))
    if right - left < SMALLEST_SIDE or bottom - top < SMALLEST_SIDE:
        raise InvalidValueError(
            f"the common rectangle of {a.name} and {b.name}",
            f"at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels",
            f"{_describe_box(box_a)} and {_describe_box(box_b)}",
            "check that both belong to the same scan",
        )
    return left, top, right, bottom


def _describe_box(box: Box) -> str:
    return f"x {box[0]}..{box[2]}, y {box[1]}..{box[3]}"
