"""Positions: of all patterns together, by the play of the stage, and of each.

The given positions ``p_j`` are corrected by a linear map about their mean, a shift between there
and back, and a deviation of each,

    A p_j + b t_j / 2 + e_j

with the direction ``t_j`` in which each axis of the stage moved last. ``b`` is the play of its
gears, or what it travels between trigger and exposure: a snake scan shows it as a shift of every
second row. Deviations may be smooth along the scan, as those of a stage that drifts are: the step
of all is then that of least squares with the penalty

    g L^2 sum_j |e_j - e_(j-1)|^2

where ``g`` is the mean curvature of the misfit of a pattern. So each position is averaged over
about ``L`` patterns before and after it.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.ndimage import affine_transform

from ptycho_physics._gradients import PIXELS_AT_ONCE
from ptycho_physics._namespace import Array, as_like, to_numpy
from ptycho_physics.solver._alignment import Slopes, each_pattern, normal_equations, steps_of
from ptycho_physics.solver._estimate import Estimate

MOST_TOGETHER = 256
"""Patterns that what all have in common is fitted to, at most."""

LARGEST_STRETCH = 0.03
"""Largest change of the linear map in one step."""

TURN = 1.0
"""Pixels that an axis has to go back before it has turned."""

LARGEST_STEP = 0.5
"""Largest shift of a position in one step, in pixels."""


def object_slopes(patches: Array, xp: Any) -> tuple[Array, Array]:
    """Return the derivatives of patches by x and y: central differences, zero at the rim."""
    across = (patches[:, :, 2:] - patches[:, :, :-2]) * 0.5
    down = (patches[:, 2:, :] - patches[:, :-2, :]) * 0.5
    column, row = xp.zeros_like(patches[:, :, :1]), xp.zeros_like(patches[:, :1, :])
    return xp.concat([column, across, column], axis=2), xp.concat([row, down, row], axis=1)


def stretch_slopes(patches: Array, xp: Any) -> tuple[Array, ...]:
    """Return the derivatives of patches by a linear map about their centres, row by row."""
    N = patches.shape[-1]
    offsets = as_like(xp.asarray(np.arange(N) - N // 2, dtype=xp.float32), patches, xp)
    across, down = object_slopes(patches, xp)
    return (
        across * offsets,
        across * offsets[:, None],
        down * offsets,
        down * offsets[:, None],
    )


def move_positions(
    estimate: Estimate, start: NDArray[np.float64], largest: float, smoothness: float = 0.0
) -> float:
    """Move every position by its least-squares step, and return the rms step in pixels.

    The mean of the patterns in use is fixed, because object and positions can move together:
    held-out ones shall not move the others. No position moves further than ``largest`` pixels in x
    or y from where the correction of all has brought it from ``start`` (n, 2).
    """
    together = corrected(estimate, start)
    gram, right = each_pattern(estimate, object_slopes)
    if smoothness:
        step = smooth_steps(gram, right, estimate.positions - together, smoothness)
    else:
        step = steps_of(gram, right)
    length = np.linalg.norm(step, axis=1, keepdims=True)
    step *= np.minimum(1, LARGEST_STEP / np.maximum(length, LARGEST_STEP))
    moved = estimate.positions + step
    moved -= np.mean((moved - start)[estimate.measured.used], axis=0)
    moved = np.clip(moved, together - largest, together + largest)
    rms = float(np.sqrt(np.mean((moved - estimate.positions) ** 2)))
    estimate.positions = moved
    return rms


def smooth_steps(
    gram: NDArray[np.float64],
    right: NDArray[np.float64],
    deviation: NDArray[np.float64],
    smoothness: float,
) -> NDArray[np.float64]:
    """Return the steps (n, 2) of positions whose deviations (n, 2) shall be smooth.

    ``gram`` (n, 2, 2) and ``right`` (n, 2) are the normal equations of each pattern, in the order
    of the scan; ``smoothness`` is the length L in patterns.
    """
    n = len(gram)
    curvature = float(np.mean(gram[:, 0, 0] + gram[:, 1, 1])) / 2 + 1e-12
    stiffness = curvature * smoothness**2
    neighbours = np.full(n, 2.0)
    neighbours[[0, -1]] -= 1 if n > 1 else 2
    difference = np.diff(deviation, axis=0, prepend=deviation[:1], append=deviation[-1:])
    wanted = right + stiffness * (difference[1:] - difference[:-1])
    # rows of the lower band of the matrix of x0, y0, x1, y1, ...
    band = np.zeros((3, 2 * n))
    for axis in (0, 1):
        band[0, axis::2] = gram[:, axis, axis] + stiffness * neighbours + 1e-3 * curvature
    band[1, 0::2] = gram[:, 0, 1]
    band[2, :-2] = -stiffness
    step = solveh_banded(band, wanted.reshape(-1), lower=True)
    return np.asarray(step.reshape(n, 2), dtype=np.float64)


def directions(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return in which direction each axis moves on the way to each position, (n, 2) of +-1.

    A way back of less than `TURN` pixels does not turn it. Before the first move an axis has the
    direction of that; one that never moves has 0.
    """
    found = np.zeros_like(positions)
    for axis in (0, 1):
        way, furthest = 0.0, positions[0, axis]
        for j, place in enumerate(positions[:, axis].tolist()):
            moved = place - furthest
            if moved * way > 0 or abs(moved) > TURN:
                now = math.copysign(1.0, moved)
                if way == 0:
                    found[:j, axis] = now
                way, furthest = now, place
            found[j, axis] = way
    return found


