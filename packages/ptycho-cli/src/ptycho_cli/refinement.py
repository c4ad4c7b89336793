"""A reconstruction polished by the iterative solver, whoever made it."""

from collections.abc import Iterator

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data import Reconstruction, Scan
from ptycho_physics import (
    Canvas,
    detected_fraction,
    expected_counts,
    extract_patches,
    few_photons,
    photons_per_pattern,
    solve,
)

from ptycho_cli.comparison import canvas_of
from ptycho_cli.console import progress

__all__ = ["Refined", "Steps", "r_factor_at_best_scale", "refine"]

#: Patterns at a time where a whole scan is passed over.
CHUNK = 64
#: Pass, at the latest, from which on positions are refined: the object must be sharp by then.
LATE = 5


@frozen(kw_only=True)
class Steps:
    """What the solver is to do.

    Attributes
    ----------
    count
        Passes over the patterns.
    probe
        Refine the probe as well.
    positions
        Refine the positions as well.
    seed
        Order of patterns.
    """

    count: int
    probe: bool = False
    positions: bool = False
    seed: int = 0


@frozen(kw_only=True)
class Refined:
    """A polished reconstruction.

    Attributes
    ----------
    reconstruction
        With the refined probe and positions, where that was asked for.
    r_factor
        Of the result, at its best scale.
    r_factors
        What the solver saw during each pass.
    few_photons
        How few photons it had to go by where they are few, else nothing.
    """

    reconstruction: Reconstruction
    r_factor: float
    r_factors: list[float]
    few_photons: str


def _amplitudes(
    rec: Reconstruction, counts: NDArray[np.float32], bad: NDArray[np.bool_] | None
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield predicted amplitudes of unit scale and the measured ones, in pieces."""
    good = slice(None) if bad is None else ~bad
    positions = rec.positions
    for start in range(0, len(counts), CHUNK):
        part = slice(start, start + CHUNK)
        patches = extract_patches(rec.object, positions[part], rec.N)
        predicted = np.sqrt(expected_counts(patches, rec.probe, 1.0))
        yield predicted[:, good], np.sqrt(counts[part])[:, good]


def r_factor_at_best_scale(
    rec: Reconstruction, counts: NDArray[np.float32], bad: NDArray[np.bool_] | None = None
) -> tuple[float, float]:
    """Hold a reconstruction against counts.

    Parameters
    ----------
    rec
        Object, probe and positions.
    counts
        Of its patterns, in their order: (k, N, N).
    bad
        Pixels (N, N) to leave out.

    Returns
    -------
    r_factor
        ``sum|scale * modulus - sqrt(counts)| / sum sqrt(counts)``.
    scale
        That fits best in the sense of least squares.
    """
    cross = power = misfit = total = 0.0
    for predicted, measured in _amplitudes(rec, counts, bad):
        cross += float(np.sum(predicted * measured, dtype=np.float64))
        power += float(np.sum(predicted**2, dtype=np.float64))
    scale = cross / power
    for predicted, measured in _amplitudes(rec, counts, bad):
        misfit += float(np.sum(np.abs(scale * predicted - measured), dtype=np.float64))
        total += float(np.sum(measured, dtype=np.float64))
    return misfit / total, scale


def refine(
    rec: Reconstruction, scan: Scan, steps: Steps, *, nphotons: float | None = None
) -> Refined:
    """Run the solver from a reconstruction.

    Parameters
    ----------
    rec
        Where to start; all of its patterns are used.
    scan
        Their counts.
    steps
        What to do.
    nphotons
        Mean photons per pattern where the scan states none; the solver works on relative counts.

    Raises
    ------
    ValueError
        There is no light in the patterns.
    DivergenceError
        The solver lost its way.
    """
    counts = scan.counts(rec.indices, nphotons or 1.0)
    mean = photons_per_pattern(counts, rec.probe)
    if scan.bad_pixels is not None:  # zero in these counts already: no need to mask a copy of them
        mean /= detected_fraction(rec.probe, scan.bad_pixels)
    _, scale = r_factor_at_best_scale(rec, counts, scan.bad_pixels)
    # The solver counts light in units of the mean pattern, behind a probe of unit power.
    power = float(np.sum(np.abs(rec.probe) ** 2))
    unit = scale * np.sqrt(power / mean)
    # A position a rounding error beyond a whole pixel is not so any more after its way to the
    # canvas and back: that which covers the positions may be a pixel narrower.
    positions = rec.positions + rec.origin
    part = canvas_of(rec).window(Canvas.covering(positions, rec.N))
    with progress(steps.count, "refining") as update:
        solution = solve(
            counts,
            positions,
            rec.probe,
            initial=(rec.object[part] * unit).astype(np.complex64),
            epochs=steps.count,
            update_probe=steps.probe,
            probe_start=0,
            refine_positions=steps.positions,
            position_start=min(LATE, steps.count // 2),
            mask=scan.bad_pixels,
            seed=steps.seed,
            callback=lambda epoch, r: update(epoch, f"R-factor {r:.4f}"),
        )
    centres = solution.canvas.local(solution.positions)
    result = attrs.evolve(
        rec,
        object=np.asarray(solution.object),
        coverage=np.asarray(solution.coverage),
        probe=np.asarray(solution.probe),
        xcoords=centres[:, 0],
        ycoords=centres[:, 1],
        origin=np.asarray(solution.canvas.origin),
    )
    r_factor, _ = r_factor_at_best_scale(result, counts, scan.bad_pixels)
    dose_known = nphotons is not None or scan.domain == "counts"
    return Refined(
        reconstruction=result,
        r_factor=r_factor,
        r_factors=list(solution.r_factors),
        few_photons=few_photons(mean, rec.probe) if dose_known else "",
    )
