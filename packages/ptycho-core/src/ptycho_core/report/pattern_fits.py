"""How well a reconstruction explains single patterns, and which ones best and worst."""

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import Reconstruction, Scan

from ptycho_core.analysis.verdict import model_rates
from ptycho_core.fitted import Fitted

__all__ = ["Example", "PatternFits", "fit_patterns"]

#: Patterns that are compared, at most, and pixels of all of them: a report must not take longer
#: than a short run.
MOST_PATTERNS, MOST_PIXELS = 1024, 1 << 22
#: Patterns that are computed at a time.
AT_A_TIME = 64


@frozen(kw_only=True, eq=False)
class Example:
    """One pattern as it was measured and as the reconstruction explains it.

    Attributes
    ----------
    number : int
        Of the pattern in its scan.
    r_factor : float
    measured, modelled : (N, N) float32
        Counts and expected counts, or what is proportional to them; bad pixels are NaN.
    """

    number: int
    r_factor: float
    measured: NDArray[np.float32]
    modelled: NDArray[np.float32]


@frozen(kw_only=True, eq=False)
class PatternFits:
    """R-factors of some patterns, spread evenly over a scan.

    Attributes
    ----------
    rows : (k,) int64
        Their numbers among the patterns of the reconstruction.
    r_factors : (k,) float64
        ``sum|sqrt(rate) - sqrt(counts)| / sum sqrt(counts)`` of each; NaN for a dark pattern.
    examples : dict of str to Example
        ``best``, ``median`` and ``worst``.
    counted : bool
        Whether the numbers are photons.
    """

    rows: NDArray[np.int64]
    r_factors: NDArray[np.float64]
    examples: dict[str, Example]
    counted: bool


def fit_patterns(
    rec: Reconstruction,
    scan: Scan,
    fitted: Fitted = Fitted(),  # noqa: B008 - it is frozen
) -> PatternFits | None:
    """Compare patterns with their models, scaled by one factor for all as for the verdict.

    Parameters
    ----------
    rec
        Of this scan.
    scan
        At most 1024 of its patterns and four million of its pixels are read.
    fitted
        Light and background of the patterns, if they were fitted.

    Returns
    -------
    PatternFits or None
        None if no pattern has any light.
    """
    most = max(min(MOST_PATTERNS, MOST_PIXELS // scan.N**2), 3)
    rows = np.unique(np.linspace(0, len(rec.indices) - 1, min(most, len(rec.indices))).astype(int))
    good = np.ones((scan.N, scan.N), bool) if scan.bad_pixels is None else ~scan.bad_pixels
    counted = scan.domain == "counts" or scan.nphotons is not None
    counts = [_counts(rec, scan, part) for part in _parts(rows)]
    rates = [model_rates(rec, part, fitted) for part in _parts(rows)]
    dark = [fitted.background_of(part) for part in _parts(rows)]
    factor = _factor(counts, rates, dark, good)
    if not (np.isfinite(factor) and factor > 0):
        return None
    rates = [
        np.float32(factor) * light + (0 if below is None else below)
        for light, below in zip(rates, dark, strict=True)
    ]
    found = [_r_factors(c[:, good], r[:, good]) for c, r in zip(counts, rates, strict=True)]
    r_factors = np.concatenate(found)
    lit = np.flatnonzero(np.isfinite(r_factors))
    order = lit[np.argsort(r_factors[lit], kind="stable")]
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}

    def example(place: Any) -> Example:
        part, row = divmod(int(place), AT_A_TIME)
        measured, modelled = (np.where(good, a[part][row], np.nan) for a in (counts, rates))
        return Example(
            number=int(rec.indices[rows[place]]),
            r_factor=float(r_factors[place]),
            measured=measured.astype(np.float32),
            modelled=modelled.astype(np.float32),
        )

    examples = {name: example(place) for name, place in chosen.items()}
    return PatternFits(rows=rows, r_factors=r_factors, examples=examples, counted=counted)


def _factor(
    counts: list[NDArray[np.float32]],
    rates: list[NDArray[np.float32]],
    dark: list[NDArray[np.float64] | None],
    good: NDArray[np.bool_],
) -> float:
    """Return the factor of all rates that fits good pixels best; above a background, by sums."""
    power = sum(float(light[:, good].sum(dtype=np.float64)) for light in rates)
    if not power:
        return 0.0
    if dark[0] is None:
        parts = zip(counts, rates, strict=True)
        along = sum(float(np.sqrt(c * r)[:, good].sum(dtype=np.float64)) for c, r in parts)
        return (along / power) ** 2
    above = 0.0
    for c, d in zip(counts, dark, strict=True):
        above += float(np.subtract(c, 0 if d is None else d)[:, good].sum(dtype=np.float64))
    return max(0.0, above) / power


def _parts(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + AT_A_TIME] for start in range(0, len(rows), AT_A_TIME)]


def _counts(rec: Reconstruction, scan: Scan, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    try:
        return scan.counts(rec.indices[rows])
    except InvalidValueError:  # amplitudes of unknown scale: any will do
        return scan.counts(rec.indices[rows], 1.0)


def _r_factors(counts: NDArray[Any], rates: NDArray[Any]) -> NDArray[np.float64]:
    amplitude = np.sqrt(counts)
    total = amplitude.sum(axis=1, dtype=np.float64)
    misfit = np.abs(np.sqrt(rates) - amplitude).sum(axis=1, dtype=np.float64)
    found: NDArray[np.float64] = np.full(len(total), np.nan)
    np.divide(misfit, total, out=found, where=total > 0)
    return found
