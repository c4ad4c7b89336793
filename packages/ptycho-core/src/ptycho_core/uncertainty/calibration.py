"""What the halves of a scan do not see, by a simulated repetition of its reconstruction.

Halves alone promise too much. A solver that goes on until its last batch does not average the noise
of all patterns, slow errors of the phase are alike in both halves, and so is the bias of a network
or of an early end. A repetition on simulated patterns, whose object is known, shows by how much:
the reconstruction plays the object, its rates get new photon noise, and the same method makes of
them a second object and its halves.
"""

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from ptycho_data import Reconstruction, Scan

from ptycho_core.fitted import Fitted
from ptycho_core.uncertainty.alignment import between_centres, laid_over
from ptycho_core.uncertainty.halves import Make, Real, Spread, spread_of_halves
from ptycho_core.uncertainty.repetition import simulate_again

__all__ = ["COVERAGES", "Calibration", "calibrate", "calibration_of"]

#: Probabilities of one and of two standard deviations.
COVERAGES = (0.6827, 0.9545)


@frozen(kw_only=True)
class Calibration:
    """Multiples of the error by halves that held the true error in the simulated repetition.

    Attributes
    ----------
    amplitude, phase : (float, float)
        For 68 % and for 95 % of the pixels between the patch centres.
    """

    amplitude: tuple[float, float]
    phase: tuple[float, float]


def calibrate(
    rec: Reconstruction,
    scan: Scan,
    make: Make,
    nphotons: float | None = None,
    fitted: Fitted = Fitted(),  # noqa: B008 - it is frozen
) -> Calibration | None:
    """Repeat a reconstruction on simulated patterns, and compare its errors with its halves.

    Parameters
    ----------
    rec : Reconstruction
        Plays the object.
    scan : Scan
        Its patterns.
    make
        Reconstructs a scan as `rec` was reconstructed.
    nphotons
        Mean photons per pattern, if the scan does not state it.
    fitted : Fitted
        Light, background and probe of each pattern, if they were fitted.

    Returns
    -------
    Calibration or None
        None if the number of photons is unknown, so that noise cannot be simulated.
    """
    simulated = simulate_again(rec, scan, nphotons, fitted=fitted)
    if simulated is None:
        return None
    again = laid_over(make(simulated, np.arange(scan.n)), rec)
    covered = np.where(again.covered, rec.coverage, 0.0)
    repeated = evolve(rec, object=again.values.astype(np.complex64), coverage=covered)
    spread = spread_of_halves(repeated, simulated, make, (None,))
    return calibration_of(again.values, rec, spread)


def calibration_of(
    values: NDArray[np.complexfloating], truth: Reconstruction, spread: Spread
) -> Calibration:
    """Compare the errors of an object with what its halves say of them.

    Parameters
    ----------
    values : (H, W) complex array
        The object, laid over the truth.
    truth : Reconstruction
    spread : Spread
        Errors of `values` by halves.
    """
    box = between_centres(truth)
    found, true = values[box], truth.object[box].astype(np.complex128)
    amplitude = np.abs(np.abs(found) - np.abs(true)) / spread.amplitude[box]
    phase = np.abs(np.angle(found * np.conj(true))) / spread.phase[box]
    return Calibration(amplitude=_quantiles(amplitude), phase=_quantiles(phase))


def _quantiles(ratios: Real) -> tuple[float, float]:
    usual, most = np.nanquantile(ratios, COVERAGES)
    return float(usual), float(most)
