"""Standard errors of amplitude and phase of a reconstruction, and what is said of them."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from ptycho_data import Reconstruction, Scan
from ptycho_data.display import Displayed
from ptycho_data.figures import save_figure

from ptycho_core.fitted import Fitted
from ptycho_core.outputs import UNCERTAINTY_FILE
from ptycho_core.sparing import sparing_results
from ptycho_core.uncertainty.alignment import between_centres
from ptycho_core.uncertainty.calibration import Calibration, calibrate
from ptycho_core.uncertainty.figure import draw_uncertainty
from ptycho_core.uncertainty.halves import SCALE, Make, spread_of_halves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "NETWORK_SPLITS",
    "SOLVER_SPLITS",
    "Uncertainty",
    "describe_uncertainty",
    "estimate_uncertainty",
    "sparing_uncertainty",
    "write_uncertainty",
]

#: Splits of a scan into halves. A pass of a network costs little: an ensemble of eight sub-scans.
SOLVER_SPLITS = 2
NETWORK_SPLITS = 4
#: Two standard deviations, where no simulation has told.
_TWO = (1.0, 2.0)


@frozen(kw_only=True, eq=False, repr=False)
class Uncertainty(Displayed):
    """Standard errors of a reconstruction.

    Attributes
    ----------
    reconstruction : Reconstruction
        With ``amplitude_error`` and ``phase_error``: 68 % of the pixels err by less.
    calibration : Calibration or None
        Multiples of the errors by halves alone; None if no repetition could be simulated. The maps
        are then those by halves.
    splits : int
        Number of splits of the scan into halves.
    patterns : (int, int)
        Number of patterns in the halves.
    """

    reconstruction: Reconstruction
    calibration: Calibration | None
    splits: int
    patterns: tuple[int, int]

    @property
    def metrics(self) -> dict[str, Any]:
        """The entry ``uncertainty`` of ``metrics.json``.

        Medians are over the pixels between the patch centres; ``..._times_95`` is the multiple of
        the maps that holds 95 % of the errors.
        """
        rec, found = self.reconstruction, self.calibration
        box = between_centres(rec)
        amplitude, phase = (_median(m, box) for m in (rec.amplitude_error, rec.phase_error))
        factors = {
            "amplitude": _TWO if found is None else found.amplitude,
            "phase": _TWO if found is None else found.phase,
        }
        return {
            "amplitude_median": amplitude,
            "amplitude_median_relative": amplitude / float(np.median(np.abs(rec.object[box]))),
            "phase_median_rad": phase,
            **{f"{name}_times_95": most / usual for name, (usual, most) in factors.items()},
            "calibrated": found is not None,
            **{f"{name}_over_halves": usual for name, (usual, _) in factors.items()},
            "averaged_over_pixels": SCALE,
            "splits": self.splits,
            "patterns": list(self.patterns),
        }

    def _facts(self) -> dict[str, str]:
        metrics = self.metrics
        return {
            "phase": f"{metrics['phase_median_rad']:.3g} rad",
            "amplitude": f"{100 * metrics['amplitude_median_relative']:.2g} %",
            "calibrated": "yes" if metrics["calibrated"] else "no",
            "splits": f"{self.splits}",
        }

    def plot(self) -> "Figure":
        """Draw the standard errors of amplitude and phase.

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """
        return draw_uncertainty(self.reconstruction, caption=describe_uncertainty(self.metrics))


def _median(errors: NDArray[np.float32] | None, box: tuple[slice, slice]) -> float:
    return math.nan if errors is None else float(np.nanmedian(errors[box]))


def describe_uncertainty(metrics: Mapping[str, Any] | None) -> str:
    """One line about the entry ``uncertainty`` of ``metrics.json``."""
    if metrics is None:
        return "uncertainty: not available"
    text = (
        f"uncertainty: phase +-{metrics['phase_median_rad']:.2g} rad, amplitude "
        f"+-{100 * metrics['amplitude_median_relative']:.2g} % (68 % of the pixels, median)"
    )
    if not metrics["calibrated"]:
        text += "; by halves alone, which promise too much: the photon scale is unknown"
    return text


def estimate_uncertainty(
    rec: Reconstruction,
    scan: Scan,
    make: Make,
    *,
    splits: int,
    nphotons: float | None = None,
    fitted: Fitted = Fitted(),  # noqa: B008 - it is frozen
) -> Uncertainty:
    """Estimate the standard errors of a reconstruction.

    The errors by halves (`ptycho_core.uncertainty.halves`) are multiplied by what a simulated
    repetition finds missing in them (`ptycho_core.uncertainty.calibration`). Errors that all
    patterns share stay unseen: a wrong probe, a wrong distance, multiple scattering.

    Parameters
    ----------
    rec : Reconstruction
    scan : Scan
        Its patterns, in their order.
    make
        Reconstructs a scan like `rec`: halves of this one and of a simulated one.
    splits
        Number of splits into halves.
    nphotons
        Mean photons per pattern, if the scan does not state it.
    fitted : Fitted
        Light, background and probe of each pattern, if they were fitted.

    Raises
    ------
    InvalidValueError
        If there are too few patterns, or halves share too small an area.
    """
    seeds: list[int | None] = [None, *range(1, splits)]
    spread = spread_of_halves(rec, scan, make, seeds)
    found = calibrate(rec, scan, make, nphotons, fitted)
    usual = (1.0, 1.0) if found is None else (found.amplitude[0], found.phase[0])
    return Uncertainty(
        reconstruction=evolve(
            rec,
            amplitude_error=_float32(usual[0] * spread.amplitude),
            phase_error=_float32(usual[1] * spread.phase),
        ),
        calibration=found,
        splits=splits,
        patterns=spread.patterns,
    )


def _float32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)


def sparing_uncertainty(
    rec: Reconstruction,
    scan: Scan,
    make: Make,
    *,
    splits: int,
    nphotons: float | None = None,
    fitted: Fitted = Fitted(),  # noqa: B008 - it is frozen
) -> Uncertainty | None:
    """Do as `estimate_uncertainty`; None, after a warning, if it is not possible.

    The finished reconstruction must not be lost.
    """
    with sparing_results("no uncertainty"):
        return estimate_uncertainty(
            rec, scan, make, splits=splits, nphotons=nphotons, fitted=fitted
        )
    return None


def write_uncertainty(rec: Reconstruction, metrics: Mapping[str, Any] | None, folder: Path) -> None:
    """Write the picture of the standard errors of a reconstruction, if it has them.

    A failure is a warning, as the results must not be lost.

    Parameters
    ----------
    rec : Reconstruction
    metrics
        The entry ``uncertainty`` of ``metrics.json``, for the caption.
    folder
        Where to.
    """
    if rec.phase_error is not None:
        with sparing_results("no picture of the uncertainty"):
            figure = draw_uncertainty(rec, caption=describe_uncertainty(metrics))
            save_figure(figure, folder / UNCERTAINTY_FILE, overwrite=False)
