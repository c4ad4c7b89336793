"""fold_slice: ``dp`` (n, N, N), and positions ``ppX``, ``ppY``, in one file or two.

For X-rays, the preparation for fold_slice writes ``NAME_dp.hdf5`` with the patterns and
``NAME_para.hdf5`` with the positions, the wavelength ``lambda`` and the object pixel ``dx``, all in
metres. As ptychodus reads them: x is the column, to the right, y the row, down.

For electrons, fold_slice writes the same names from MATLAB (its ``sim_electron_cbed.m``), lengths
in angstrom and mostly without ``dx``. MATLAB reverses the order of axes, so that patterns are
stored as (n, columns, rows). Such files are told by MATLAB's marks, or by lengths that no metres
can be.

There is no probe in these files.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_data._changes import changed
from ptycho_data._hdf5 import H5File
from ptycho_data._stack import Stack
from ptycho_data.formats._base import Container, Format, Opened, Raw, find_partner, flat, has_all
from ptycho_data.formats._metres import ScanInMetres
from ptycho_data.formats._quantities import length, scale
from ptycho_data.units import energy_ev, metres_per

__all__ = ["FORMAT"]

_ANGSTROM = metres_per("angstrom")
#: No scan for ptychography is so wide, and no wavelength or object pixel so long, in metres.
_WIDEST_M, _LONGEST_M = 1e-2, 1e-6


def _holds_patterns(file: Container) -> bool:
    return isinstance(file, H5File) and "dp" in file


def _holds_positions(file: Container) -> bool:
    return isinstance(file, H5File) and has_all(file, ("ppX", "ppY"))


def _matches(file: Container) -> bool:
    return _holds_patterns(file) or _holds_positions(file)


def _usual(name: str, ending: str, other: str) -> tuple[str, ...]:
    """Name of the partner: it differs in the last part only."""
    stem, dot, suffix = name.rpartition(".")
    return (f"{stem.removesuffix(ending)}{other}{dot}{suffix}",) if stem.endswith(ending) else ()


def _read(opened: Opened) -> Raw:
    found = ScanInMetres()
    patterns = positions = opened.file
    name = opened.file.path.name
    if not _holds_patterns(opened.file) and opened.patterns_needed:
        usual = _usual(name, "_para", "_dp")
        patterns = find_partner(opened, "patterns", _holds_patterns, usual)
    elif not _holds_positions(opened.file):
        usual = _usual(name, "_dp", "_para")
        positions = find_partner(opened, "positions", _holds_positions, usual)
    angstrom = _in_angstrom(positions, opened)
    if isinstance(patterns, H5File) and _holds_patterns(patterns):
        with opened.collecting("diffraction"):
            found.stack = patterns.stack("dp")
            if angstrom or patterns.by_matlab("dp"):
                found.stack = _transposed_stack(found.stack)
                reason = "lengths in angstrom" if angstrom else "its marks"
                found.cautions.append(
                    f"dp was written by MATLAB ({reason}): rows and columns of the patterns were "
                    "exchanged; if they should not be, --swap-xy brings patterns and positions "
                    "together again"
                )
    unit_m = _ANGSTROM if angstrom else 1.0
    for key, place, field in (("xcoords", "ppX", "x_m"), ("ycoords", "ppY", "y_m")):
        with opened.collecting(key):
            stated = scale(positions, place, metres_per)
            found.set_values(field, flat(positions.read(place)), stated or unit_m)
    if angstrom:
        found.particle = "electron"
        found.remarks.append("lengths in angstrom, as of electrons")
    with opened.collecting("pixel_size_m"):
        size, wave = (length(positions, name, unit_m) for name in ("dx", "lambda"))
        found.pixel_m = (size, size) if size and size > 0 else None
        if wave and wave > 0:
            found.energy_ev = energy_ev(wave, opened.particle or found.particle or "photon")
    places = {"diffraction": "dp", "xcoords": "ppX", "ycoords": "ppY"}
    return found.to_raw(opened, patterns, positions, places=places, may_lack=("probeGuess",))


def _in_angstrom(file: Container, opened: Opened) -> bool:
    """Tell from the size of the numbers whether lengths are in angstrom, unless a unit is stated.

    The wavelength tells, or the object pixel, or, without both, the extent of the scan.
    """
    with opened.collecting("xcoords"):
        if scale(file, "ppX", metres_per) is not None:
            return False
        for name in ("lambda", "dx"):
            value = file.number(name)
            if value is not None and value > 0:
                return value > _LONGEST_M
        return any(_extent(flat(file.read(name))) > _WIDEST_M for name in ("ppX", "ppY"))
    return False


def _extent(values: NDArray[Any]) -> float:
    finite = values[np.isfinite(values)] if values.dtype.kind in "iuf" else values[:0]
    return float(finite.max() - finite.min()) if finite.size else 0.0


def _transposed_stack(stack: Stack) -> Stack:
    """Exchange rows and columns of all patterns, as a view or as they are read."""
    return stack.swapaxes(1, 2) if isinstance(stack, np.ndarray) else changed(stack, _transposed)


def _transposed(patterns: NDArray[Any]) -> NDArray[Any]:
    return patterns.swapaxes(-2, -1)


FORMAT = Format(
    name="fold-slice",
    title="fold_slice HDF5",
    matches=_matches,
    holds_patterns=_holds_patterns,
    read=_read,
    units="positions and wavelength in metres, of electrons in angstrom",
)