def move_back_and_forth(estimate: Estimate, start: NDArray[np.float64], largest: float) -> None:
    """Fit the shift between there and back to all patterns together, and apply it.

    No position moves by more than ``largest`` pixels in x or y.
    """
    ways = _ways(estimate, start)
    gram, right = _sums(estimate, object_slopes, ways)
    step = np.linalg.lstsq(gram, right, rcond=1e-6)[0]
    before = np.zeros(2) if estimate.backlash is None else estimate.backlash
    alone = estimate.positions - corrected(estimate, start)
    bound = largest / max(float(np.abs(ways).max()), 0.5)
    step = np.clip(step, -LARGEST_STEP, LARGEST_STEP)
    estimate.backlash = np.clip(before + step, -bound, bound)
    estimate.positions = corrected(estimate, start) + alone


def _ways(estimate: Estimate, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much positions move for a shift of one between there and back, of mean 0."""
    ways = directions(start) / 2
    return np.asarray(ways - ways[estimate.measured.used].mean(axis=0))


def move_affinely(estimate: Estimate, start: NDArray[np.float64], largest: float) -> None:
    """Move all positions together: by one linear map about their mean, in least squares.

    It corrects the scale of both axes of a stage, their angle and that to the detector. With wrong
    positions ``p`` where ``A p`` are right, the object that fits best is ``O(A r)``: each pattern
    has its own place in it, but stretched about its centre by ``A``. This stretch is fitted, for
    all patterns together, and object and positions are mapped back by it. No position moves
    further than ``largest`` pixels in x or y from ``start`` (n, 2).
    """
    gram, right = _sums(estimate, stretch_slopes)
    back = np.linalg.lstsq(gram, right, rcond=1e-6)[0].reshape(2, 2)
    length = float(np.linalg.norm(back))
    step = -back * min(1.0, LARGEST_STRETCH / max(length, 1e-12))
    before = np.eye(2) if estimate.affine is None else estimate.affine
    alone = estimate.positions - corrected(estimate, start)
    change = (np.eye(2) + step) @ before - np.eye(2)
    middle = start.mean(axis=0)
    furthest = np.abs((start - middle) @ change.T).max()
    after = np.eye(2) + change * min(1.0, largest / max(furthest, 1e-12))
    estimate.affine = after
    estimate.positions = corrected(estimate, start) + alone
    estimate.canvas = _stretched(estimate, after @ np.linalg.inv(before), middle)


def _sums(
    estimate: Estimate, slopes: Slopes, factors: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the normal equations (k, k) and (k,) of numbers that all patterns share.

    ``factors`` (n, k) are those on each derivative in each pattern.
    """
    measured, N = estimate.measured, estimate.probe.shape[-1]
    total, size = measured.processes.total, max(PIXELS_AT_ONCE // N**2, 1)
    chosen = measured.spread(MOST_TOGETHER)
    grams, rights = [], []
    for batch in np.split(chosen, range(size, len(chosen), size)):
        gram, right = normal_equations(estimate, batch, slopes, measured.bad)
        if factors is not None:
            own = factors[batch]
            gram, right = gram * own[:, :, None] * own[:, None, :], right * own
        grams.append(gram.sum(axis=0))
        rights.append(right.sum(axis=0))
    return total(np.sum(grams, axis=0)), total(np.sum(rights, axis=0))


def _stretched(
    estimate: Estimate, linear: NDArray[np.float64], middle: NDArray[np.float64]
) -> Array:
    """Return the object whose point ``linear r`` about the middle was at ``r``."""
    canvas = to_numpy(estimate.canvas)
    back = np.linalg.inv(linear)[::-1, ::-1]  # rows and columns for y and x
    centre = middle[::-1]
    offset = centre - back @ centre
    parts = [
        affine_transform(part, back, offset, order=1, mode="nearest")
        for part in (canvas.real, canvas.imag)
    ]
    moved = (parts[0] + 1j * parts[1]).astype(np.complex64)
    return as_like(estimate.xp.asarray(moved), estimate.canvas, estimate.xp)


def corrected(estimate: Estimate, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply to positions (n, 2) what was found for all together."""
    moved = affinely_moved(start, estimate.affine)
    if estimate.backlash is None:
        return moved
    return moved + _ways(estimate, start) * estimate.backlash


def affinely_moved(
    positions: NDArray[np.float64], affine: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Apply a linear map (2, 2) about the mean of positions (n, 2); None changes nothing."""
    if affine is None:
        return positions
    middle = positions.mean(axis=0)
    return np.asarray(middle + (positions - middle) @ affine.T)
