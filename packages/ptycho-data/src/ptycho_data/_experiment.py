"""What is known of an experiment, and what holds where a caller and a file say different things."""

import contextlib
import math

from attrs import evolve, fields, frozen
from ptycho_config.errors import InvalidValueError

from ptycho_data.units import LARGEST, PARTICLES, SMALLEST, Particle, object_pixel

__all__ = ["HIGHEST_PHOTON_EV", "TOLERANCE", "Experiment", "differ", "energy_doubt", "resolve"]

#: Sizes of the object pixel that differ by more than this contradict each other.
TOLERANCE = 0.01
#: No beam for ptychography has more: this is the energy of electrons in a storage ring.
HIGHEST_PHOTON_EV = 1e6
#: Beamlines for ptychography have photons of less energy, electron microscopes electrons of more.
_USUAL_PHOTON_EV = 1e5
#: Field to its name in words and its unit; those first that are given up first in a contradiction.
_GEOMETRY = {
    "detector_distance_m": ("detector distance", "m"),
    "detector_pixel_size_m": ("detector pixel", "m"),
    "photon_energy_ev": ("energy", "eV"),
}


@frozen(kw_only=True)
class Experiment:
    """Energy, distance, pixels and particle; None for what is not known.

    Attributes
    ----------
    photon_energy_ev
        Energy in eV: of a photon, or the kinetic energy of an electron.
    detector_distance_m, detector_pixel_size_m, pixel_size_m
        Distance of the detector, its pixel and that of the object, in metres.
    particle
        "photon" or "electron".

    Raises
    ------
    InvalidValueError
        A number is not positive, or the particle is neither.
    """

    photon_energy_ev: float | None = None
    detector_distance_m: float | None = None
    detector_pixel_size_m: float | None = None
    pixel_size_m: float | None = None
    particle: Particle | None = None

    def __attrs_post_init__(self) -> None:
        """Check all numbers."""
        for one in fields(type(self)):
            value = getattr(self, one.name)
            if one.name == "particle":
                if value is not None and value not in PARTICLES:
                    raise InvalidValueError("particle", "photon or electron", repr(value))
            elif value is not None and not 0 < value < math.inf:
                raise InvalidValueError(one.name, "a positive number", f"{value}")

    def derived_pixel(self, N: int | None) -> float | None:
        """Return the object pixel of patterns of N pixels that the geometry gives, if it does."""
        energy, distance = self.photon_energy_ev, self.detector_distance_m
        detector = self.detector_pixel_size_m
        if not N or energy is None or distance is None or detector is None:
            return None
        with contextlib.suppress(ArithmeticError):  # of absurd numbers: then it is not known
            pixel = object_pixel(energy, distance, detector, N, self.particle or "photon")
            return pixel if SMALLEST < pixel < LARGEST else None
        return None


def differ(one: float, other: float, tolerance: float = TOLERANCE) -> bool:
    """Tell whether two sizes are further apart than the tolerance."""
    return abs(one / other - 1) > tolerance


def resolve(given: Experiment, own: Experiment, N: int | None) -> tuple[Experiment, list[str]]:
    """Put what a caller has given over what a file says, without a contradiction in the outcome.

    The object pixel is the given one; or, if energy, distance, detector pixel or particle are
    given, the one that follows; or that of the file; or the one that follows from the file.

    Parameters
    ----------
    given
        From options or arguments.
    own
        From the file.
    N
        Pixels along a side of the patterns, if known.

    Returns
    -------
    experiment : Experiment
        With the object pixel, if it is known.
    notes : list of str
        What of the file is not used, one line each.

    Raises
    ------
    InvalidValueError
        If what is given contradicts itself.
    """
    notes: list[str] = []
    merged = own
    for name, (words, unit) in _GEOMETRY.items():
        value, before = getattr(given, name), getattr(own, name)
        if value is None:
            continue
        merged = evolve(merged, **{name: value})
        if before is not None and differ(value, before, 1e-9):
            notes.append(f"{words} {value:g} {unit} as given, not {before:g} {unit} as in the file")
    if given.particle is not None:
        merged = evolve(merged, particle=given.particle)
        if own.particle not in (None, given.particle):
            notes.append(f"particle {given.particle} as given, not {own.particle} as in the file")
    derived = merged.derived_pixel(N)
    if given.pixel_size_m is not None:
        merged = evolve(merged, pixel_size_m=given.pixel_size_m)
        if derived is not None and differ(derived, given.pixel_size_m):
            merged = _without_contradiction(merged, given, derived, notes)
        if own.pixel_size_m is not None and differ(given.pixel_size_m, own.pixel_size_m, 1e-9):
            notes.append(_instead(given.pixel_size_m, own.pixel_size_m, "as given"))
        return merged, notes
    changed = any(getattr(given, name) is not None for name in (*_GEOMETRY, "particle"))
    if derived is not None and (changed or own.pixel_size_m is None):
        merged = evolve(merged, pixel_size_m=derived)
        if own.pixel_size_m is not None and differ(derived, own.pixel_size_m, 1e-6):
            notes.append(_instead(derived, own.pixel_size_m, "from the geometry as given"))
    return merged, notes


def _instead(size: float, before: float, how: str) -> str:
    return f"object pixel {size * 1e9:.6g} nm {how}, not {before * 1e9:.6g} nm as in the file"


def _without_contradiction(
    merged: Experiment, given: Experiment, derived: float, notes: list[str]
) -> Experiment:
    """Leave out the part of the file's geometry that contradicts the given object pixel."""
    pixel = given.pixel_size_m or 0.0
    free = next((name for name in _GEOMETRY if getattr(given, name) is None), None)
    if free is None:
        rule = f"that of the given energy, distance and detector pixel, {derived:g}"
        raise InvalidValueError("pixel_size_m", rule, f"{pixel:g}", "leave one of the four out")
    notes.append(
        f"{_GEOMETRY[free][0]} of the file left out: it would make the object pixel "
        f"{derived * 1e9:.6g} nm, not {pixel * 1e9:.6g} nm as given"
    )
    return evolve(merged, **{free: None})


def energy_doubt(known: Experiment) -> list[str]:
    """Return the doubt about an energy that is more likely to be that of electrons."""
    energy = known.photon_energy_ev
    if energy is None or energy < _USUAL_PHOTON_EV or known.particle is not None:
        return []
    return [
        f"{energy:g} eV is taken for the energy of photons; if it is the voltage of an electron "
        "microscope, give --particle electron: the wavelength is another"
    ]
