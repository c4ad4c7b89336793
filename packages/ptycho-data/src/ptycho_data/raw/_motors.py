"""Positions of motors in metres, one for each frame."""

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_data.raw._places import Place
from ptycho_data.units import metres_per

__all__ = ["in_metres", "matched", "on_raster"]


def in_metres(place: Place, unit: str | None = None) -> NDArray[np.float64]:
    """Return lengths in metres, in the given unit, or else in that of the file."""
    values = place.read()
    if values.dtype.kind not in "iuf":
        place.fail("numbers", f"{values.dtype} {values.shape}")
    stated = place.unit
    if unit is None and not stated:
        rule, got = "in a known unit of length", "no attribute units"
        place.fail(rule, got, "give --unit m, mm, um or nm")
    try:
        factor = metres_per(unit or stated or "")
    except InvalidValueError as error:
        if unit is not None:
            raise InvalidValueError("unit", error.rule, repr(unit)) from None
        place.fail(f"in {error.rule}", f"units {error.got}", "give --unit m, mm, um or nm")
    return values.astype(np.float64) * factor


def matched(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    n: int,
    grid: tuple[int, ...],
    lists: tuple[list[Place], list[Place]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bring positions to one value for each frame: readings averaged, axes of a raster spread."""
    if len(grid) == 2 and x.size == grid[1] and y.size == grid[0] and x.size * y.size == n:
        y, x = np.meshgrid(y.reshape(-1), x.reshape(-1), indexing="ij")
    x, y = (_one_per_frame(values, n) for values in (x, y))
    if x.shape != y.shape:
        rule = f"as many as {lists[1][0]}, {len(y)}"
        lists[0][0].fail(rule, f"{len(x)} positions")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        bad = int(np.sum(~(np.isfinite(x) & np.isfinite(y))))
        lists[0][0].fail("finite", f"NaN or infinity in {bad} positions")
    return x, y


def on_raster(
    shape: tuple[int, int], step: tuple[float, float], *, snake: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions x and y on a raster, x the faster.

    Parameters
    ----------
    shape
        (rows, columns).
    step
        Along x and y.
    snake
        Whether every other row runs backwards.
    """
    rows, columns = shape
    y, x = np.divmod(np.arange(rows * columns), columns)
    if snake:
        x = np.where(y % 2 == 1, columns - 1 - x, x)
    return x * step[0], y * step[1]


def _one_per_frame(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Average readings (p, k) or (k, p), flatten what is on a raster: whatever comes nearest to n.

    Where nothing comes to n, the counts are told, and ends may be left out by name.
    """
    values = np.squeeze(values) if values.ndim > 1 else values
    if values.ndim < 2 or values.size in (0, n):
        return values.reshape(-1)
    first, last = len(values), values.shape[-1]
    nearest = min((first, last, values.size), key=lambda count: abs(count - n))
    if nearest == first:
        return np.asarray(values.reshape(first, -1).mean(axis=1))
    if nearest == last:
        return np.asarray(values.reshape(-1, last).mean(axis=0))
    return values.reshape(-1)
