"""The patterns that a scan would have given if its reconstruction were the object."""

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from ptycho_data import Reconstruction, Scan

from ptycho_core.analysis.verdict import (
    JUDGED_PATTERNS,
    drawn_counts,
    model_rates,
    photons_known,
)
from ptycho_core.fitted import Fitted

__all__ = ["simulate_again"]

#: Patterns that are simulated at once.
_AT_ONCE = 256


def simulate_again(
    rec: Reconstruction,
    scan: Scan,
    nphotons: float | None = None,
    *,
    fitted: Fitted = Fitted(),  # noqa: B008 - it is frozen
    seed: int = 0,
) -> Scan | None:
    """Return a scan with the rates of a reconstruction and new photon noise.

    Parameters
    ----------
    rec : Reconstruction
        Of all patterns of the scan, in their order. Its object, probe and positions are true in the
        repetition.
    scan : Scan
        Detector, subtracted background, mean counts; its probe and positions are what the
        repetition starts from, too.
    nphotons
        Mean photons per pattern, if the scan does not state it.
    fitted : Fitted
        Light, background and probe of each pattern, true in the repetition as well.
    seed
        Of the noise.

    Returns
    -------
    Scan or None
        Counts; None if the number of photons is unknown.
    """
    if not photons_known(scan, nphotons):
        return None
    scale = _counts_per_rate(rec, scan, nphotons, fitted)
    rng = np.random.default_rng(seed)
    counts = np.empty((scan.n, scan.N, scan.N), np.float32)
    for start in range(0, scan.n, _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, scan.n))
        counts[rows] = drawn_counts(_expected(rec, rows, scale, fitted), scan, rng)
    if scan.bad_pixels is not None:
        counts[:, scan.bad_pixels] = 0
    stated = scan.nphotons if scan.domain == "counts" else None
    return evolve(scan, diffraction=counts, domain="counts", nphotons=stated, known_totals=None)


def _expected(
    rec: Reconstruction, rows: NDArray[np.int64], scale: float, fitted: Fitted
) -> NDArray[np.float64]:
    """Return the expected counts (k, N, N) of some patterns, with the background that was found."""
    rates = scale * model_rates(rec, rows, fitted).astype(np.float64)
    dark = fitted.background_of(rows)
    return rates if dark is None else rates + dark


def _counts_per_rate(
    rec: Reconstruction, scan: Scan, nphotons: float | None, fitted: Fitted
) -> float:
    """Return the scale of the rates that gives some patterns their total counts."""
    rows = np.unique(np.linspace(0, scan.n - 1, min(scan.n, JUDGED_PATTERNS)).astype(int))
    good = np.ones((scan.N, scan.N), bool) if scan.bad_pixels is None else ~scan.bad_pixels
    light = float(np.sum(scan.counts(rows, nphotons)[:, good], dtype=np.float64))
    if (dark := fitted.background_of(rows)) is not None:
        light = max(0.0, light - float(np.sum(dark[:, good])))
    return light / float(np.sum(model_rates(rec, rows, fitted)[:, good], dtype=np.float64))
