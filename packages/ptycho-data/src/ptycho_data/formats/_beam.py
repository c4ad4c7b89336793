"""Energy of the beam in NeXus and CXI files.

CXI keeps the photon energy in joules at ``source_1/energy``. NeXus keeps that of the beam at
``beam_1/energy`` or ``incident_energy`` (NXbeam, NXcxi_ptycho), in a stated unit, and at
``source_1/energy`` that of the storage ring. Files in the wild have eV where joules belong. What
cannot be the energy of photons is therefore never taken for it.
"""

from ptycho_data._experiment import HIGHEST_PHOTON_EV
from ptycho_data.formats._base import Container, Opened
from ptycho_data.formats._metres import ELECTRON_ENERGY, ScanInMetres
from ptycho_data.formats._quantities import length, scale
from ptycho_data.units import EV_J, energy_ev, ev_per

__all__ = ["read_energy"]

#: Where the beam is described, below the entry.
_BEAMS = ("instrument_1/beam_1", "sample_1/beam_1", "beam_1")
_SOURCE = "instrument_1/source_1"
_ENERGIES = (*(f"{beam}/{key}" for beam in _BEAMS for key in ("energy", "incident_energy")),
             f"{_SOURCE}/energy")  # fmt: skip
_WAVELENGTHS = (*(f"{beam}/{key}" for beam in _BEAMS for key in ("incident_wavelength",
                "wavelength")), f"{_SOURCE}/wavelength")  # fmt: skip
#: Energies between these, in eV, can be those of a beam.
_LOWEST_EV = 1.0
#: A number without a unit from here on is in eV: no beam for ptychography has fewer.
_LOWEST_PLAIN_EV = 10.0
#: Wavelengths of photons and electrons are shorter, in metres.
_LONGEST_M = 1e-6


def read_energy(file: Container, entry: str, opened: Opened, found: ScanInMetres) -> None:
    """Read the energy of the beam, and whether it is of electrons, if `found` has none yet.

    Parameters
    ----------
    file
        An open file.
    entry
        Its entry, ``entry_1``.
    opened
        What was given to `load_scan`.
    found
        Receives energy, particle and warnings.

    Raises
    ------
    ScanFormatError
        A number is damaged, or of an unknown unit.
    """
    own = file.number(f"{entry}/ptychodus/{ELECTRON_ENERGY}")
    if own is not None:
        found.particle, found.energy_ev = "electron", own
    doubts: list[str] = []
    for place in _ENERGIES:
        if found.energy_ev is None:
            found.energy_ev = _energy(file, f"{entry}/{place}", doubts)
    for place in _WAVELENGTHS:
        value = length(file, f"{entry}/{place}") if found.energy_ev is None else None
        if value is not None and 0 < value < _LONGEST_M:
            found.energy_ev = energy_ev(value, opened.particle or found.particle or "photon")
    if opened.given.photon_energy_ev is None:
        found.cautions.extend(doubts)
        found.lacking.extend(doubts if found.energy_ev is None else [])


def _energy(file: Container, name: str, doubts: list[str]) -> float | None:
    """Energy of the beam in eV, or None with the reason in `doubts`."""
    value = file.number(name)
    if value is None or not value > 0:
        return None
    unit = scale(file, name, ev_per)
    if unit is not None:
        if value * unit <= HIGHEST_PHOTON_EV:
            return value * unit
    elif _LOWEST_EV <= value / EV_J <= HIGHEST_PHOTON_EV:
        return value / EV_J
    elif _LOWEST_PLAIN_EV <= value <= HIGHEST_PHOTON_EV:
        doubts.append(f"{name} is {value:g} without a unit: taken as eV, not as joules")
        return value
    size = f"{value:g} without a unit" if unit is None else f"{value * unit:g} eV"
    doubts.append(
        f"{name} of {size} left out: it is no energy of photons in joules or eV, and may be that "
        "of the storage ring; give the photon energy with --photon-energy-ev"
    )
    return None
