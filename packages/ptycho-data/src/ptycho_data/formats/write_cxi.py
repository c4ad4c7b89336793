"""A scan as one CXI 1.6 file; what CXI has no word for goes where ptychodus puts it."""

from os import PathLike
from typing import Any

import h5py
import numpy as np

from ptycho_data.__about__ import __version__
from ptycho_data.atomic import atomic_path
from ptycho_data.formats.writing import InMetres, in_metres, left_out, write_patterns
from ptycho_data.product import NOMINAL
from ptycho_data.scan import Scan
from ptycho_data.units import EV_J

__all__ = ["write_cxi"]

_VERSION = 160  # 1.6, as the format wants it
_INVALID = 1  # bit of the mask
_NUMBERS_OF_PROBE = ("coherent", "incoherent", "y", "x")


def write_cxi(path: str | PathLike[str], scan: Scan, overwrite: bool = False) -> list[str]:
    """Write patterns, positions, probe and object into one CXI file.

    Parameters
    ----------
    path
        The file.
    scan
        The scan. Patterns are written as counts, the probe as it is.
    overwrite
        Replace an existing file.

    Returns
    -------
    list of str
        What could not be carried over, one line each.

    Raises
    ------
    ValueError
        The scan holds amplitudes and nobody states the photons.
    OutputExistsError, OSError
        As :func:`ptycho_data.atomic_path`.
    """
    photons = scan.mean_photons()
    place = in_metres(scan)
    with atomic_path(path, overwrite=overwrite) as temporary, h5py.File(temporary, "w") as file:
        file["cxi_version"] = _VERSION
        entry = file.create_group("entry_1")
        _write_instrument(entry, scan, place)
        positions = np.zeros((scan.n, 3))
        positions[:, 0], positions[:, 1] = place.x_m, place.y_m
        entry["sample_1/geometry_1/translation"] = positions
        entry["data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        entry["data_1/translation"] = h5py.SoftLink("/entry_1/sample_1/geometry_1/translation")
        _write_images(entry, scan, place)
        _write_extras(entry, scan, place, photons)
        entry["process_1/program"] = "ptycho-data"
        entry["process_1/version"] = __version__
    return [*place.lost, *left_out(scan)]


def _write_instrument(entry: h5py.Group, scan: Scan, place: InMetres) -> None:
    source = entry.create_group("instrument_1/source_1")
    detector = entry.create_group("instrument_1/detector_1")
    if place.energy_ev:
        source["energy"] = place.energy_ev * EV_J  # joules
    if place.distance_m:
        detector["distance"] = place.distance_m
    if place.detector_pixel_m:
        detector["x_pixel_size"] = detector["y_pixel_size"] = place.detector_pixel_m
    data = write_patterns(detector, "data", scan)
    data.attrs["axes"] = "translation:y:x"
    if scan.bad_pixels is not None:
        detector["mask"] = np.where(scan.bad_pixels, _INVALID, 0).astype(np.uint32)


def _write_images(entry: h5py.Group, scan: Scan, place: InMetres) -> None:
    images: tuple[tuple[str, Any, str, str], ...] = (
        ("image_1", scan.probe[np.newaxis], ":".join(_NUMBERS_OF_PROBE), "amplitude"),
        ("image_2", place.object[np.newaxis], "layer:y:x", "electron density"),
    )
    for name, values, axes, kind in images:
        image = entry.create_group(name)
        image["data"] = values
        image["data"].attrs["axes"] = axes
        image["data_type"], image["data_space"] = kind, "real"
        height, width = values.shape[-2:]
        image["image_size"] = np.array([width * place.pixel_m, height * place.pixel_m, 0.0])


def _write_extras(entry: h5py.Group, scan: Scan, place: InMetres, photons: float) -> None:
    extras = entry.create_group("ptychodus")
    extras["probe_position_indexes"] = np.arange(scan.n)
    for what in ("probe", "object"):
        extras[f"{what}_pixel_width_m"] = extras[f"{what}_pixel_height_m"] = place.pixel_m
    extras["object_center_x_m"], extras["object_center_y_m"] = place.center_m
    if place.nominal:
        extras[NOMINAL] = 1
    extras["probe_photon_count"] = photons
    extras["tomography_angle_deg"] = 0.0
