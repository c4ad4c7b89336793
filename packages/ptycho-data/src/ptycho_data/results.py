"""The files of a reconstruction, the same whoever reconstructed."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from ptycho_data.atomic import refuse_existing, write_json
from ptycho_data.figures import View, draw, new_figure, object_views, save_figure
from ptycho_data.product import save_product
from ptycho_data.reconstruction import Reconstruction, save_reconstruction

__all__ = ["PICTURE_FILES", "RESULT_FILES", "write_pictures", "write_results"]

#: What :func:`write_pictures` writes.
PICTURE_FILES = ("reconstructed_amplitude.png", "reconstructed_phase.png")
#: What :func:`write_results` writes.
RESULT_FILES = ("reconstruction.npz", "product.h5", *PICTURE_FILES, "metrics.json")


def _picture(view: View, pixel_size_m: float | None, path: Path, *, overwrite: bool) -> None:
    height, width = view.image.shape
    ratio = min(max(height / width, 0.3), 2.0)
    figure = new_figure(7.4, 6.2 * ratio + 0.8)
    draw(figure.subplots(), view, pixel_size_m)
    save_figure(figure, path, overwrite=overwrite)


def write_pictures(
    folder: str | os.PathLike[str], rec: Reconstruction, *, overwrite: bool = False
) -> None:
    """Write ``reconstructed_amplitude.png`` and ``reconstructed_phase.png``.

    Parameters
    ----------
    folder
        Where to; made if missing.
    rec
        The reconstruction. What it hardly covers is masked, and cropped away at the edges.
    overwrite
        Replace existing files.

    Raises
    ------
    ModuleNotFoundError
        matplotlib is not installed.
    OutputExistsError, OSError
        As :func:`ptycho_data.atomic_path`.
    """
    origin = (float(rec.origin[0]), float(rec.origin[1]))
    views = object_views(rec.object, rec.coverage, origin)
    for view, name in zip(views, PICTURE_FILES, strict=True):
        _picture(view, rec.pixel_size_m, Path(folder) / name, overwrite=overwrite)


def write_results(
    folder: str | os.PathLike[str],
    rec: Reconstruction,
    *,
    metrics: Mapping[str, Any],
    photons: float | None = None,
    overwrite: bool = False,
    stage: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> None:
    """Write every file of `RESULT_FILES`, each one atomically, the pictures last.

    Parameters
    ----------
    folder
        Where to; made if missing.
    rec
        The reconstruction: ``reconstruction.npz``, ``product.h5`` (opens in ptychodus) and the
        pictures of amplitude and phase.
    metrics
        Content of ``metrics.json``.
    photons
        Mean photons per pattern, for the product; None where unknown.
    overwrite
        Replace existing files. Without it nothing is written when one of them is there.
    stage
        Called with ``"write"`` and ``"pictures"``; the two parts of the work run within what it
        returns. For taking their times.

    Raises
    ------
    ModuleNotFoundError
        matplotlib is not installed; all but the pictures is written by then.
    ValueError
        `photons` is not a number above 0.
    OutputExistsError, OSError
        As :func:`ptycho_data.atomic_path`.
    """
    target = Path(folder)
    if not overwrite:
        refuse_existing(target / name for name in RESULT_FILES)
    with stage("write"):
        save_reconstruction(target / "reconstruction.npz", rec, overwrite=overwrite)
        save_product(target / "product.h5", rec, overwrite=overwrite, photons=photons)
        write_json(target / "metrics.json", dict(metrics), overwrite=overwrite)
    with stage("pictures"):
        write_pictures(target, rec, overwrite=overwrite)
