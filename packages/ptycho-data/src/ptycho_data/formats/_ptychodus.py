"""ptychodus: patterns in one file, a product with positions, probe and object in another.

======================  =========================================================================
patterns                ``patterns`` (n, N, N) counts, zero frequency at ``[N//2, N//2]``;
                        ``indexes`` (n,), -1 is empty; ``bad_pixels`` (N, N), True is bad;
                        size of a detector pixel in metres as attributes of ``patterns``
product                 ``probe_position_indexes``, ``probe_position_x_m``,
                        ``probe_position_y_m`` in metres, x to the right and y down;
                        ``probe`` (variations, modes, N, N), ``object`` (layers, H, W) with the
                        size of their pixels, and the centre of the object, in metres
======================  =========================================================================

Each may be HDF5 or NPZ (there, attributes are arrays of their own). Old products say ``costs`` and
``probe_energy_eV``. `ptycho_data._geometry` documents the half pixel between the conventions.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ptycho_data.__about__ import __version__
from ptycho_data._hdf5 import H5File
from ptycho_data._protected import put, put_text, utf8, write_hdf5
from ptycho_data._scan import Scan
from ptycho_data._sets import result_set
from ptycho_data._space import telling_full_disk
from ptycho_data.formats._base import Container, Format, Opened, Raw, find_partner, flat, has_all
from ptycho_data.formats._metres import ELECTRON_ENERGY, NOMINAL, ScanInMetres
from ptycho_data.formats._written_metres import (
    equivalent_photon_ev,
    in_metres,
    left_out,
    write_patterns,
)
from ptycho_data.units import Particle

__all__ = ["ELECTRONS", "FILES", "FORMAT", "fill_product", "read_product", "write_ptychodus"]


def fill_product(
    file: h5py.File,
    *,
    indexes: npt.NDArray[np.integer[Any]],
    x_m: npt.NDArray[np.float64],
    y_m: npt.NDArray[np.float64],
    probe: npt.NDArray[np.complex64],
    object_: npt.NDArray[np.complex64],
    center_m: tuple[float, float],
    pixel_size_m: float,
    nominal: bool,
    name: str,
    comments: str = "",
    photon_energy_ev: float = 0.0,
    particle: Particle = "photon",
    detector_distance_m: float = 0.0,
    exposure_time_s: float = 0.0,
    photons: float | None = None,
    losses: Sequence[float] = (),
) -> None:
    """Write everything a product holds into an open HDF5 file.

    Parameters
    ----------
    file
        Open for writing.
    indexes : (k,) integers
        Number of the pattern of each position.
    x_m, y_m : (k,) float64
        Positions in metres.
    probe : (M, N, N) complex64
    object_ : (H, W) complex64
    center_m
        (x, y) of the centre of the object array.
    pixel_size_m
        Of the object and of the probe.
    nominal
        Whether the size is nominal, the true one being unknown; written as an attribute.
    name, comments, photon_energy_ev, detector_distance_m, exposure_time_s, losses
        As in `save_product`.
    particle
        Of electrons, the energy of photons of their wavelength is written, from which ptychodus
        computes it, and their own energy as the attribute ``electron_energy_eV``.
    photons
        Mean photons per pattern; 0 is written where unknown.
    """
    put_text(file, "writer", f"ptycho-data {__version__}")
    file.attrs.update(
        {
            "name": utf8(name),
            "comments": utf8(comments),
            "photon_energy_eV": equivalent_photon_ev(photon_energy_ev, particle),
            "detector_object_distance_m": detector_distance_m,
            "exposure_time_s": exposure_time_s,
            "probe_photon_count": photons or 0.0,
            "mass_attenuation_m2_per_kg": 0.0,
            "tomography_angle_deg": 0.0,
        }
    )
    if nominal:
        file.attrs[NOMINAL] = 1
    if particle == "electron":
        file.attrs[ELECTRON_ENERGY] = photon_energy_ev
    put(file, "probe_position_indexes", indexes)
    put(file, "probe_position_x_m", x_m)
    put(file, "probe_position_y_m", y_m)
    probes = put(file, "probe", probe[np.newaxis])  # (opr, modes, H, W): one for all positions
    layers = put(file, "object", object_[np.newaxis])  # (layers, H, W)
    put(file, "object_layer_spacing_m", np.zeros(0))
    for dataset in (probes, layers):
        dataset.attrs["pixel_width_m"] = dataset.attrs["pixel_height_m"] = pixel_size_m
    layers.attrs["center_x_m"], layers.attrs["center_y_m"] = center_m
    put(file, "loss_epochs", np.arange(1, len(losses) + 1))
    put(file, "loss_values", np.asarray(losses, dtype=np.float64))


ELECTRONS = (
    "Electrons: the photon energy is that of photons of their wavelength; their own energy is the "
    "attribute electron_energy_eV."
)
"""Comment of a product of electrons."""
FILES = ("diffraction.h5", "product.h5")
"""The names that ptychodus looks for in a folder."""


def write_ptychodus(
    path: str | PathLike[str], scan: Scan, overwrite: bool = False, *, name: str = "scan"
) -> list[str]:
    """Write a scan as a folder that ptychodus opens.

    The two files appear together, or the old ones stay.

    Parameters
    ----------
    path
        The folder; made if missing.
    scan
        The scan. Patterns are written as counts, the probe as it is.
    overwrite
        Replace existing files.
    name
        Name of the product.

    Returns
    -------
    list of str
        What could not be carried over, one line each.

    Raises
    ------
    InvalidValueError
        The scan holds amplitudes and the photons are not known.
    OutputExistsError, OSError
        As :func:`ptycho_data.result_set`.
    """
    folder = Path(path)
    place = in_metres(scan)
    photons = scan.mean_photons()
    numbers, counts = np.arange(scan.n), scan.domain == "counts"
    mask = np.zeros((scan.N, scan.N), bool) if scan.bad_pixels is None else scan.bad_pixels
    size = scan.n * scan.N**2 * (scan.diffraction.dtype.itemsize if counts else 4)

    def patterns(file: h5py.File) -> None:
        stack = write_patterns(file, "patterns", scan)
        stack.attrs["detector_pixel_width_m"] = place.detector_pixel_m
        stack.attrs["detector_pixel_height_m"] = place.detector_pixel_m
        put(file, "indexes", numbers)
        put(file, "bad_pixels", mask)

    def product(file: h5py.File) -> None:
        fill_product(
            file,
            indexes=numbers,
            x_m=place.x_m,
            y_m=place.y_m,
            probe=scan.probe,
            object_=place.object,
            center_m=place.center_m,
            pixel_size_m=place.pixel_m,
            nominal=place.nominal,
            name=name,
            comments="\n".join(
                [*place.lost, *([ELECTRONS] if place.particle == "electron" else [])]
            ),
            photon_energy_ev=place.energy_ev,
            particle=place.particle,
            detector_distance_m=place.distance_m,
            photons=photons,
        )

    with result_set(folder, overwrite=overwrite, names=FILES, size=size) as staged:
        for file, fill in zip(FILES, (patterns, product), strict=True):
            with telling_full_disk(folder / file):
                write_hdf5(staged / file, fill)
    return [*place.lost, *left_out(scan)]


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


def read_product(file: Container, opened: Opened, found: ScanInMetres) -> None:
    """Read positions, probe, object and geometry of a product."""
    for key, name, field in (("xcoords", "probe_position_x_m", "x_m"),
                             ("ycoords", "probe_position_y_m", "y_m")):  # fmt: skip
        with opened.collecting(key):
            found.set_positions(field, file, name)
    for key, name, field in (
        ("xcoords", "probe_position_indexes", "position_indexes"),
        ("probeGuess", "probe", "probe"),
        ("objectGuess", "object", "object"),
    ):
        if field != "probe" and name not in file:
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
        energies = [_number(file, key) for key in _ENERGIES]
        found.energy_ev = next((value for value in energies if value), None)
        electrons = _number(file, ELECTRON_ENERGY)
        if electrons is not None:
            found.particle, found.energy_ev = "electron", electrons
        found.distance_m = _number(file, "detector_object_distance_m") or None


def _read_patterns(file: Container, opened: Opened, found: ScanInMetres) -> None:
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
    found = ScanInMetres()
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
    places = {"diffraction": "patterns", "bad_pixels": "bad_pixels"}
    names = {"xcoords": "probe_position_x_m", "ycoords": "probe_position_y_m",
             "probeGuess": "probe", "objectGuess": "object"}  # fmt: skip
    places |= {key: f"{name} of {product.path.name}" for key, name in names.items()}
    return found.to_raw(opened, *files, places=places)


def _write(path: Path, scan: Any, overwrite: bool) -> list[str]:
    return write_ptychodus(path, scan, overwrite=overwrite)


FORMAT = Format(
    name="ptychodus",
    title="ptychodus patterns and product",
    matches=_matches,
    holds_patterns=_holds_patterns,
    read=_read,
    write=_write,
    files=FILES,
)
