"""Batches of patterns that lie close together, so that their patches overlap."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ptycho_config.errors import InvalidValueError

TEAM_SIZES = (1, 2, 4)
"""Sizes of teams, in groups: a team is averaged between the stages of a network."""

TEAMED = 16
"""A larger batch is divided into compact parts of at most this many groups, from which teams are
drawn, so that members of a team overlap."""


def spatial_batches(
    positions: ArrayLike, size: int, seed: int | Sequence[int] | None = 0
) -> list[NDArray[np.int64]]:
    """Partition positions into compact batches, differently for each seed.

    An overlap constraint only acts between patterns of one batch, so batches are compact; and
    their borders change in every epoch, so that no patterns stay separated. The scan is rotated
    by a random angle and cut into strips with a whole number of batches each, about as wide as a
    batch is long; each strip is cut across into batches (sort-tile-recursive packing,
    Leutenegger, Lopez and Edgington, ICDE 1997). The first strip has a random width, which moves
    the cuts even if the angle happens to repeat. The cost is that of two sorts.

    Parameters
    ----------
    positions : array_like, (n, 2)
        Positions, or centres of groups; finite.
    size
        Number of members of a batch, >= 1.
    seed
        Seed of angle, offset and order; ``(seed, epoch)`` gives each epoch its own batches. With
        None the batches are different each time.

    Returns
    -------
    list of ndarray, each (size,) int64
        Every index occurs exactly once. One batch is shorter if `size` does not divide n. The
        order of the batches is random.

    Raises
    ------
    InvalidValueError
        If positions are not (n, 2) and finite, or size < 1.
    """
    points = np.asarray(positions, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InvalidValueError(
            "positions", "a finite (n, 2) array", f"shape {points.shape} or values not finite"
        )
    if size < 1:
        raise InvalidValueError("size", "at least 1", str(size))
    n = len(points)
    if n == 0:
        return []
    rng = np.random.default_rng(seed)
    across, along = _turned(points, rng)
    batches = -(-n // size)
    depth = _batches_per_strip(across, along, batches)
    rank = np.empty(n, np.int64)
    rank[np.argsort(across, kind="stable")] = np.arange(n)
    shift = int(rng.random() * depth)
    strip = (rank // size + shift) // depth
    order = np.lexsort((along, strip))
    cuts = np.arange(size, n, size)
    pieces = np.split(order, cuts)
    return [pieces[index] for index in np.argsort(rng.random(batches), kind="stable")]


def epoch_batches(
    centres: Sequence[NDArray[np.float64]], size: int, seed: int, epoch: int
) -> list[tuple[int, NDArray[np.int64]]]:
    """Partition the groups of several scans into the compact batches of an epoch.

    Parameters
    ----------
    centres : sequence of (B, 2) float arrays
        Centres of the groups of each scan.
    size
        Number of groups per batch.
    seed, epoch
        Seed of the batches and number of the epoch.

    Returns
    -------
    list of (int, ndarray)
        Index of a scan in ``centres`` and indices of its groups, in random order.
    """
    batches = [
        (part, groups)
        for part, points in enumerate(centres)
        for groups in spatial_batches(points, size, (seed, epoch, part)[: 2 + (part > 0)])
    ]
    if len(centres) == 1:
        return batches  # already in random order
    order = np.random.default_rng((seed, epoch)).permutation(len(batches))
    return [batches[k] for k in order]


def chunks(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Cut an array into pieces of ``size`` rows; the last may be shorter."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def teams_apart(
    positions: ArrayLike, reach: float, seed: int | Sequence[int] | NDArray[np.int64]
) -> NDArray[np.float64]:
    """Move random teams of a batch so far apart that patches overlap within a team only.

    A network that averages overlapping patches between its stages must also learn from few
    overlapping patches, or none. All teams of a batch have 1, 2 or 4 groups, except a remainder.

    Parameters
    ----------
    positions : array_like, (B, C, 2)
        Patch centres ``(x, y)`` of the groups of a batch.
    reach
        Patches whose centres are this many pixels apart do not overlap.
    seed
        Seed of the teams.

    Returns
    -------
    (B, C, 2) float64
        Differences within a team are unchanged. The first patch along either axis is at a whole
        pixel, so that a single patch is not interpolated.
    """
    points = np.asarray(positions, dtype=np.float64)
    rng = np.random.default_rng(seed)
    size = int(rng.choice(TEAM_SIZES))
    parts = [np.arange(len(points))]
    if len(points) > TEAMED:
        parts = spatial_batches(points.mean(axis=1), TEAMED, rng.integers(2**32, size=2).tolist())
    apart, below = np.empty_like(points), 0
    for team in (team for part in parts for team in chunks(rng.permutation(part), size)):
        local = points[team] - points[team].min(axis=(0, 1))
        apart[team] = local + np.array([0, below])
        below += math.ceil(local[..., 1].max() + reach)
    return apart


def places_in_step(
    positions: NDArray[np.float64], N: int, *, together: bool, padding: int = 0
) -> NDArray[np.float32]:
    """Return the positions with which a network works in a step of inference.

    Only differences on a shared canvas matter: they are shifted near zero for single precision.

    Parameters
    ----------
    positions : (B, C, 2) float64
        Patch centres ``(x, y)`` of the groups of a step.
    N
        Patch size in pixels.
    together
        Whether all patterns of the step share a canvas, not only those of a group. A group without
        overlap is then placed at a whole pixel, which avoids needless interpolation.
    padding
        How often the last group is repeated; 0 if all patterns share a canvas.

    Returns
    -------
    (B + padding, C, 2) float32
    """
    if not together:
        local = positions - positions[:, :1]
        return np.concatenate([local, *padding * [local[-1:]]], dtype=np.float32)
    local = positions - positions.min(axis=(0, 1))
    reach = N + 2  # one pixel for interpolation, and one for rounding

    def overlapping(group: NDArray[np.float64]) -> int:
        apart = np.abs(local[:, None] - group[:, None]).max(axis=-1)  # (B, C, C)
        return int((apart < reach).any(axis=(1, 2)).sum())

    alone = np.array([overlapping(group) == 1 for group in local])
    first = local[alone, :1]
    local[alone] += np.round(first) - first
    return np.asarray(local, dtype=np.float32)


def _turned(
    points: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotate by a random angle, and swap the axes at random.

    The half-angle formulas avoid sine and cosine, whose last digit depends on the platform.
    """
    t = rng.random()
    cosine, sine = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    x, y = points[:, 0], points[:, 1]
    u, v = cosine * x - sine * y, sine * x + cosine * y
    sign = 1.0 if rng.random() < 0.5 else -1.0
    return (sign * u, v) if rng.random() < 0.5 else (sign * v, u)


def _batches_per_strip(
    across: NDArray[np.float64], along: NDArray[np.float64], batches: int
) -> int:
    """Choose strips about as wide as their batches are long."""
    width, length = float(np.ptp(across)), float(np.ptp(along))
    if width == 0:
        return batches
    depth = round(math.sqrt(batches * length / width)) if length else 1
    return min(max(depth, 1), batches)
