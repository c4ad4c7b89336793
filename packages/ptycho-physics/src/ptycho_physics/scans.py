"""Scan patterns whose patches all lie on the object.

Every function takes the object's shape ``(H, W)``, the patch size ``N`` and either ``number`` (this
many positions, spread over the whole object) or ``step`` (as many as fit at this distance). It
returns positions (n, 2) float64 in the order ``(x, y)``, pixels of the object, in scan order. A
position is the object coordinate of patch pixel ``[N//2, N//2]``.

``jitter`` moves every position uniformly by up to this many pixels in x and in y, because regular
scans cause periodic artefacts. The patches still lie on the object.
"""

import math
from collections.abc import Callable

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@frozen
class _Area:
    """The rectangle of allowed positions, before jitter, and the density of positions in it."""

    centre: tuple[float, float]
    extent: tuple[float, float]
    number: int | None
    step: float | None

    @property
    def pitch(self) -> float:
        """Distance between neighbours: ``step``, or such that ``number`` points fill the area."""
        if self.step is not None:
            return self.step
        return math.sqrt(self.extent[0] * self.extent[1] / (self.number or 1))


def _area(
    shape: tuple[int, int], N: int, number: int | None, step: float | None, jitter: float
) -> _Area:
    if (number is None) == (step is None):
        got = f"number={number} and step={step}"
        raise InvalidValueError("number or step", "given, one of the two", got)
    if number is not None and number < 1:
        raise InvalidValueError("number", ">= 1", str(number))
    if step is not None and not step > 0:
        raise InvalidValueError("step", "> 0 pixels", f"{step:g}")
    if not jitter >= 0:
        raise InvalidValueError("jitter", ">= 0 pixels", f"{jitter:g}")
    height, width = shape
    extent = (width - N - 2 * jitter, height - N - 2 * jitter)
    if min(extent) < 0:
        raise InvalidValueError(
            "shape",
            f"at least {N + 2 * math.ceil(jitter)} pixels in x and in y for patches of {N} with a "
            f"jitter of {jitter:g}",
            f"{width} x {height} pixels",
        )
    centre = ((width - N) / 2 + N // 2, (height - N) / 2 + N // 2)
    return _Area(centre=centre, extent=extent, number=number, step=step)


def _place(
    offsets: NDArray[np.float64], area: _Area, jitter: float, seed: int
) -> NDArray[np.float64]:
    """Centre offsets (n, 2) on the area and jitter them."""
    positions = offsets + area.centre
    if jitter > 0:
        moves = np.random.default_rng(seed).uniform(-jitter, jitter, positions.shape)
        positions = positions + moves
    # Rounding alone may put a position just outside.
    centre, half = np.asarray(area.centre), np.asarray(area.extent) / 2 + jitter
    return np.clip(positions, centre - half, centre + half)


def _grid(area: _Area) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return column offsets, row offsets and the number of positions of a rectangular grid."""
    width, height = area.extent
    if area.number is None:
        pitch = area.pitch
        counts = [int(extent / pitch + 1e-9) + 1 for extent in (width, height)]
        x, y = (np.asarray((np.arange(n) - (n - 1) / 2) * pitch, np.float64) for n in counts)
        return x, y, len(x) * len(y)
    tall = math.sqrt(area.number * (height + 1) / (width + 1))
    rows = min(max(round(tall), 1), area.number)
    columns = math.ceil(area.number / rows)
    rows = math.ceil(area.number / columns)
    x, y = (
        np.linspace(-extent / 2, extent / 2, n) if n > 1 else np.zeros(1)
        for extent, n in ((width, columns), (height, rows))
    )
    return x, y, area.number


def _rows(area: _Area, *, alternating: bool = False) -> NDArray[np.float64]:
    """Return offsets (n, 2) of a grid row by row, every other row backwards if ``alternating``."""
    x, y, n = _grid(area)
    columns, rows = np.meshgrid(x, y)
    if alternating:
        columns[1::2] = columns[1::2, ::-1]
    return np.stack([columns.ravel(), rows.ravel()], axis=1)[:n]


def raster_scan(
    shape: tuple[int, int],
    N: int,
    *,
    number: int | None = None,
    step: float | None = None,
    jitter: float = 0.0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Scan row by row, every row from left to right.

    With ``number`` the last row may be incomplete.

    Parameters
    ----------
    shape
        Object shape ``(H, W)`` in pixels.
    N
        Patch size in pixels.
    number, step
        Number of positions, or distance between neighbours in pixels: exactly one of the two.
    jitter
        Maximum random displacement in x and in y, in pixels.
    seed
        Seed of the jitter.

    Returns
    -------
    (n, 2) float64 array of ``(x, y)``

    Raises
    ------
    InvalidValueError
        If both or neither of ``number`` and ``step`` are given, or the object is too small.
    """
    area = _area(shape, N, number, step, jitter)
    return _place(_rows(area), area, jitter, seed)


def snake_scan(
    shape: tuple[int, int],
    N: int,
    *,
    number: int | None = None,
    step: float | None = None,
    jitter: float = 0.0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Scan row by row in alternating directions.

    Parameters, result and errors are those of `raster_scan`.
    """
    area = _area(shape, N, number, step, jitter)
    return _place(_rows(area, alternating=True), area, jitter, seed)


def _fill_outward(
    radius: NDArray[np.float64], angle: NDArray[np.float64], area: _Area
) -> NDArray[np.float64]:
    """Keep the points of a spiral, given at unit density, that lie in the area.

    With ``number``, the scale is such that exactly this many points lie inside and the outermost of
    them touches the border.
    """
    unit = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    half = np.asarray(area.extent) / 2
    reach = np.max(np.abs(unit) / np.maximum(half, 1e-9), axis=1)
    if area.number is None:
        return np.asarray(unit[reach * area.pitch <= 1 + 1e-12] * area.pitch)
    inside = np.sort(np.argsort(reach, kind="stable")[: area.number])
    farthest = float(np.max(reach[inside]))
    return np.asarray(unit[inside] / farthest if farthest > 0 else unit[inside])


def _enough(area: _Area) -> NDArray[np.float64]:
    """Return indices of enough points of a spiral of unit density to cover the area's corners."""
    width, height = area.extent
    if area.number is not None and area.number > 1 and min(width, height) <= 0:
        rule = "larger than patch and jitter in x and in y for a spiral"
        raise InvalidValueError("shape", rule, f"a free area of {width:g} x {height:g} pixels")
    reach = math.hypot(width, height) / 2 / area.pitch if area.pitch > 0 else 0.0
    return np.arange(math.ceil(1.5 * math.pi * reach**2) + 16, dtype=np.float64)


def _spiral(
    area: _Area, angle: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return offsets (n, 2) at the radius ``sqrt(k / pi)`` and an angle of point k, in radians."""
    k = _enough(area)
    return _fill_outward(np.sqrt(k / math.pi), angle(k), area)


def spiral_scan(
    shape: tuple[int, int],
    N: int,
    *,
    number: int | None = None,
    step: float | None = None,
    jitter: float = 0.0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Scan an Archimedean spiral from the centre outwards, clipped to the object.

    Turns, and positions along a turn, are about ``step`` apart: one position per ``step^2``.

    Parameters, result and errors are those of `raster_scan`.
    """
    area = _area(shape, N, number, step, jitter)
    offsets = _spiral(area, lambda k: 2 * np.sqrt(math.pi * k))
    return _place(offsets, area, jitter, seed)


def fermat_scan(
    shape: tuple[int, int],
    N: int,
    *,
    number: int | None = None,
    step: float | None = None,
    jitter: float = 0.0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Scan a Fermat spiral, which has even overlap and no period.

    One position per ``step^2``; successive positions are a golden angle apart (X. Huang et al.,
    Opt. Express 22, 12634, 2014).

    Parameters, result and errors are those of `raster_scan`.

    Examples
    --------
    >>> positions = fermat_scan((200, 240), 64, number=100)
    >>> positions.shape, positions[0].tolist()
    ((100, 2), [120.0, 100.0])
    """
    area = _area(shape, N, number, step, jitter)
    offsets = _spiral(area, lambda k: GOLDEN_ANGLE * k)
    return _place(offsets, area, jitter, seed)


def random_scan(
    shape: tuple[int, int],
    N: int,
    *,
    number: int | None = None,
    step: float | None = None,
    jitter: float = 0.0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Scatter positions independently and uniformly over the object.

    With ``step`` their number is that of a raster of this step. ``jitter`` has the same meaning as
    in the other patterns.

    Parameters, result and errors are those of `raster_scan`.
    """
    area = _area(shape, N, number, step, jitter)
    n = _grid(area)[2]
    half = np.asarray(area.extent) / 2
    offsets = np.random.default_rng(seed).uniform(-half, half, (n, 2))
    return _place(offsets, area, jitter, seed + 1)
