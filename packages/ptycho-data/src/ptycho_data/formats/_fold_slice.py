"""fold_slice: ``dp`` (n, N, N), and positions ``ppX``, ``ppY`` in metres, in one file or two.

The preparation for fold_slice writes ``NAME_dp.hdf5`` with the patterns and ``NAME_para.hdf5`` with
the positions, the wavelength ``lambda`` and the object pixel ``dx``, all in metres. As ptychodus
reads them: x is the column, to the right, y the row, down. There is no probe in these files.
"""

from ptycho_data._hdf5 import H5File
from ptycho_data.formats._base import Container, Format, Opened, Raw, find_partner, flat, has_all
from ptycho_data.formats._metres import ScanInMetres
from ptycho_data.units import energy_ev

__all__ = ["FORMAT"]


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
    if _holds_patterns(patterns):
        with opened.collecting("diffraction"):
            found.stack = patterns.stack("dp")
    for key, place, field in (("xcoords", "ppX", "x_m"), ("ycoords", "ppY", "y_m")):
        with opened.collecting(key):
            setattr(found, field, flat(positions.read(place)))
    with opened.collecting("pixel_size_m"):
        size, length = positions.number("dx"), positions.number("lambda")
        found.pixel_m = (size, size) if size and size > 0 else None
        found.energy_ev = energy_ev(length) if length and length > 0 else None
    places = {"diffraction": "dp", "xcoords": "ppX", "ycoords": "ppY"}
    return found.to_raw(opened, patterns, positions, places=places, may_lack=("probeGuess",))


FORMAT = Format(
    name="fold-slice",
    title="fold_slice HDF5",
    matches=_matches,
    holds_patterns=_holds_patterns,
    read=_read,
    units="positions and wavelength in metres",
)
