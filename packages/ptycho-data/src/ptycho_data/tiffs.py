"""Amplitude and phase of an object as TIFF, for ImageJ and other programs."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_data._files import atomic_path
from ptycho_data._reconstruction import Reconstruction
from ptycho_data.figures import require_matplotlib

__all__ = ["TIFF_FILES", "write_tiffs"]

#: What `write_tiffs` writes.
TIFF_FILES = ("reconstructed_amplitude.tif", "reconstructed_phase.tif")
#: Tags: text for ImageJ, which finds the unit there; pixels per unit in x and y, as fractions; no
#: unit of TIFF's own, which has inches and centimetres alone.
_DESCRIPTION, _X, _Y, _UNIT, _NO_UNIT = 270, 282, 283, 296, 1


def write_tiffs(
    folder: str | os.PathLike[str], rec: Reconstruction, *, overwrite: bool = False
) -> None:
    """Write ``reconstructed_amplitude.tif`` and ``reconstructed_phase.tif``, float32.

    All pixels of the object are there as they are: nothing is cropped or removed, and the phase is
    wrapped to [-pi, pi] radians. Pixels that no patch reached are NaN. Where the size of a pixel is
    known, it is in the metadata, in micrometres, where ImageJ and Fiji read it.

    Parameters
    ----------
    folder
        Where to; made if missing.
    rec
        The reconstruction.
    overwrite
        Replace existing files.

    Raises
    ------
    MissingPackageError
        Pillow is not installed, which comes with matplotlib.
    OutputExistsError, OSError
        As :func:`ptycho_data.atomic_path`.
    """
    require_matplotlib()
    images = (np.abs(rec.object), np.angle(rec.object))
    for name, values in zip(TIFF_FILES, images, strict=True):
        shown = np.where(rec.coverage > 0, values, np.nan).astype(np.float32)
        with atomic_path(Path(folder) / name, overwrite=overwrite) as temporary:
            _write(temporary, shown, rec.pixel_size_m)


def _write(path: Path, values: NDArray[np.float32], pixel_size_m: float | None) -> None:
    from PIL import Image, TiffImagePlugin

    tags: dict[int, Any] = {}
    if pixel_size_m is not None:
        per_micrometre = TiffImagePlugin.IFDRational(1e-6 / pixel_size_m)
        tags = {_DESCRIPTION: "ImageJ=1.54f\nunit=micron\n", _UNIT: _NO_UNIT}
        tags |= {_X: per_micrometre, _Y: per_micrometre}
    Image.fromarray(values).save(path, "TIFF", tiffinfo=tags)
