"""The files of a reconstruction, the same from the network and from the solver."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptycho_data import (
    Reconstruction,
    Scan,
    save_product,
    save_reconstruction,
    write_json,
)

from ptycho_cli.comparison import Placed, compare_placed, metrics_of
from ptycho_cli.console import note
from ptycho_cli.figures import View, draw, new_figure, object_views, save_figure
from ptycho_cli.record import Stopwatch

__all__ = ["RESULT_FILES", "reference_metrics", "summary", "write_pictures", "write_results"]

RESULT_FILES = (
    "reconstruction.npz",
    "product.h5",
    "reconstructed_amplitude.png",
    "reconstructed_phase.png",
    "metrics.json",
    "run.json",
)


def reference_metrics(rec: Reconstruction, scan: Scan) -> dict[str, Any]:
    """Figures against the scan's own ``objectGuess``; empty where it has none.

    A reference that cannot be compared (too small, elsewhere) is no reason to lose a finished
    reconstruction: it is logged.
    """
    if scan.object_guess is None:
        return {}
    reference = Placed(name="objectGuess", values=scan.object_guess)
    try:
        return metrics_of(*compare_placed(Placed.of(rec), reference))
    except ValueError as error:
        note(f"no comparison with objectGuess: {error}")
        return {}


def _single(view: View, pixel_size_m: float | None, path: Path, *, overwrite: bool) -> None:
    height, width = view.image.shape
    ratio = min(max(height / width, 0.3), 2.0)
    figure = new_figure(7.4, 6.2 * ratio + 0.8)
    draw(figure.subplots(), view, pixel_size_m)
    save_figure(figure, path, overwrite=overwrite)


def write_pictures(folder: Path, rec: Reconstruction, *, overwrite: bool) -> None:
    """Write ``reconstructed_amplitude.png`` and ``reconstructed_phase.png``."""
    origin = (float(rec.origin[0]), float(rec.origin[1]))
    views = object_views(rec.object, rec.coverage, origin)
    for view, name in zip(views, RESULT_FILES[2:4], strict=True):
        _single(view, rec.pixel_size_m, folder / name, overwrite=overwrite)


def write_results(
    folder: Path,
    rec: Reconstruction,
    *,
    metrics: Mapping[str, Any],
    clock: Stopwatch,
    photons: float | None = None,
    overwrite: bool,
) -> None:
    """Write everything but ``run.json``, which follows when the clock has stopped.

    Parameters
    ----------
    folder
        An output folder that has been prepared.
    rec
        The reconstruction.
    metrics
        Content of ``metrics.json``.
    clock
        Gets the stage ``write``.
    photons
        Mean photons per pattern, for the product.
    overwrite
        Replace existing files.
    """
    with clock.stage("write"):
        save_reconstruction(folder / "reconstruction.npz", rec, overwrite=overwrite)
        save_product(folder / "product.h5", rec, overwrite=overwrite, photons=photons)
        write_json(folder / "metrics.json", dict(metrics), overwrite=overwrite)
    with clock.stage("pictures"):
        write_pictures(folder, rec, overwrite=overwrite)


def summary(folder: Path, metrics: Mapping[str, Any], rate: float, patterns: int) -> str:
    """One line for the end of a reconstruction."""
    parts = [f"R-factor {metrics['r_factor']:.4f}"] if metrics.get("r_factor") is not None else []
    if "correlation" in metrics:
        parts.append(f"correlation with objectGuess {metrics['correlation']:.4f}")
    parts.append(f"{patterns} patterns at {rate:.3g} per second")
    return f"{folder}: {', '.join(parts)}"
