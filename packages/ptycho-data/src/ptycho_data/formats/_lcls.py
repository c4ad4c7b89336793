"""NPZ as of LCLS: the names of the contract, patterns last, positions often in metres.

``diffraction`` is (N, N, n), turned by rule FORMAT-001. Positions of which none is larger than
1e-3 are metres; they become pixels through ``pixel_size_m``, or the numbers ``photon_energy_eV``
(or ``probe_energy_ev``), ``detector_distance_m`` and ``detector_pixel_size_m``; x is the column, to
the right, y the row, down. Files that have only ``xcoords_start`` and ``ycoords_start`` mean those.
An object is left out where positions are in metres: the file does not say where it lies.
"""

import json
import math
from typing import Any

import numpy as np
from attrs import evolve

from ptycho_data._contract import probe_side
from ptycho_data._experiment import Experiment, resolve
from ptycho_data._npz import Archive
from ptycho_data._violations import ScanFormatError
from ptycho_data.formats._base import Container, Format, Loaded, Opened, Raw, first_of
from ptycho_data.formats._metres import ADVICE, experiment_metadata
from ptycho_data.formats._npz import read_contract
from ptycho_data.units import LARGEST, SMALLEST

__all__ = ["FORMAT"]

#: Positions with none beyond this are in metres.
METRES = 1e-3
_STACKS = ("diffraction", "diff3d")
_COORDINATES = ("xcoords", "ycoords", "xcoords_start", "ycoords_start")
_GEOMETRY = {
    "photon_energy_ev": (
        "photon_energy_eV",
        "probe_energy_eV",
        "photon_energy_ev",
        "probe_energy_ev",
    ),
    "detector_distance_m": ("detector_distance_m",),
    "detector_pixel_size_m": ("detector_pixel_size_m",),
    "pixel_size_m": ("pixel_size_m",),
}  # fmt: skip


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


def _geometry(opened: Opened, N: int | None) -> tuple[Experiment, list[str]]:
    """Return what is known of the experiment, and what of the file was replaced."""
    own: dict[str, Any] = {}
    for field, names in _GEOMETRY.items():
        name = first_of(opened.file, names)
        with opened.collecting("pixel_size_m" if field == "pixel_size_m" else "_metadata"):
            value = None if name is None else opened.file.number(name)
            if value is not None and 0 < value < math.inf:
                own[field] = value
    known, notes = resolve(opened.given, Experiment(**own), N)
    pixel = known.pixel_size_m
    if pixel is not None and not SMALLEST < pixel < LARGEST:
        rule = "the size of an object pixel in metres"
        opened.findings.add("pixel_size_m", rule, f"{pixel:g} m")
        known = evolve(known, pixel_size_m=None)
    return known, notes


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
    known, notes = _geometry(opened, None if probe is None else probe_side(probe.shape))
    pixel = known.pixel_size_m
    metres = _in_metres(archive)
    if metres:
        if headers.pop("objectGuess", None) is not None:
            raw.remarks.append("objectGuess left out: the file does not say where it lies")
        if pixel is None:
            opened.findings.add(
                "xcoords",
                "in pixels, or in metres with the size of an object pixel",
                "positions in metres (none beyond 1e-3) and no pixel size",
                ADVICE,
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
        if "_metadata" not in arrays:
            place = (0.0, 0.0) if metres else None
            arrays["_metadata"] = np.array(json.dumps(experiment_metadata(known, place)))
        return arrays, checksums

    return Raw(
        headers=headers,
        read=read,
        names=raw.names,
        files=raw.files,
        remarks=raw.remarks,
        cautions=[*raw.cautions, *notes],
    )


FORMAT = Format(
    name="lcls",
    title="NPZ as of LCLS",
    matches=_matches,
    holds_patterns=_matches,
    read=_read,
    units="positions in object pixels or in metres",
)
