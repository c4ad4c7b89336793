"""Photon energy, wavelength, and the pixel that the far field gives to the object."""

import math

__all__ = ["EV_J", "HC_J_M", "LARGEST", "SMALLEST", "energy_ev", "object_pixel", "wavelength"]

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
