"""What the HDF5 writers share: patterns piece by piece, and geometry in metres."""

from typing import Any

import h5py
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_data.middle import center_m
from ptycho_data.product import NOMINAL_PIXEL_SIZE_M
from ptycho_data.scan import Scan
from ptycho_data.stacks import chunk_rows
from ptycho_data.units import object_pixel

__all__ = ["InMetres", "in_metres", "left_out", "write_patterns"]


@frozen(kw_only=True, eq=False)
class InMetres:
    """A scan as others measure it.

    Attributes
    ----------
    x_m, y_m : (n,) float64
        Positions, plain multiples of the pixel size.
    object : (H, W) complex64
        The scan's own, or ones where it has none.
    center_m
        (x, y) of the middle of the object.
    pixel_m
        Object pixel.
    detector_pixel_m
        Detector pixel; 0 where unknown.
    energy_ev, distance_m
        0 where unknown, as ptychodus has it.
    nominal
        Whether the pixel stands in for one that nobody knows.
    lost
        What is not known, or cannot be said in metres, one line each.
    """

    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    object: NDArray[np.complex64]
    center_m: tuple[float, float]
    pixel_m: float
    detector_pixel_m: float
    energy_ev: float
    distance_m: float
    lost: list[str]
    nominal: bool


def in_metres(scan: Scan) -> InMetres:
    """Say where everything is in metres; see `ptycho_data.middle` for half a pixel."""
    lost: list[str] = []
    energy, distance = scan.photon_energy_ev or 0.0, scan.detector_distance_m or 0.0
    detector = scan.detector_pixel_size_m or 0.0
    pixel = scan.pixel_size_m
    if pixel is None and energy and distance and detector:
        pixel = object_pixel(energy, distance, detector, scan.N)
    nominal = pixel is None
    if pixel is None:
        pixel = NOMINAL_PIXEL_SIZE_M
        lost.append(f"the object pixel is unknown: lengths are in nominal pixels of {pixel:g} m")
    if not detector and energy and distance and not nominal:
        detector = object_pixel(energy, distance, pixel, scan.N)  # the relation is its own inverse
    unknown = {"photon energy": energy, "detector distance": distance, "detector pixel": detector}
    absent = [name for name, value in unknown.items() if not value]
    if absent:
        lost.append(f"{', '.join(absent)}: unknown, written as 0")
    object_, origin = scan.object_guess, (0, 0)
    if object_ is None:
        object_, origin = _ones(scan)
        lost.append("no object in the scan: ones were written in its place")
    return InMetres(
        x_m=scan.xcoords * pixel,
        y_m=scan.ycoords * pixel,
        object=object_,
        center_m=center_m(object_.shape, origin, scan.N, pixel),
        pixel_m=pixel,
        detector_pixel_m=detector,
        energy_ev=energy,
        distance_m=distance,
        lost=lost,
        nominal=nominal,
    )


def _ones(scan: Scan) -> tuple[NDArray[np.complex64], tuple[int, int]]:
    """Return ones over all patches, and the pixel (x, y) where they begin."""
    low = np.floor(scan.positions.min(axis=0)).astype(int) - scan.N // 2
    high = np.ceil(scan.positions.max(axis=0)).astype(int) - scan.N // 2 + scan.N
    width, height = high - low
    return np.ones((int(height), int(width)), np.complex64), (int(low[0]), int(low[1]))


def left_out(scan: Scan) -> list[str]:
    """Name what formats of others have no place for."""
    absent = {
        "Y (ground-truth patches)": scan.patches,
        "scan_index": None if scan.scan_index is None or not scan.scan_index.any() else 1,
        "nominal positions (xcoords_start, ycoords_start)": scan.xcoords_start,
    }
    lost = [f"{name}: left out" for name, value in absent.items() if value is not None]
    if scan.domain == "amplitude":
        lost.append("amplitudes: written as counts in float32, at the stated photons")
    return lost


def write_patterns(group: h5py.Group, name: str, scan: Scan) -> h5py.Dataset:
    """Write all patterns as counts, piece by piece, in one piece of the file."""
    counts = scan.domain == "counts"
    dtype: np.dtype[Any] = scan.diffraction.dtype if counts else np.dtype(np.float32)
    dataset = group.create_dataset(name, scan.diffraction.shape, dtype)
    for rows in chunk_rows(scan.diffraction):
        dataset[rows] = np.asarray(scan.diffraction[rows]) if counts else scan.counts(rows)
    return dataset
