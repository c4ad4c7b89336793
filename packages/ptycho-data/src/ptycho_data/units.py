"""Wavelength, energy and object pixel of photons and electrons, and the units of files.

Energies are in eV and lengths in metres everywhere in this package; files may state others.
"""

import math
from typing import Literal, get_args

from ptycho_config.errors import InvalidValueError

__all__ = [
    "ELECTRON_REST_EV",
    "EV_J",
    "HC_J_M",
    "LARGEST",
    "PARTICLES",
    "SMALLEST",
    "Particle",
    "energy_ev",
    "ev_per",
    "metres_per",
    "object_pixel",
    "wavelength",
]

Particle = Literal["photon", "electron"]
"""What is diffracted; it decides between the two relations of energy and wavelength."""
PARTICLES: tuple[str, ...] = get_args(Particle)

#: Exact by definition of the SI (2019): the charge of the electron in coulombs, so J per eV ...
EV_J = 1.602176634e-19
#: ... and Planck's constant times the speed of light.
HC_J_M = 6.62607015e-34 * 299792458.0
#: Rest energy of the electron (CODATA 2018).
ELECTRON_REST_EV = 510998.95
#: Object pixels between these can be, in metres.
SMALLEST = 1e-15
LARGEST = 1.0

#: Metres in a unit of length, by the names and signs that files use.
_LENGTHS = {
    ("m", "meter", "meters", "metre", "metres"): 1.0,
    ("mm", "millimeter", "millimeters", "millimetre", "millimetres"): 1e-3,
    ("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre",
     "micrometres"): 1e-6,
    ("nm", "nanometer", "nanometers", "nanometre", "nanometres"): 1e-9,
    ("pm", "picometer", "picometers", "picometre", "picometres"): 1e-12,
    ("cm", "centimeter", "centimeters", "centimetre", "centimetres"): 1e-2,
    ("a", "å", "å", "ang", "angstrom", "angstroms", "ångström", "angstroem"): 1e-10,
}  # fmt: skip
#: Electronvolts in a unit of energy.
_ENERGIES = {
    ("ev", "electronvolt", "electronvolts"): 1.0,
    ("kev",): 1e3,
    ("mev",): 1e6,
    ("gev",): 1e9,
    ("j", "joule", "joules"): 1 / EV_J,
    # An accelerating voltage is the energy of the electron.
    ("v", "volt", "volts"): 1.0,
    ("kv",): 1e3,
}
_METRES = {name: factor for names, factor in _LENGTHS.items() for name in names}
_EV = {name: factor for names, factor in _ENERGIES.items() for name in names}


def metres_per(unit: str) -> float:
    """Return the metres in a unit of length, such as ``mm``, ``um``, ``nm`` or ``angstrom``.

    Raises
    ------
    InvalidValueError
        If it is no unit of length known here.

    Examples
    --------
    >>> metres_per("um")
    1e-06
    """
    return _factor(unit, _METRES, "a unit of length (m, cm, mm, um, nm, angstrom or pm)")


def ev_per(unit: str) -> float:
    """Return the electronvolts in a unit of energy, such as ``J``, ``eV``, ``keV`` or ``kV``.

    Raises
    ------
    InvalidValueError
        If it is no unit of energy known here. ``meV`` is refused: it is a thousandth of an eV.
    """
    if unit.strip() == "meV":
        return _factor("meV (milli)", _EV, "a unit of energy (eV, keV, MeV, GeV or J)")
    return _factor(unit, _EV, "a unit of energy (eV, keV, MeV, GeV or J)")


def _factor(unit: str, known: dict[str, float], rule: str) -> float:
    name = unit.strip().lower()
    if name not in known:
        raise InvalidValueError("units", rule, repr(unit[:40]))
    return known[name]


def wavelength(energy: float, particle: Particle = "photon") -> float:
    """Return the wavelength in metres of particles of an energy in eV.

    For electrons the energy is the kinetic one, the accelerating voltage times the charge, and

        wavelength = h c / sqrt(E (E + 2 m c^2))

    (Kirkland, Advanced Computing in Electron Microscopy, 2nd edition, eq. 2.5).

    Parameters
    ----------
    energy
        In eV.
    particle
        "photon" or "electron".

    Returns
    -------
    float
        Metres.

    Examples
    --------
    >>> f"{wavelength(10_000):.4g} m, of electrons {wavelength(300e3, 'electron'):.4g} m"
    '1.24e-10 m, of electrons 1.969e-12 m'
    """
    if particle == "electron":
        momentum = math.sqrt(energy * (energy + 2 * ELECTRON_REST_EV))
        return HC_J_M / (momentum * EV_J)
    return HC_J_M / (energy * EV_J)


def energy_ev(length: float, particle: Particle = "photon") -> float:
    """Return the energy in eV of particles of a wavelength in metres; see `wavelength`."""
    momentum = HC_J_M / EV_J / length  # momentum times c, in eV
    if particle == "electron":
        # sqrt(p^2 + m^2) - m, without the difference of two nearly equal numbers
        return momentum * momentum / (math.hypot(momentum, ELECTRON_REST_EV) + ELECTRON_REST_EV)
    return momentum


def object_pixel(
    energy: float,
    distance_m: float,
    detector_pixel_m: float,
    N: int,
    particle: Particle = "photon",
) -> float:
    """Return the object pixel in metres, ``wavelength * distance / (N * detector pixel)``.

    The far field on N detector pixels samples the object this finely (Paganin, Coherent X-Ray
    Optics, section 1.5; Goodman, Introduction to Fourier Optics, section 5.1).

    Parameters
    ----------
    energy
        In eV: of a photon, or the kinetic energy of an electron.
    distance_m
        From the object to the detector; its sign does not matter.
    detector_pixel_m
        Size of a detector pixel.
    N
        Pixels along this side of a pattern.
    particle
        "photon" or "electron".

    Returns
    -------
    float
        Metres.

    Examples
    --------
    >>> f"{object_pixel(8800, distance_m=2.2, detector_pixel_m=75e-6, N=128) * 1e9:.2f} nm"
    '32.29 nm'
    """
    return math.fabs(wavelength(energy, particle) * distance_m / (N * detector_pixel_m))
