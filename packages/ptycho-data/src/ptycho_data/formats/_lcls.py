"""NPZ as of LCLS: the names of the contract, patterns last, positions often in metres.

``diffraction`` is (N, N, n), turned by rule FORMAT-001. Positions of which none is larger than
1e-3 are metres; they become pixels through ``pixel_size_m``, or the numbers ``photon_energy_eV``
(or ``probe_energy_ev``), ``detector_distance_m`` and ``detector_pixel_size_m``; x is the column, to
the right, y the row, down. Files that have only ``xcoords_start`` and ``ycoords_start`` mean those.
An object is left out where positions are in metres: the file does not say where it lies.
"""

import contextlib
import json
from typing import Any

import numpy as np

from ptycho_data._contract import ScanFormatError, probe_side
from ptycho_data._npz import Archive
from ptycho_data.formats._base import Container, Format, Loaded, Opened, Raw, first_of
from ptycho_data.formats._npz import read_contract
from ptycho_data.units import LARGEST, SMALLEST, object_pixel

__all__ = ["FORMAT"]

#: Positions with none beyond this are in metres.
METRES = 1e-3
_STACKS = ("diffraction", "diff3d")
_COORDINATES = ("xcoords", "ycoords", "xcoords_start", "ycoords_start")
_GEOMETRY = {
    "energy": ("photon_energy_eV", "probe_energy_eV", "photon_energy_ev", "probe_energy_ev"),
    "distance_m": ("detector_distance_m",),
    "detector_pixel_m": ("detector_pixel_size_m",),
}


def _in_metres(file: Archive) -> bool:
    """Tell whether all positions are tiny, and not all zero."""
    for pair in (_COORDINATES[:2], _COORDINATES[2:]):
        try:
            values = [file.peek(name) for name in pair if name in file]
        except ScanFormatError:
            return False
        if values and all(v.dtype.kind == "f" and v.size for v in values):
            largest = max(float(np.abs(v).max()) for v in values)
            return 0 < largest <= METRES
    return False


def _patterns_last(file: Archive) -> bool:
    name, x = first_of(file, _STACKS), first_of(file, ("xcoords", "xcoords_start"))
    if name is None or x is None:
        return False
    try:
        shape, n = file.header(name).shape, file.header(x).shape
    except ScanFormatError:
        return False
    return len(shape) == 3 and len(n) == 1 and shape[2] == n[0] != shape[0]


def _matches(file: Container) -> bool:
    if not isinstance(file, Archive) or first_of(file, _STACKS) is None:
        return False
    only_nominal = "xcoords" not in file and "xcoords_start" in file
    return only_nominal or _patterns_last(file) or _in_metres(file)


def _geometry(opened: Opened, N: int | None) -> tuple[float | None, dict[str, float]]:
    """Object pixel in metres, and what it follows from, as far as it is known."""
    found: dict[str, float] = {}
    for field, names in _GEOMETRY.items():
        name = first_of(opened.file, names)
        with opened.collecting("_metadata"):
            value = None if name is None else opened.file.number(name)
            if value:
                found[field] = value
    pixel = opened.pixel_size_m
    with opened.collecting("pixel_size_m"):
        pixel = pixel or opened.file.number("pixel_size_m")
    if pixel is None and N is not None and len(found) == len(_GEOMETRY):
        with contextlib.suppress(ArithmeticError):  # of absurd numbers: then it is not known
            pixel = object_pixel(found["energy"], found["distance_m"], found["detector_pixel_m"], N)
    if pixel is not None and not SMALLEST < pixel < LARGEST:
        rule = "the size of an object pixel in metres"
        opened.findings.add("pixel_size_m", rule, f"{pixel:g} m")
        pixel = None
    return pixel, found


def _read(opened: Opened) -> Raw:
    raw, archive = read_contract(opened), opened.file
    if not isinstance(archive, Archive):
        return raw
    headers: dict[str, Any] = dict(raw.headers)
    nominal = "xcoords" not in archive and "ycoords" not in archive
    for key in ("xcoords", "ycoords") if nominal else ():
        if f"{key}_start" in headers:
            headers[key] = headers[f"{key}_start"]
            raw.remarks.append(f"{key}: {key}_start, there being nothing else")
    probe = headers.get("probeGuess")
    pixel, known = _geometry(opened, None if probe is None else probe_side(probe.shape))
    metres = _in_metres(archive)
    if metres:
        if headers.pop("objectGuess", None) is not None:
            raw.remarks.append("objectGuess left out: the file does not say where it lies")
        if pixel is None:
            opened.findings.add(
                "xcoords",
                "in pixels, or in metres with the size of an object pixel",
                "positions in metres (none beyond 1e-3) and no pixel size",
                "add a number pixel_size_m to the file, or pass it: "
                "ptycho convert IN OUT --pixel-size-m SIZE",
            )
        else:
            raw.remarks.append(
                f"positions: metres divided by object pixels of {pixel * 1e9:.6g} nm"
            )
    contract = raw.read

    def read(keys: frozenset[str]) -> Loaded:
        given = {f"{key}_start" if nominal and key in ("xcoords", "ycoords") else key
                 for key in keys if key in headers}  # fmt: skip
        arrays, checksums = contract(frozenset(given))
        for key in ("xcoords", "ycoords") if nominal else ():
            if f"{key}_start" in arrays:
                arrays[key] = arrays[f"{key}_start"]
        if metres and pixel:
            arrays |= {key: arrays[key].astype(np.float64) / pixel
                       for key in _COORDINATES if key in arrays}  # fmt: skip
            arrays["pixel_size_m"] = np.array(pixel)
        if known and "_metadata" not in arrays:
            arrays["_metadata"] = np.array(json.dumps(_metadata(known)))
        return arrays, checksums

    return Raw(headers=headers, read=read, names=raw.names, files=raw.files, remarks=raw.remarks)


def _metadata(known: dict[str, float]) -> dict[str, float]:
    names = {"energy": "photon_energy_eV", "distance_m": "detector_distance_m",
             "detector_pixel_m": "detector_pixel_size_m"}  # fmt: skip
    return {names[field]: value for field, value in known.items()}


FORMAT = Format(
    name="lcls",
    title="NPZ as of LCLS",
    matches=_matches,
    holds_patterns=_matches,
    read=_read,
    units="positions in object pixels or in metres",
)
