"""Photon energy, size of the object pixel, and the half pixel between conventions of the centre.

A position of this package is the object pixel under patch pixel ``[N//2, N//2]``. ptychodus puts a
position at the geometric centre of its patch, index ``(N - 1) / 2``, and the stated centre of an
object at index ``(W - 1) / 2`` of its array (``ProbeGeometry.resolve_patch_bounds`` and
``ObjectGeometry.map_coordinates_probe_to_object``, ptychodus 1.7). So

    x = (x_m - center_m) / pixel + (W - 1) / 2 + (N//2 - (N - 1) / 2)

where the last term is half a pixel for even N and zero for odd N; larger x are further right,
larger y further down. Positions in metres are plain multiples of the pixel size,
``x_m = x * pixel``, zero at object-grid pixel 0; the half pixel goes into the centre of the object.
"""

import math

__all__ = [
    "EV_J",
    "HC_J_M",
    "LARGEST",
    "SMALLEST",
    "center_m",
    "centre_position",
    "energy_ev",
    "half_pixel",
    "object_pixel",
    "wavelength",
]

#: Exact by definition of the SI (2019): the charge of the electron in coulombs, so J per eV ...
EV_J = 1.602176634e-19
#: ... and Planck's constant times the speed of light.
HC_J_M = 6.62607015e-34 * 299792458.0
#: Object pixels between these can be, in metres.
SMALLEST, LARGEST = 1e-15, 1.0


def wavelength(energy: float) -> float:
    """Return the wavelength in metres of photons of an energy in eV."""
    return HC_J_M / (energy * EV_J)


def energy_ev(length: float) -> float:
    """Return the energy in eV of photons of a wavelength in metres."""
    return HC_J_M / (length * EV_J)


def object_pixel(energy: float, distance_m: float, detector_pixel_m: float, N: int) -> float:
    """Return the object pixel in metres, ``wavelength * distance / (N * detector pixel)``.

    The far field on N detector pixels samples the object this finely (Paganin, Coherent X-Ray
    Optics, section 1.5; Goodman, Introduction to Fourier Optics, section 5.1).

    Parameters
    ----------
    energy
        Photon energy in eV.
    distance_m
        From the object to the detector; its sign does not matter.
    detector_pixel_m
        Size of a detector pixel.
    N
        Pixels along this side of a pattern.

    Returns
    -------
    float
        Metres.
    """
    return math.fabs(wavelength(energy) * distance_m / (N * detector_pixel_m))


def half_pixel(N: int) -> float:
    """Return the distance from the centre of a patch, index ``(N - 1) / 2``, to pixel ``N//2``.

    Half a pixel for even N, nothing for odd N.
    """
    return N // 2 - (N - 1) / 2


def centre_position(size: int, N: int) -> float:
    """Return the position at the geometric centre of an object, along one axis.

    Parameters
    ----------
    size
        Pixels of the object along this axis.
    N
        Pixels along a side of a patch.

    Returns
    -------
    float
        A position of this package, in pixels from the object's first.
    """
    return (size - 1) / 2 + half_pixel(N)


def center_m(
    shape: tuple[int, ...], origin: tuple[float, float], N: int, pixel_m: float
) -> tuple[float, float]:
    """Return the centre, in metres, of an object on the grid of the positions.

    Parameters
    ----------
    shape
        (H, W) of the object.
    origin
        (x, y) of its first pixel, in pixels of the grid of the positions.
    N
        Pixels along a side of a patch.
    pixel_m
        Object pixel in metres.

    Returns
    -------
    tuple of float
        (x, y) in metres.
    """
    height, width = shape
    x, y = origin
    return (x + centre_position(width, N)) * pixel_m, (y + centre_position(height, N)) * pixel_m
