"""ptychodus: patterns in one file, a product with positions, probe and object in another.

======================  =========================================================================
patterns                ``patterns`` (n, N, N) counts, zero frequency at ``[N//2, N//2]``;
                        ``indexes`` (n,), -1 is empty; ``bad_pixels`` (N, N), True is bad;
                        size of a detector pixel in metres as attributes of ``patterns``
product                 ``probe_position_indexes``, ``probe_position_x_m``,
                        ``probe_position_y_m`` in metres, x to the right and y down;
                        ``probe`` (variations, modes, N, N), ``object`` (layers, H, W) with the
                        size of their pixels, and the middle of the object, in metres
======================  =========================================================================

Each may be HDF5 or NPZ (there, attributes are arrays of their own). Old products say ``costs`` and
``probe_energy_eV``. See `ptycho_data.formats.metres` for what becomes of half a pixel.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ptycho_data.formats.base import (
    Container,
    Format,
    Opened,
    Raw,
    flat,
    has_all,
)
from ptycho_data.formats.metres import Measured, to_contract
from ptycho_data.formats.pairs import find_partner
from ptycho_data.formats.write_ptychodus import write_ptychodus
from ptycho_data.hdf5 import H5File
from ptycho_data.product import NOMINAL

__all__ = ["FORMAT", "read_product"]

_PATTERNS = ("patterns", "indexes")
_PRODUCT = ("probe_position_x_m", "probe_position_y_m", "probe")
_USUAL_PATTERNS = ("diffraction.h5", "diffraction.npz")
_USUAL_PRODUCTS = ("product.h5", "product.npz", "product-in.h5", "product-in.npz")
_ENERGIES = ("photon_energy_eV", "probe_energy_eV")


def _holds_patterns(file: Container) -> bool:
    return has_all(file, _PATTERNS)


def is_product(file: Container) -> bool:
    """Tell a product, HDF5 or NPZ."""
    return has_all(file, _PRODUCT)


def _matches(file: Container) -> bool:
    return _holds_patterns(file) or is_product(file)


def _number(file: Container, key: str, owner: str = "/") -> float | None:
    """Read an attribute of HDF5, or the array that stands for it in NPZ."""
    if isinstance(file, H5File):
        return file.number(owner, key)
    name = key if owner in ("/", "patterns") else f"{owner}_{key}"
    return file.number(name)


def _pair_of(file: Container, owner: str, first: str, second: str) -> tuple[float, float] | None:
    one, other = _number(file, first, owner), _number(file, second, owner)
    return None if one is None or other is None else (one, other)


def _pixel(file: Container, owner: str, prefix: str = "") -> tuple[float, float] | None:
    size = _pair_of(file, owner, f"{prefix}pixel_width_m", f"{prefix}pixel_height_m")
    return size if size is not None and min(size) > 0 else None


def read_product(file: Container, opened: Opened, found: Measured) -> None:
    """Read positions, probe, object and geometry of a product."""
    for key, name, field in (
        ("xcoords", "probe_position_x_m", "x_m"),
        ("ycoords", "probe_position_y_m", "y_m"),
        ("xcoords", "probe_position_indexes", "position_indexes"),
        ("probeGuess", "probe", "probe"),
        ("objectGuess", "object", "object"),
    ):
        if field in ("object", "position_indexes") and name not in file:
            continue
        with opened.collecting(key):
            values = file.read(name)
            setattr(found, field, values if field in ("probe", "object") else flat(values))
    if found.position_indexes is None and found.x_m is not None:
        found.position_indexes = np.arange(found.x_m.size)
    with opened.collecting("pixel_size_m"):
        found.pixel_m = _pixel(file, "object") or _pixel(file, "probe")
        found.nominal = bool(_number(file, NOMINAL))
    with opened.collecting("objectGuess"):
        found.center_m = _pair_of(file, "object", "center_x_m", "center_y_m")
    with opened.collecting("_metadata"):
        energies = (_number(file, key) for key in _ENERGIES)
        found.energy_ev = next((value for value in energies if value), None)
        found.distance_m = _number(file, "detector_object_distance_m") or None


def _read_patterns(file: Container, opened: Opened, found: Measured) -> None:
    with opened.collecting("diffraction"):
        found.stack = file.stack("patterns")
    with opened.collecting("diffraction"):
        found.indexes = flat(file.read("indexes"))
    if "bad_pixels" in file:
        with opened.collecting("bad_pixels"):
            found.bad_pixels = file.read("bad_pixels")
    with opened.collecting("diffraction"):
        found.detector_pixel_m = _pixel(file, "patterns", "detector_")


def _read(opened: Opened) -> Raw:
    found = Measured()
    remarks: list[str] = []
    cautions: list[str] = []
    files = [opened.file]
    product = opened.file
    if not _holds_patterns(opened.file):
        if opened.patterns_needed:
            files.insert(0, find_partner(opened, "patterns", _holds_patterns, _USUAL_PATTERNS))
    elif not is_product(opened.file):
        product = find_partner(opened, "product", is_product, _USUAL_PRODUCTS)
        files.append(product)
    if _holds_patterns(files[0]):
        _read_patterns(files[0], opened, found)
    read_product(product, opened, found)
    arrays: dict[str, Any] = to_contract(found, opened, remarks, cautions)
    places = {"diffraction": "patterns", "bad_pixels": "bad_pixels"}
    names = {"xcoords": "probe_position_x_m", "ycoords": "probe_position_y_m",
             "probeGuess": "probe", "objectGuess": "object"}  # fmt: skip
    return Raw.of_arrays(
        arrays,
        names=tuple(name for file in files for name in file.names),
        places=places | {key: f"{name} of {product.path.name}" for key, name in names.items()},
        files=tuple(file.path for file in files),
        remarks=remarks,
        cautions=cautions,
    )


def _write(path: Path, scan: Any, overwrite: bool) -> list[str]:
    return write_ptychodus(path, scan, overwrite=overwrite)


FORMAT = Format(
    name="ptychodus",
    title="ptychodus patterns and product",
    matches=_matches,
    holds_patterns=_holds_patterns,
    read=_read,
    write=_write,
)
