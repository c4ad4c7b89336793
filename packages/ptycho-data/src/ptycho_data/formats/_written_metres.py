"""A scan in metres, for the formats of other programs that are written.

`ptycho_data.formats._metres` reads them.
"""

from typing import Any

import h5py
import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_data._geometry import center_m
from ptycho_data._protected import PATTERN_CHUNK_BYTES, chunk_shape
from ptycho_data._scan import Scan
from ptycho_data._stack import chunk_rows, read_patterns
from ptycho_data.units import Particle, energy_ev, object_pixel, wavelength

__all__ = [
    "NOMINAL_PIXEL_SIZE_M",
    "GeometryInMetres",
    "equivalent_photon_ev",
    "in_metres",
    "left_out",
    "write_patterns",
]

# Used where the pixel size is unknown: of the right order for hard X-rays, so that ptychodus shows
# the picture at a sensible zoom. The comments of the product state it.
NOMINAL_PIXEL_SIZE_M = 1e-8


@frozen(kw_only=True, eq=False)
class GeometryInMetres:
    """A scan in metres, for files of other programs.

    Attributes
    ----------
    x_m, y_m : (n,) float64
        Positions on the stage; plain multiples of the pixel size where their place is unknown.
    object : (H, W) complex64
        The scan's own, or ones where it has none.
    center_m
        (x, y) of the centre of the object.
    pixel_m
        Object pixel.
    detector_pixel_m
        Detector pixel; 0 where unknown.
    energy_ev, distance_m
        0 where unknown, as ptychodus has it.
    nominal
        Whether `pixel_m` is nominal, the true size being unknown.
    particle
        What is diffracted.
    lost
        What is unknown or cannot be written, one line each.
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
    particle: Particle


def equivalent_photon_ev(energy: float, particle: Particle) -> float:
    """Return the energy of photons of the same wavelength; 0 stands for unknown.

    Other programs compute the wavelength from a photon energy, so this makes theirs right.
    """
    if particle == "photon" or not energy:
        return energy
    return energy_ev(wavelength(energy, particle))


def in_metres(scan: Scan) -> GeometryInMetres:
    """Convert a scan to metres; see `ptycho_data._geometry` for half a pixel.

    Raises
    ------
    InvalidValueError
        If patterns are of several scans, which these formats cannot tell apart, or positions span
        too much for an object.
    """
    scan.single()
    lost: list[str] = []
    energy, distance = scan.photon_energy_ev or 0.0, scan.detector_distance_m or 0.0
    detector, pixel = scan.detector_pixel_size_m or 0.0, scan.pixel_size_m
    nominal = pixel is None
    if pixel is None:
        pixel = NOMINAL_PIXEL_SIZE_M
        lost.append(f"the object pixel is unknown: lengths are in nominal pixels of {pixel:g} m")
    if not detector and energy and distance and not nominal:
        # the relation of the two pixels is its own inverse
        detector = object_pixel(energy, distance, pixel, scan.N, scan.particle)
    unknown = {"photon energy": energy, "detector distance": distance, "detector pixel": detector}
    absent = [name for name, value in unknown.items() if not value]
    if absent:
        lost.append(f"{', '.join(absent)}: unknown, written as 0")
    object_, origin = scan.object_guess, (0, 0)
    if object_ is None:
        object_, origin = _ones(scan)
        lost.append("no object in the scan: ones were written in its place")
    place = None if nominal else scan.origin_m
    x0, y0 = place or (0.0, 0.0)
    return GeometryInMetres(
        x_m=x0 + scan.xcoords * pixel,
        y_m=y0 + scan.ycoords * pixel,
        object=object_,
        center_m=center_m(object_.shape, origin, scan.N, pixel, (x0, y0)),
        pixel_m=pixel,
        detector_pixel_m=detector,
        energy_ev=energy,
        distance_m=distance,
        lost=lost,
        nominal=nominal,
        particle=scan.particle,
    )


#: Most pixels of an object without content that is written for a scan without one: 2 GiB.
_LARGEST_OBJECT = 2**28


def _ones(scan: Scan) -> tuple[NDArray[np.complex64], tuple[int, int]]:
    """Return ones over all patches, and the pixel (x, y) where they begin."""
    low = np.floor(scan.positions.min(axis=0)).astype(int) - scan.N // 2
    high = np.ceil(scan.positions.max(axis=0)).astype(int) - scan.N // 2 + scan.N
    width, height = (high - low).tolist()
    if width * height > _LARGEST_OBJECT:
        away = np.hypot(*(scan.positions - np.median(scan.positions, axis=0)).T)
        farthest = int(np.argmax(away))
        raise InvalidValueError(
            "positions",
            f"within an object of {_LARGEST_OBJECT:.3g} pixels",
            f"a span of {width:.6g} x {height:.6g}",
            f"leave out what does not belong to the scan: number {farthest} is the farthest, "
            f"{away[farthest]:.6g} pixels from their middle",
        )
    return np.ones((height, width), np.complex64), (int(low[0]), int(low[1]))


def left_out(scan: Scan) -> list[str]:
    """Return what other formats have no place for, one line each."""
    absent = {
        "Y (ground-truth patches)": scan.patches,
        "nominal positions (xcoords_start, ycoords_start)": scan.xcoords_start,
        "noise of the subtracted background (background, subtracted)": scan.background,
    }
    lost = [f"{name}: left out" for name, value in absent.items() if value is not None]
    if scan.domain == "amplitude":
        lost.append("amplitudes: written as counts in float32, at the stated photons")
    return lost


def write_patterns(group: h5py.Group, name: str, scan: Scan) -> h5py.Dataset:
    """Write all patterns as counts, piece by piece, with checksums."""
    counts = scan.domain == "counts"
    dtype: np.dtype[Any] = scan.diffraction.dtype if counts else np.dtype(np.float32)
    shape = scan.diffraction.shape
    chunks = chunk_shape(shape, dtype.itemsize, PATTERN_CHUNK_BYTES)
    dataset = group.create_dataset(name, shape, dtype, chunks=chunks, fletcher32=True)
    for rows in chunk_rows(scan.diffraction):
        dataset[rows] = read_patterns(scan.diffraction, rows) if counts else scan.counts(rows)
    return dataset
