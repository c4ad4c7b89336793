"""The parts of a scan as they are in files: frames, positions in metres, and the experiment."""

from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from ptycho_data._domain import Domain
from ptycho_data._stack import Stack
from ptycho_data.units import Particle

__all__ = ["Names", "RawScan"]


@frozen(kw_only=True)
class Names:
    """What a user says about files: names of datasets, or values; None for what the layout knows.

    Attributes
    ----------
    layout
        Name of a layout; recognised without.
    patterns, x, y, mask, dark, flat
        Names, as `RawFiles.place` takes them; ``dark`` may be a number.
    unit
        Unit of x and y.
    energy, distance, detector_pixel
        Names, or numbers with a unit. The detector pixel may be an angle, ``0.5mrad``, or a spatial
        frequency, ``0.02/A``, as of electron microscopes.
    raster
        (rows, columns) of positions on a raster, x the faster.
    step
        Step of the raster, ``30nm`` or ``30nm,40nm`` (x, y).
    snake
        Whether every other row of the raster runs backwards.
    particle, domain
        What is diffracted, and whether patterns are counts or amplitudes.
    """

    layout: str | None = None
    patterns: str | None = None
    x: str | None = None
    y: str | None = None
    mask: str | None = None
    dark: str | None = None
    flat: str | None = None
    unit: str | None = None
    energy: str | None = None
    distance: str | None = None
    detector_pixel: str | None = None
    raster: tuple[int, int] | None = None
    step: str | None = None
    snake: bool = False
    particle: Particle | None = None
    domain: Domain | None = None


@define(kw_only=True, eq=False)
class RawScan:
    """A scan as it is in its files.

    Attributes
    ----------
    frames : (n, H, W)
        Frames as they are stored, on disk.
    x_m, y_m : (p,) float64
        Positions in metres; readings of one frame are averaged. p is n, if the counts match.
    mask : (H, W), optional
        Mask of the file, as it is there.
    mask_is_good
        Whether pixels that are not zero in it are the good ones; None where it must be judged.
    dark, flat : (H, W), optional
        Dark frame and flat field; of several, the mean.
    energy_ev, distance_m
        Experiment, where known.
    detector_pixel_m
        (height, width) of a pixel.
    pixel_angle
        (height, width) of a pixel, in radians, as seen from the sample.
    beam_centre
        (row, column) that the file states.
    particle
        What is diffracted.
    domain
        Counts or amplitudes.
    layout
        In words.
    remarks : list of str
        What was found where, one line each.
    cautions : list of str
        Doubts, one line each.
    files
        All files that were read.
    places
        Quantity to the name of its dataset.
    """

    frames: Stack
    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    mask: NDArray[Any] | None = None
    mask_is_good: bool | None = None
    dark: NDArray[np.float64] | None = None
    flat: NDArray[np.float64] | None = None
    energy_ev: float | None = None
    distance_m: float | None = None
    detector_pixel_m: tuple[float, float] | None = None
    pixel_angle: tuple[float, float] | None = None
    beam_centre: tuple[float, float] | None = None
    particle: Particle = "photon"
    domain: Domain = "counts"
    layout: str = ""
    remarks: list[str] = field(factory=list)
    cautions: list[str] = field(factory=list)
    files: tuple[Path, ...] = ()
    places: dict[str, str] = field(factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of a frame."""
        height, width = self.frames.shape[1:]
        return int(height), int(width)
