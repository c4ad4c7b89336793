"""A reconstruction as a ptychodus product, so that it opens there with everything in its place.

Positions in metres stay plain multiples of the pixel size; `ptycho_data.middle` tells where the
object goes, so that ptychodus cuts, for each position, exactly the patch that was reconstructed.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ptycho_data.__about__ import __version__
from ptycho_data.atomic import atomic_path
from ptycho_data.middle import center_m
from ptycho_data.reconstruction import Reconstruction

__all__ = ["NOMINAL", "NOMINAL_PIXEL_SIZE_M", "fill_product", "save_product"]

# Stands in for a pixel size nobody stated: a size of the right order for hard X-rays, so that
# ptychodus shows the picture at a sensible zoom. The product says so in its comments.
NOMINAL_PIXEL_SIZE_M = 1e-8
NOMINAL = "nominal_pixel_size"


def save_product(
    path: str | os.PathLike[str],
    rec: Reconstruction,
    overwrite: bool = False,
    *,
    nominal_pixel_size_m: float = NOMINAL_PIXEL_SIZE_M,
    name: str = "ptychopinn",
    comments: str = "",
    photon_energy_ev: float = 0.0,
    detector_distance_m: float = 0.0,
    exposure_time_s: float = 0.0,
    photons: float | None = None,
    losses: Sequence[float] = (),
) -> Path:
    """Write a ptychodus product (HDF5), atomically.

    Parameters
    ----------
    path
        The file to write.
    rec
        The reconstruction.
    overwrite
        Replace an existing file.
    nominal_pixel_size_m
        Pixel size in metres where `rec` states none. The comments of the product then say that
        its lengths are nominal.
    name, comments
        Free text, shown by ptychodus.
    photon_energy_ev, detector_distance_m, exposure_time_s
        The experiment, in eV, metres and seconds; 0 where unknown, as ptychodus has it.
    photons
        Mean photons per pattern. ptychodus keeps them as the power of the probe, so the probe is
        written scaled to ``sum |P|^2 = photons``; None leaves it as it is, with a count of 0.
    losses
        One value per epoch, from epoch 1.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ValueError
        The nominal pixel size, energy, distance, time or photons is not a usable number.
    OutputExistsError, OSError
        As :func:`ptycho_data.atomic_path`.
    """
    pixel_size = rec.pixel_size_m
    if pixel_size is None:
        pixel_size = nominal_pixel_size_m
        note = f"Pixel size unknown: lengths are in nominal pixels of {pixel_size:g} m."
        comments = f"{comments}\n{note}" if comments else note
    _require(math.isfinite(pixel_size) and pixel_size > 0, "nominal_pixel_size_m", pixel_size)
    _require(photons is None or (math.isfinite(photons) and photons > 0), "photons", photons)
    for key, value in (
        ("photon_energy_eV", photon_energy_ev),
        ("detector_object_distance_m", detector_distance_m),
        ("exposure_time_s", exposure_time_s),
    ):
        _require(math.isfinite(value) and value >= 0, key, value)
    probe = rec.probe
    if photons is not None:
        power = float(np.sum(np.abs(probe.astype(np.complex128)) ** 2))
        probe = (probe * math.sqrt(photons / power)).astype(np.complex64)
    x0, y0 = (float(v) for v in rec.origin)
    with atomic_path(path, overwrite=overwrite) as temporary, h5py.File(temporary, "w") as file:
        fill_product(
            file,
            indexes=rec.indices,
            x_m=(rec.xcoords + x0) * pixel_size,
            y_m=(rec.ycoords + y0) * pixel_size,
            probe=probe,
            object_=rec.object,
            center_m=center_m(rec.object.shape, (x0, y0), rec.N, pixel_size),
            pixel_size_m=pixel_size,
            nominal=rec.pixel_size_m is None,
            name=name,
            comments=comments,
            photon_energy_ev=photon_energy_ev,
            detector_distance_m=detector_distance_m,
            exposure_time_s=exposure_time_s,
            photons=photons,
            losses=losses,
        )
    return Path(path)


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
        (x, y) of the middle of the object array.
    pixel_size_m
        Of the object and of the probe.
    nominal
        Whether it stands in for a size that nobody knows: told by an attribute of this name.
    name, comments, photon_energy_ev, detector_distance_m, exposure_time_s, losses
        As in `save_product`.
    photons
        Mean photons per pattern; 0 is written where unknown.
    """
    file.attrs["writer"] = f"ptycho-data {__version__}"
    file.attrs.update(
        {
            "name": name,
            "comments": comments,
            "photon_energy_eV": photon_energy_ev,
            "detector_object_distance_m": detector_distance_m,
            "exposure_time_s": exposure_time_s,
            "probe_photon_count": photons or 0.0,
            "mass_attenuation_m2_per_kg": 0.0,
            "tomography_angle_deg": 0.0,
        }
    )
    if nominal:
        file.attrs[NOMINAL] = 1
    file["probe_position_indexes"] = indexes
    file["probe_position_x_m"] = x_m
    file["probe_position_y_m"] = y_m
    file["probe"] = probe[np.newaxis]  # (opr, modes, H, W): one probe for all positions
    file["object"] = object_[np.newaxis]  # (layers, H, W)
    file["object_layer_spacing_m"] = np.zeros(0)
    for dataset in (file["probe"], file["object"]):
        dataset.attrs["pixel_width_m"] = dataset.attrs["pixel_height_m"] = pixel_size_m
    file["object"].attrs["center_x_m"], file["object"].attrs["center_y_m"] = center_m
    file["loss_epochs"] = np.arange(1, len(losses) + 1)
    file["loss_values"] = np.asarray(losses, dtype=np.float64)


def _require(condition: bool, name: str, value: object) -> None:
    if not condition:
        rule = "must be a finite number, not negative, and for sizes and photons above 0"
        raise ValueError(f"{name}: {rule}, found {value}")
