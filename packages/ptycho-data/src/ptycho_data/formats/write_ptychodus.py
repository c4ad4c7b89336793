"""A scan for ptychodus: a folder with ``diffraction.h5`` and ``product.h5``."""

from os import PathLike
from pathlib import Path

import h5py
import numpy as np

from ptycho_data.atomic import atomic_path, refuse_existing
from ptycho_data.formats.writing import in_metres, left_out, write_patterns
from ptycho_data.product import fill_product
from ptycho_data.scan import Scan

__all__ = ["FILES", "write_ptychodus"]

FILES = ("diffraction.h5", "product.h5")
"""The names that ptychodus looks for in a folder."""


def write_ptychodus(
    path: str | PathLike[str], scan: Scan, overwrite: bool = False, *, name: str = "scan"
) -> list[str]:
    """Write a scan as a folder that ptychodus opens.

    Both files are written completely before either gets its name.

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
    ValueError
        The scan holds amplitudes and nobody states the photons.
    OutputExistsError, OSError
        As :func:`ptycho_data.atomic_path`.
    """
    folder = Path(path)
    if not overwrite:
        refuse_existing(folder / file for file in FILES)
    place = in_metres(scan)
    photons = scan.mean_photons()
    numbers = np.arange(scan.n)
    mask = np.zeros((scan.N, scan.N), bool) if scan.bad_pixels is None else scan.bad_pixels
    with (
        atomic_path(folder / FILES[0], overwrite=overwrite) as patterns,
        atomic_path(folder / FILES[1], overwrite=overwrite) as product,
    ):
        with h5py.File(patterns, "w") as file:
            stack = write_patterns(file, "patterns", scan)
            stack.attrs["detector_pixel_width_m"] = place.detector_pixel_m
            stack.attrs["detector_pixel_height_m"] = place.detector_pixel_m
            file["indexes"] = numbers
            file["bad_pixels"] = mask
        with h5py.File(product, "w") as file:
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
                comments="\n".join(place.lost),
                photon_energy_ev=place.energy_ev,
                detector_distance_m=place.distance_m,
                photons=photons,
            )
    return [*place.lost, *left_out(scan)]
