"""The solver: from counts, positions and a probe to the object."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._forward import centring, normalise_probe, probe_intensity
from ptycho_physics._geometry import Canvas
from ptycho_physics._gradients import raise_mmap_threshold
from ptycho_physics._modes import orthogonal_modes, orthogonalise_modes
from ptycho_physics._namespace import Array, as_like, namespace, to_numpy
from ptycho_physics._patches import merge_patches
from ptycho_physics.memory import require_memory
from ptycho_physics.solver._alignment import align_phase, move_positions
from ptycho_physics.solver._estimate import Estimate
from ptycho_physics.solver._measurement import CHUNK, Measurement
from ptycho_physics.solver._stopping import DivergenceError, Watch, diverged

ALIGNED = 2
"""Number of first epochs in which a smooth phase is fitted to a given object."""

WEAK = 0.05
"""Power of an added mode, relative to the one before."""


@frozen(kw_only=True, eq=False)
class Solution:
    """The result of the solver.

    Attributes
    ----------
    object : (H, W) complex64 array
        The object on ``canvas``; one where there is no light.
    coverage : (H, W) float32 array
        Illumination summed over the scan, of a probe with maximum one.
    probe : (M, N, N) complex64 array
        The probe at unit power, refined with ``update_probe``; several modes are mutually
        orthogonal, the strongest first.
    positions : (n, 2) float64 NumPy array
        Patch centres ``(x, y)`` on the object grid, refined with ``refine_positions``.
    canvas : Canvas
        Where the object lies on the object grid: ``Canvas.covering(positions, N)``.
    r_factors : list of float
        ``sum|sqrt(rate) - sqrt(counts)| / sum sqrt(counts)`` during each epoch, before its updates.
    stopped : str
        Why the run ended: "epochs" (all were made) or "plateau" (the R-factor fell no more).
    """

    object: Array
    coverage: Array
    probe: Array
    positions: NDArray[np.float64]
    canvas: Canvas
    r_factors: list[float]
    stopped: str


def solve(
    counts: Array,
    positions: NDArray[np.float64],
    probe: Array,
    *,
    initial: Array | None = None,
    epochs: int = 10,
    batch_size: int = 16,
    relaxation: float = 0.1,
    update_probe: bool = False,
    probe_start: int = 2,
    modes: int | None = None,
    refine_positions: bool = False,
    position_start: int = 5,
    mask: Array | None = None,
    tolerance: float | None = None,
    patience: int = 3,
    seed: int = 0,
    callback: Callable[[int, float], None] | None = None,
    xp: Any | None = None,
) -> Solution:
    """Reconstruct the object of a scan iteratively.

    Parameters
    ----------
    counts : (n, N, N) real array
        Measured counts, zero frequency at ``[N//2, N//2]``; NumPy or PyTorch.
    positions : (n, 2) float64 NumPy array
        Patch centres ``(x, y)`` in pixels of the object grid.
    probe : (M, N, N) complex array
        Probe modes, same library as ``counts``; only their relative power matters.
    initial : (H, W) complex array, optional
        Object to start from, on ``Canvas.covering(positions, N)``; smooth errors of its phase are
        corrected first. Default: one everywhere.
    epochs
        Largest number of passes over all patterns.
    batch_size
        Patterns per update, drawn from the whole scan.
    relaxation
        Fraction ``a`` of the maximum illumination in the denominator of a step, in (0, 1]: larger
        values give smaller steps at the dim rim.
    update_probe
        Refine the probe as well, starting in epoch ``probe_start``, counted from 0.
    modes
        Number of incoherent probe modes: weak ones are added to a ``probe`` of one mode. Needs
        ``update_probe``.
    refine_positions
        Refine the positions as well, starting in epoch ``position_start``, counted from 0. Each may
        move by N/8 pixels in x and y; their mean is fixed.
    mask : (N, N) boolean array, optional
        True where a detector pixel is bad.
    tolerance
        Stop when the R-factor has decreased by less than this fraction over ``patience`` epochs; by
        default all epochs are made.
    seed
        Seed of the order of patterns.
    callback
        Called with (epoch counted from 1, its R-factor).

    Returns
    -------
    Solution

    Raises
    ------
    InvalidValueError
        If shapes or options disagree, all counts are zero, ``initial`` does not fit the canvas, or
        the positions span more than fits into memory.
    DivergenceError
        If the residual is no longer finite, or the R-factor rises to several times its best.

    Examples
    --------
    >>> from ptycho_physics import defocused_probe, fermat_scan, siemens_star, simulate_counts
    >>> star, probe = siemens_star((64, 72)), defocused_probe(32)
    >>> positions = fermat_scan(star.shape, 32, number=60)
    >>> counts = simulate_counts(star, probe, positions, photons=1e6, seed=0)
    >>> solution = solve(counts, positions, probe, epochs=10)
    >>> len(solution.r_factors), solution.stopped, solution.r_factors[-1] < 0.1
    (10, 'epochs', True)
    """
    xp = namespace(counts, probe, xp=xp)
    positions = np.array(positions, dtype=np.float64)
    _check(counts, positions, probe, initial)
    probe = _with_modes(probe, modes, update_probe, xp)
    N = counts.shape[-1]
    margin = N // 8 if refine_positions else 0
    estimate = _start(counts, positions, probe, initial, mask, relaxation, margin, xp)
    first = estimate.positions
    settled = max(update_probe * probe_start, refine_positions * position_start)
    watch = Watch(tolerance=tolerance, patience=patience, settled=settled)
    raise_mmap_threshold()
    rng = np.random.default_rng(seed)
    converged = False
    for epoch in range(epochs):
        if initial is not None and epoch < ALIGNED:
            align_phase(estimate)
        with_probe = update_probe and epoch >= probe_start
        converged = watch.add(_epoch(estimate, batch_size, rng, with_probe, epoch + 1))
        if callback is not None:
            callback(epoch + 1, watch.r_factors[-1])
        if converged:
            break
        if refine_positions and epoch >= position_start:
            move_positions(estimate, first, margin)
    refined = positions + (estimate.positions - first)
    return _solution(estimate, refined, watch.r_factors, "plateau" if converged else "epochs")


def _epoch(
    estimate: Estimate, size: int, rng: np.random.Generator, update_probe: bool, epoch: int
) -> float:
    """Pass over all patterns once, and return the R-factor before each update."""
    n = len(estimate.measured)
    estimate.misfit = estimate.total = 0.0
    for batch in np.array_split(rng.permutation(n), math.ceil(n / size)):
        estimate.step(batch, update_probe=update_probe)
        if not math.isfinite(estimate.misfit):
            raise DivergenceError(diverged(epoch, "the residual is no longer finite"))
    if update_probe:
        estimate.fix_gauge()
    return estimate.misfit / estimate.total


def _with_modes(probe: Array, modes: int | None, update_probe: bool, xp: Any) -> Array:
    """Add weak modes to a probe of one mode."""
    if modes is None or modes == probe.shape[0]:
        return probe
    if not update_probe:
        raise InvalidValueError(
            "modes",
            "the number of modes of the probe unless the probe is refined",
            str(modes),
            "set update_probe as well",
        )
    if probe.shape[0] != 1:
        raise InvalidValueError(
            "modes", f"{probe.shape[0]}, the modes that the probe has", str(modes), "leave it out"
        )
    several = orthogonal_modes(to_numpy(probe), modes, decay=WEAK)
    return as_like(xp.asarray(several), probe, xp)


def _start(
    counts: Array,
    positions: NDArray[np.float64],
    probe: Array,
    initial: Array | None,
    mask: Array | None,
    relaxation: float,
    margin: int,
    xp: Any,
) -> Estimate:
    """Set up the estimate: scale of the counts, normalised probe, flat or given object."""
    measured = Measurement.of(counts, probe, mask, xp)
    covering = Canvas.covering(positions, counts.shape[-1])
    height, width = covering.shape
    shape = (height + 2 * margin, width + 2 * margin)
    canvas = as_like(xp.ones(shape, dtype=xp.complex64), counts, xp)
    if initial is not None:
        inner = xp.astype(initial, xp.complex64)
        canvas[margin : margin + height, margin : margin + width] = inner
    probe = xp.astype(normalise_probe(probe, xp=xp), xp.complex64)
    return Estimate(
        measured=measured,
        positions=covering.local(positions) + margin,
        canvas=canvas,
        probe=probe * centring(probe, xp),
        relaxation=relaxation,
        xp=xp,
    )


def _solution(
    estimate: Estimate, positions: NDArray[np.float64], r_factors: list[float], stopped: str
) -> Solution:
    xp, N = estimate.xp, estimate.probe.shape[-1]
    canvas = Canvas.covering(positions, N)
    column, row = np.rint(estimate.positions[0] - canvas.local(positions)[0]).astype(int)
    probe = estimate.probe * xp.conj(centring(estimate.probe, xp))
    if probe.shape[0] > 1:
        probe = as_like(xp.asarray(orthogonalise_modes(to_numpy(probe))), probe, xp)
    height, width = canvas.shape
    return Solution(
        object=estimate.canvas[row : row + height, column : column + width],
        coverage=_coverage(probe, canvas.local(positions), canvas, xp),
        probe=probe,
        positions=positions,
        canvas=canvas,
        r_factors=r_factors,
        stopped=stopped,
    )


def _coverage(probe: Array, local: NDArray[np.float64], canvas: Canvas, xp: Any) -> Array:
    light = probe_intensity(probe, xp=xp)
    light = light / xp.max(light)
    total = as_like(xp.zeros(canvas.shape, dtype=light.dtype), light, xp)
    for start in range(0, len(local), CHUNK):
        where = as_like(xp.asarray(local[start : start + CHUNK]), light, xp)
        patches = xp.broadcast_to(light, (where.shape[0], *light.shape))
        total = merge_patches(patches, where, canvas.shape, onto=total, xp=xp)
    return total


def _check(
    counts: Array, positions: NDArray[np.float64], probe: Array, initial: Array | None
) -> None:
    if len(counts.shape) != 3 or counts.shape[-1] != counts.shape[-2]:
        raise InvalidValueError("counts", "an (n, N, N) array", f"shape {tuple(counts.shape)}")
    if len(probe.shape) != 3 or probe.shape[-2:] != counts.shape[-2:]:
        rule = f"an (M, N, N) array with N = {counts.shape[-1]}, that of the counts"
        raise InvalidValueError("probe", rule, f"shape {tuple(probe.shape)}")
    if positions.shape != (counts.shape[0], 2):
        rule = f"a ({counts.shape[0]}, 2) array"
        raise InvalidValueError("positions", rule, f"shape {positions.shape}")
    require_memory(positions, counts.shape[-1])
    shape = Canvas.covering(positions, counts.shape[-1]).shape
    if initial is not None and tuple(initial.shape) != shape:
        rule = f"a {shape} array, the canvas that the positions cover"
        raise InvalidValueError("initial", rule, f"shape {tuple(initial.shape)}")
