"""Lengths for the axes of pictures: units, places on the stage, and round scale bars."""

import math
from typing import Self, TypeVar

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

__all__ = ["Ruler", "scale_bar_length"]

#: Units with their sizes in metres, the largest first.
UNITS = (("mm", 1e-3), ("µm", 1e-6), ("nm", 1e-9), ("pm", 1e-12))
#: Pictures narrower than this part of a unit have the next smaller one on their axes.
FEWEST = 0.5

#: A coordinate, or an array of them.
Coordinate = TypeVar("Coordinate", float, NDArray[np.float64])


@frozen(kw_only=True)
class Ruler:
    """Turns object-grid pixels into numbers for the axes of a picture.

    Attributes
    ----------
    unit : str
        Of the numbers.
    per_pixel : float
        Units per pixel.
    zero : (float, float)
        Number (x, y) of pixel (0, 0).
    on_stage : bool
        Whether the numbers are places on the stage.
    """

    unit: str
    per_pixel: float = 1.0
    zero: tuple[float, float] = (0.0, 0.0)
    on_stage: bool = False

    @classmethod
    def of(
        cls,
        sides: tuple[float, float],
        pixel_size_m: float | None,
        origin_m: tuple[float, float] | None = None,
    ) -> Self:
        """Choose the unit for a picture with these sides in pixels; pixels if no size is known."""
        if not pixel_size_m:
            return cls(unit="pixel")
        longest = max(sides) * pixel_size_m
        unit, size = next((u for u in UNITS if longest >= FEWEST * u[1]), UNITS[-1])
        x, y = origin_m or (0.0, 0.0)
        return cls(
            unit=unit,
            per_pixel=pixel_size_m / size,
            zero=(x / size, y / size),
            on_stage=origin_m is not None,
        )

    @property
    def where(self) -> str:
        """What to add to the label of an axis."""
        return " on the stage" if self.on_stage else ""

    def x(self, pixel: Coordinate) -> Coordinate:
        """Return the number of a column of the object grid."""
        return pixel * self.per_pixel + self.zero[0]

    def y(self, pixel: Coordinate) -> Coordinate:
        """Return the number of a row of the object grid."""
        return pixel * self.per_pixel + self.zero[1]


def scale_bar_length(width_m: float) -> tuple[float, str]:
    """Round length of about a quarter of ``width_m`` metres, and its text."""
    target = width_m / 4
    decade = 10.0 ** math.floor(math.log10(target))
    length = max(step * decade for step in (1, 2, 5) if step * decade <= target * (1 + 1e-9))
    for unit, size in UNITS:
        if length >= size * (1 - 1e-9):
            return length, f"{length / size:.0f} {unit}"
    return length, f"{length:.0e} m"
