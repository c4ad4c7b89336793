"""Evaluation of a reconstruction against a reference: figures of merit, table and picture."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import PtychoError
from ptycho_data import Reconstruction, Scan, finish_commit, result_set, write_json
from ptycho_data.display import Displayed
from ptycho_data.figures import save_figure
from ptycho_physics.metrics import Comparison, compare

from ptycho_core.analysis.comparison import (
    Box,
    PlacedObject,
    common_box,
    read_reconstruction,
    read_reference,
)
from ptycho_core.analysis.evaluation_figure import draw_evaluation
from ptycho_core.batch.finished import Request, made_as_asked
from ptycho_core.formatting import table
from ptycho_core.sparing import sparing_results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "EVALUATION_FILES",
    "Evaluation",
    "evaluate",
    "evaluated_metrics",
    "is_evaluated",
    "reference_metrics",
]

log = logging.getLogger(__name__)

#: Files that `Evaluation.save` writes.
EVALUATION_FILES = ("evaluation.json", "evaluation.png", "evaluation.html")


@frozen(kw_only=True, eq=False, repr=False)
class Evaluation(Displayed):
    """A comparison over the rectangle that reconstruction and reference share.

    Attributes
    ----------
    comparison : Comparison
        Comparison of the two objects inside ``box``.
    box : (int, int, int, int)
        Left, top, right and bottom (exclusive) of the rectangle, object-grid pixels.
    pixel_size_m : float or None
        Object pixel in metres, if known.
    """

    comparison: Comparison
    box: Box
    pixel_size_m: float | None = None

    @property
    def metrics(self) -> dict[str, Any]:
        """Figures of merit as plain values for JSON, with the rectangle as ``region``.

        If the Fourier ring correlation does not fall below a threshold, its cutoff is the last
        frequency of the curve.
        """
        left, top, right, bottom = self.box
        region = {"x": [left, right], "y": [top, bottom]}
        return {**self.comparison.to_dict(), "region": region}

    def table(self) -> str:
        """Figures of merit as aligned text."""
        return table(self._rows())

    def _rows(self) -> list[tuple[str, str]]:
        """Figures of merit by their names, as text."""
        metrics = self.metrics
        ring, region = metrics["frc"], metrics["region"]
        rows = [
            ("complex correlation", f"{metrics['correlation']:.4f}"),
            ("  with the mean removed", f"{metrics['mean_removed_correlation']:.4f}"),
            ("amplitude PSNR", _decibels(metrics["amplitude_psnr"])),
            ("amplitude SSIM", f"{metrics['amplitude_ssim']:.4f}"),
            ("phase PSNR", _decibels(metrics["phase_psnr"])),
            ("phase SSIM", f"{metrics['phase_ssim']:.4f}"),
            ("FRC falls below 0.5", _cutoff(ring, "half")),
            ("FRC falls below half-bit", _cutoff(ring, "half_bit")),
            ("shift removed (x, y)", "{:.3f}, {:.3f} pixels".format(*metrics["shift"])),
            ("rectangle", "x {}..{}, y {}..{}".format(*region["x"], *region["y"])),
        ]
        if any(metrics["ramp"]):
            ramp = "{:.5f}, {:.5f} rad/pixel".format(*metrics["ramp"])
            rows.append(("ramp removed (x, y)", ramp))
        return rows

    def save(
        self,
        folder: Path,
        *,
        overwrite: bool = False,
        run: Mapping[str, Any] | None = None,
        report: bool = True,
    ) -> None:
        """Write ``evaluation.json``, ``.png`` and ``.html``, which appear together.

        Parameters
        ----------
        folder
            Where to.
        overwrite
            Replace existing files.
        run
            What it was made of, kept as ``run`` in ``evaluation.json``; see
            `ptycho_core.batch.Request`.
        report
            Write the report, ``evaluation.html``.

        Raises
        ------
        OutputExistsError
            If a file exists and ``overwrite`` is not set.
        """
        with result_set(folder, overwrite=overwrite, names=EVALUATION_FILES) as place:
            record = self.metrics if run is None else {**self.metrics, "run": run}
            write_json(place / EVALUATION_FILES[0], record)
            self.save_figure(place / EVALUATION_FILES[1])
            if report:
                with sparing_results("no report"):
                    self._report(place / EVALUATION_FILES[2], run, folder.name)

    def _report(self, path: Path, run: Mapping[str, Any] | None, output: str) -> None:
        from ptycho_core.report.evaluating import evaluation_report

        page = evaluation_report(
            self.comparison,
            self.box,
            self._rows(),
            pixel_size_m=self.pixel_size_m,
            run=run,
            output=output,
        )
        path.write_bytes(page)

    def _facts(self) -> dict[str, str]:
        metrics = self.metrics
        return {
            "correlation": f"{metrics['correlation']:.4f}",
            "with the mean removed": f"{metrics['mean_removed_correlation']:.4f}",
            "amplitude SSIM": f"{metrics['amplitude_ssim']:.4f}",
            "phase SSIM": f"{metrics['phase_ssim']:.4f}",
        }

    def plot(self) -> "Figure":
        """Draw both objects, their differences and the Fourier ring correlation.

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """
        return draw_evaluation(
            self.comparison, self.box, self.table(), pixel_size_m=self.pixel_size_m
        )

    def save_figure(self, path: Path, *, overwrite: bool = False) -> None:
        """Write the figure of `plot` to a file."""
        save_figure(self.plot(), path, overwrite=overwrite)


def evaluate(
    reconstruction: str | Path | Reconstruction,
    reference: str | Path | Reconstruction | Scan | NDArray[np.complexfloating],
    *,
    remove_ramp: bool = False,
) -> Evaluation:
    """Compare a reconstruction with a reference.

    Where both know their place on the stage in metres, they are laid over each other by it,
    otherwise by the pixels of the object grid.

    Parameters
    ----------
    reconstruction
        A reconstruction, its file, or the folder that holds it.
    reference
        A scan with ``objectGuess``, another reconstruction, a path of either, or an object (H, W)
        with its first pixel at the origin of the object grid.
    remove_ramp
        Remove a linear phase ramp before comparing.

    Raises
    ------
    InvalidValueError
        If there is no reference, the two have pixels of different size, or the common rectangle is
        smaller than 16 x 16 pixels.

    Examples
    --------
    >>> from ptycho_core import SimulationParts, evaluate, simulate_scan, solve_scan
    >>> scan = simulate_scan(SimulationParts().completed(object_size=96, n_patterns=40))
    >>> result = solve_scan(scan, epochs=5, progress=False)
    >>> evaluate(result.reconstruction, scan).comparison.correlation > 0.9
    True
    """
    ours = (
        PlacedObject.from_reconstruction(reconstruction)
        if isinstance(reconstruction, Reconstruction)
        else read_reconstruction(Path(reconstruction))
    )
    theirs = _placed_reference(reference).on_grid_of(ours)
    box = common_box(ours, theirs)
    comparison = compare(ours.cut(box), theirs.cut(box), remove_ramp=remove_ramp)
    return Evaluation(comparison=comparison, box=box, pixel_size_m=ours.pixel_size_m)


def evaluated_metrics(folder: Path) -> dict[str, Any]:
    """Read the figures of merit that a folder holds; empty where they cannot be read."""
    try:
        metrics = json.loads((folder / EVALUATION_FILES[0]).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return metrics if isinstance(metrics, dict) else {}


def is_evaluated(folder: Path, request: Request, *, overwrite: bool = False) -> bool:
    """Tell whether a folder holds an evaluation that was made as asked.

    Parameters and errors are those of `ptycho_core.batch.is_done`.
    """
    finish_commit(folder)
    if not (folder / EVALUATION_FILES[0]).is_file():
        return False
    run = evaluated_metrics(folder).get("run")
    return made_as_asked(folder, run if isinstance(run, dict) else {}, request, overwrite=overwrite)


def reference_metrics(rec: Reconstruction, scan: Scan) -> dict[str, Any]:
    """Compare a reconstruction with the ``objectGuess`` of its scan.

    A reference that cannot be compared (too small, or elsewhere) must not discard a finished
    reconstruction, so the reason is only logged.

    Returns
    -------
    dict
        See `Evaluation.metrics`; empty without a usable reference.
    """
    if scan.object_guess is None:
        return {}
    try:
        return evaluate(rec, scan).metrics
    except PtychoError as error:
        log.info("no comparison with objectGuess: %s", error)
        return {}


def _placed_reference(
    reference: str | Path | Reconstruction | Scan | NDArray[np.complexfloating],
) -> PlacedObject:
    if isinstance(reference, Scan):
        return PlacedObject.from_scan(reference)
    if isinstance(reference, Reconstruction):
        return PlacedObject.from_reconstruction(reference, "reference")
    if isinstance(reference, np.ndarray):
        return PlacedObject(name="reference", values=reference.astype(np.complex64))
    return read_reference(Path(reference))


def _decibels(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f} dB"


def _cutoff(ring: dict[str, Any], name: str) -> str:
    prefix = "at" if ring[f"crossed_{name}"] else "nowhere up to"
    return f"{prefix} {ring[f'cutoff_{name}']:.3f} cycles/pixel"
