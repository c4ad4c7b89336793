"""The files of a reconstruction: NPZ, ptychodus product, pictures, metrics."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ptycho_config.errors import InvalidValueError

from ptycho_data._default_plot import put_default_plot
from ptycho_data._files import atomic_path, write_json
from ptycho_data._geometry import center_m
from ptycho_data._manifest import MANIFEST
from ptycho_data._protected import put, put_text, write_hdf5
from ptycho_data._reconstruction import Reconstruction, save_reconstruction
from ptycho_data._sets import RECONSTRUCTION_SET, result_set
from ptycho_data.figures import object_figure, require_matplotlib, save_figure
from ptycho_data.formats._ptychodus import ELECTRONS, fill_product
from ptycho_data.formats._written_metres import NOMINAL_PIXEL_SIZE_M
from ptycho_data.unwrapping import require_unwrapping
from ptycho_data.views import ScannedArea, reconstruction_views

__all__ = [
    "PICTURE_FILES",
    "RESULT_FILES",
    "result_bytes",
    "save_product",
    "write_pictures",
    "write_results",
]


def save_product(
    path: str | os.PathLike[str],
    rec: Reconstruction,
    overwrite: bool = False,
    *,
    nominal_pixel_size_m: float = NOMINAL_PIXEL_SIZE_M,
    name: str = "",
    comments: str = "",
    exposure_time_s: float = 0.0,
    losses: Sequence[float] = (),
) -> Path:
    """Write a ptychodus product (HDF5), atomically.

    Parameters
    ----------
    path
        The file to write.
    rec
        The reconstruction, with what it knows of the experiment. Of electrons, the energy of
        photons of their wavelength is written, from which ptychodus computes it, and their own
        energy as the attribute ``electron_energy_eV``. ptychodus keeps the photons per pattern as
        the power of the probe, so the probe is written scaled to ``sum |P|^2 = nphotons``, where
        they are known. ``run`` becomes the attribute ``run``, as JSON; standard errors become
        ``object_amplitude_error`` and ``object_phase_error`` (H, W), which ptychodus passes over.
    overwrite
        Replace an existing file.
    nominal_pixel_size_m
        Pixel size in metres where `rec` states none. The comments of the product then say that
        its lengths are nominal.
    name, comments
        Free text, shown by ptychodus; the name is that of the scan, if none is given.
    exposure_time_s
        In seconds; 0 where unknown, as ptychodus has it.
    losses
        One value per epoch, from epoch 1.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InvalidValueError
        The nominal pixel size or the exposure time is not a usable number.
    OutputExistsError, OSError
        As :func:`ptycho_data.atomic_path`.
    """
    pixel_size = rec.pixel_size_m
    if pixel_size is None:
        pixel_size = nominal_pixel_size_m
        note = f"Pixel size unknown: lengths are in nominal pixels of {pixel_size:g} m."
        comments = f"{comments}\n{note}" if comments else note
    _require(math.isfinite(pixel_size) and pixel_size > 0, "nominal_pixel_size_m", pixel_size)
    _require(math.isfinite(exposure_time_s) and exposure_time_s >= 0, "exposure_time_s",
             exposure_time_s)  # fmt: skip
    if rec.particle == "electron":
        note = ELECTRONS
        comments = f"{comments}\n{note}" if comments else note
    probe, photons = rec.probe, rec.nphotons
    if photons is not None:
        power = float(np.sum(np.abs(probe.astype(np.complex128)) ** 2))
        probe = (probe * math.sqrt(photons / power)).astype(np.complex64)
    x0, y0 = (float(v) for v in rec.origin)
    place = None if rec.pixel_size_m is None else rec.origin_m
    x_m, y_m = place or (0.0, 0.0)

    def fill(file: h5py.File) -> None:
        fill_product(
            file,
            indexes=rec.indices,
            x_m=x_m + (rec.xcoords + x0) * pixel_size,
            y_m=y_m + (rec.ycoords + y0) * pixel_size,
            probe=probe,
            object_=rec.object,
            center_m=center_m(rec.object.shape, (x0, y0), rec.N, pixel_size, (x_m, y_m)),
            pixel_size_m=pixel_size,
            nominal=rec.pixel_size_m is None,
            name=name or rec.name or "ptychopinn",
            comments=comments,
            photon_energy_ev=rec.photon_energy_ev or 0.0,
            particle=rec.particle,
            detector_distance_m=rec.detector_distance_m or 0.0,
            exposure_time_s=exposure_time_s,
            photons=photons,
            losses=losses,
        )
        for part, values in (("amplitude", rec.amplitude_error), ("phase", rec.phase_error)):
            if values is not None:
                put(file, f"object_{part}_error", values)
        put_default_plot(
            file,
            file["object"],
            origin=(x0, y0),
            pixel_size_m=rec.pixel_size_m,
            origin_m=rec.origin_m,
        )
        if rec.run is not None:
            put_text(file, "run", json.dumps(dict(rec.run)))

    with atomic_path(path, overwrite=overwrite) as temporary:
        write_hdf5(temporary, fill)
    return Path(path)


def _require(condition: bool, name: str, value: object) -> None:
    if not condition:
        rule = "a finite number, not negative, and for sizes above 0"
        raise InvalidValueError(name, rule, f"{value}")


#: What :func:`write_pictures` writes.
PICTURE_FILES = ("reconstructed_amplitude.png", "reconstructed_phase.png")
#: Dots per inch of these, which gives them about 1100 pixels across.
PICTURE_DPI = 200
#: What :func:`write_results` writes.
RESULT_FILES = ("reconstruction.npz", "product.h5", *PICTURE_FILES, "metrics.json", MANIFEST)


def write_pictures(
    folder: str | os.PathLike[str],
    rec: Reconstruction,
    *,
    caption: str = "",
    area: ScannedArea | None = None,
    unwrap: bool = False,
    overwrite: bool = False,
) -> None:
    """Write ``reconstructed_amplitude.png`` and ``reconstructed_phase.png``.

    Parameters
    ----------
    folder
        Where to; made if missing.
    rec
        The reconstruction. What it hardly covers is masked. Its mean phase and phase ramp are
        removed for the picture, which says so.
    caption
        Below each picture, which tells it from others.
    area
        Of the whole scan, so that all pictures of a scan show the same frame; by default of the
        patterns of the reconstruction.
    unwrap
        Show the phase without jumps of 2 pi; the caption says so.
    overwrite
        Replace existing files.

    Raises
    ------
    MissingPackageError
        matplotlib, or scikit-image to unwrap, is not installed.
    OutputExistsError, OSError
        As :func:`ptycho_data.atomic_path`.
    """
    place = Path(folder)
    views = reconstruction_views(rec, area, unwrap=unwrap)
    for name, view in zip(PICTURE_FILES, views, strict=True):
        figure = object_figure(view, rec.pixel_size_m, rec.origin_m, caption=caption)
        save_figure(figure, place / name, overwrite=overwrite, dpi=PICTURE_DPI, tight=False)


def write_results(
    folder: str | os.PathLike[str],
    rec: Reconstruction,
    *,
    metrics: Mapping[str, Any],
    caption: str = "",
    area: ScannedArea | None = None,
    pictures: bool = True,
    unwrap: bool = False,
    overwrite: bool = False,
    stage: Callable[[str], AbstractContextManager[object]] = nullcontext,
    also: Callable[[Path], None] | None = None,
) -> None:
    """Write every file of `RESULT_FILES` as one set: they appear together, or the old ones stay.

    What can be checked is checked before the first is written.

    Parameters
    ----------
    folder
        Where to; made if missing.
    rec
        The reconstruction: ``reconstruction.npz``, ``product.h5`` (opens in ptychodus) and the
        pictures of amplitude and phase.
    metrics
        Content of ``metrics.json``.
    caption
        Below each picture.
    area
        Of the whole scan, for the pictures; see `write_pictures`.
    pictures
        Whether to write them.
    unwrap
        Whether they show the phase without jumps of 2 pi.
    overwrite
        Replace an existing result; no other files. Without it nothing is written when one of them
        is there.
    stage
        Called with ``"write"`` and ``"pictures"``; the two parts of the work run within what it
        returns. For taking their times.
    also
        Called with the folder in which the files are written, after all others, to write more
        files of the set there.

    Raises
    ------
    MissingPackageError
        matplotlib, or scikit-image to unwrap, is not installed; the message has the pip command.
    OutputExistsError, InvalidValueError, FolderInUseError, NoSpaceError, OSError
        As :func:`ptycho_data.result_set`.
    """
    if pictures:
        require_matplotlib()
        if unwrap:
            require_unwrapping()
    size = result_bytes(rec.object.shape, len(rec.probe), rec.N, len(rec.indices))
    size += 2 * rec.object.nbytes if rec.phase_error is not None else 0
    with result_set(
        folder, RECONSTRUCTION_SET, overwrite=overwrite, names=RESULT_FILES, size=size
    ) as place:
        with stage("write"):
            save_reconstruction(place / "reconstruction.npz", rec)
            save_product(place / "product.h5", rec)
            write_json(place / "metrics.json", dict(metrics))
        if pictures:
            with stage("pictures"):
                write_pictures(place, rec, caption=caption, area=area, unwrap=unwrap)
        if also is not None:
            also(place)


def result_bytes(shape: tuple[int, ...], modes: int, size: int, patterns: int) -> int:
    """Estimate the bytes of a result, for objects of some shape, and probes (modes, size, size)."""
    arrays = 12 * math.prod(shape) + 8 * modes * size**2 + 24 * patterns
    return 2 * arrays + (4 << 20)  # NPZ and HDF5; pictures
