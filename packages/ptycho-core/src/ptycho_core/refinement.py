"""Refinement of any reconstruction by the iterative solver."""

from collections.abc import Callable, Iterator

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import Reconstruction, Scan
from ptycho_physics import (
    Canvas,
    coarse_intensity,
    expected_counts,
    extract_patches,
    few_photons,
    photons_per_pattern,
    r_factor_sums,
    solve,
)

from ptycho_core.analysis.comparison import canvas_of
from ptycho_core.analysis.verdict import photons_known
from ptycho_core.results import ReconstructionResult, result_facts

__all__ = ["RefinementResult", "initial_object", "r_factor_at_best_scale", "refine"]

#: Patterns processed at a time.
CHUNK = 64
#: Positions are refined from this epoch on, or earlier in a short run: the object must be sharp.
POSITION_START = 5


@frozen(kw_only=True, eq=False, repr=False)
class RefinementResult(ReconstructionResult):
    """A refined reconstruction.

    Attributes
    ----------
    reconstruction : Reconstruction
        With the refined probe and positions, if they were refined.
    r_factor : float
        R-factor of the result at its best scale; see `r_factor_at_best_scale`.
    r_factors : list of float
        R-factor during each epoch of the solver, before its updates.
    photon_warning : str
        Describes a photon count so low that the solver fits noise; empty otherwise.
    """

    reconstruction: Reconstruction
    r_factor: float
    r_factors: list[float]
    photon_warning: str

    def _facts(self) -> dict[str, str]:
        return result_facts(self.reconstruction, self.r_factor, None, None) | {
            "epochs": f"{len(self.r_factors)}",
            "photons": self.photon_warning,
        }

    def _method(self) -> str:
        return f"refined, {len(self.r_factors)} epochs of the solver"

    def _r_factors(self) -> list[float]:
        return self.r_factors


def refine(
    rec: Reconstruction,
    scan: Scan,
    *,
    epochs: int = 10,
    update_probe: bool = False,
    refine_positions: bool = False,
    seed: int = 0,
    nphotons: float | None = None,
    callback: Callable[[int, float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> RefinementResult:
    """Run the solver with a reconstruction as the initial object.

    Parameters
    ----------
    rec : Reconstruction
        Initial object, probe and positions; all of its patterns are used.
    scan : Scan
        The measured patterns.
    epochs
        Passes over the patterns.
    update_probe, refine_positions
        Whether to refine probe and positions as well.
    seed
        Seed of the order of patterns.
    nphotons
        Mean photons per pattern if the scan does not state it. It affects ``photon_warning`` only,
        because the solver works on relative counts.
    callback
        Called with (epoch counted from 1, its R-factor).
    stop
        Called between batches; the refinement ends with what it has when it returns True.

    Raises
    ------
    InvalidValueError
        If all patterns are zero.
    DivergenceError
        If the solver diverges.
    """
    counts = scan.counts(rec.indices, nphotons or 1.0)
    dose_known = photons_known(scan, nphotons)
    solution = solve(
        counts,
        rec.positions + rec.origin,
        rec.probe,
        initial=initial_object(rec, counts, scan.bad_pixels),
        epochs=epochs,
        update_probe=update_probe,
        probe_start=0,
        refine_positions=refine_positions,
        position_start=min(POSITION_START, epochs // 2),
        average=None if dose_known else False,
        mask=scan.bad_pixels,
        seed=seed,
        callback=callback,
        between=lambda _: stop(),
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
    mean = photons_per_pattern(counts, rec.probe, scan.bad_pixels)
    return RefinementResult(
        reconstruction=result,
        r_factor=r_factor,
        r_factors=list(solution.r_factors),
        photon_warning=few_photons(mean, rec.probe) if dose_known else "",
    )


def initial_object(
    rec: Reconstruction, counts: NDArray[np.float32], bad: NDArray[np.bool_] | None = None
) -> NDArray[np.complex64]:
    """Return the object of a reconstruction as ``initial`` of `ptycho_physics.solve`.

    Parameters
    ----------
    rec : Reconstruction
        Object, probe and positions, at any scale.
    counts : (k, N, N) array
        Counts of its patterns, in their order.
    bad : (N, N) boolean array, optional
        True at pixels to ignore.

    Returns
    -------
    (H, W) complex64 array
        On the canvas that the positions cover, in the units of the solver.
    """
    mean = photons_per_pattern(counts, rec.probe, bad)
    _, scale = r_factor_at_best_scale(rec, counts, bad)
    # The solver works in units of the mean pattern, with a probe of unit power.
    power = float(np.sum(np.abs(rec.probe) ** 2))
    unit = scale * np.sqrt(power / mean)
    # Conversion to the canvas and back may move a position across a pixel border by rounding, so
    # the canvas that covers these positions may be one pixel narrower than the object.
    part = canvas_of(rec).window(Canvas.covering(rec.positions + rec.origin, rec.N))
    return np.asarray(rec.object[part] * unit, dtype=np.complex64)


def r_factor_at_best_scale(
    rec: Reconstruction, counts: NDArray[np.float32], bad: NDArray[np.bool_] | None = None
) -> tuple[float, float]:
    """R-factor of a reconstruction whose object is scaled to fit the counts.

    Parameters
    ----------
    rec : Reconstruction
        Object, probe and positions.
    counts : (k, N, N) array
        Counts of its patterns, in their order.
    bad : (N, N) boolean array, optional
        True at pixels to ignore.

    Returns
    -------
    r_factor : float
        ``sum|scale * modulus - sqrt(counts)| / sum sqrt(counts)``.
    scale : float
        The factor on the modulus with the least squared error.

    Raises
    ------
    InvalidValueError
        If the object is zero wherever the probe shines.
    """
    cross = power = numerator = denominator = 0.0
    for predicted, measured in _amplitudes(rec, counts, bad):
        cross += float(np.sum(predicted * measured, dtype=np.float64))
        power += float(np.sum(predicted**2, dtype=np.float64))
    if not power > 0:
        raise InvalidValueError("object", "nonzero where the probe shines", "zeros only")
    scale = cross / power
    for predicted, measured in _amplitudes(rec, counts, bad):
        sums = r_factor_sums(scale * predicted, measured)
        numerator += float(sums[0])
        denominator += float(sums[1])
    return numerator / denominator, scale


def _amplitudes(
    rec: Reconstruction, counts: NDArray[np.float32], bad: NDArray[np.bool_] | None
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield predicted and measured amplitudes at good pixels, in chunks."""
    good = slice(None) if bad is None else ~bad
    positions = rec.positions
    for start in range(0, len(counts), CHUNK):
        part = slice(start, start + CHUNK)
        patches = extract_patches(rec.object, positions[part], rec.N)
        sampling = rec.N // counts.shape[-1]
        if sampling == 1:
            rates = expected_counts(patches, rec.probe, 1.0)
        else:
            rates = coarse_intensity(patches, rec.probe, sampling)
        predicted = np.sqrt(rates)
        yield predicted[:, good], np.sqrt(counts[part])[:, good]
