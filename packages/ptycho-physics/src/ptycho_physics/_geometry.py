"""The canvas of a scan: the rectangle of the object grid that its patches cover."""

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._namespace import Array, namespace


@frozen(kw_only=True)
class Canvas:
    """A rectangle of the object grid, determined by the scan positions alone.

    Attributes
    ----------
    origin : (int, int)
        Object-grid pixel ``(x, y)`` of canvas pixel ``[0, 0]``.
    shape : (int, int)
        Canvas shape ``(H, W)``.
    """

    origin: tuple[int, int]
    shape: tuple[int, int]

    @classmethod
    def covering(cls, positions: NDArray[np.float64], N: int) -> "Canvas":
        """Return the smallest canvas that contains every pixel of every patch.

        Parameters
        ----------
        positions : (..., 2) float array
            Patch centres ``(x, y)`` in pixels of the object grid.
        N
            Patch size in pixels.

        Raises
        ------
        InvalidValueError
            If there are no positions, or one is not finite.

        Examples
        --------
        >>> Canvas.covering(np.array([[40.0, 50.0], [44.5, 52.0]]), 64)
        Canvas(origin=(8, 18), shape=(66, 69))
        """
        points = np.asarray(positions, dtype=np.float64).reshape(-1, 2)
        if not len(points) or not np.isfinite(points).all():
            wrong = int((~np.isfinite(points)).sum())
            got = f"{wrong} values that are not finite" if wrong else "none"
            raise InvalidValueError("positions", "at least one, all of them finite", got)
        first = np.floor(points.min(axis=0)).astype(int) - N // 2
        last = np.ceil(points.max(axis=0)).astype(int) - N // 2 + N
        width, height = (last - first).tolist()
        return cls(origin=(int(first[0]), int(first[1])), shape=(height, width))

    def local(self, positions: Array, *, xp: Any | None = None) -> Array:
        """Return positions ``(x, y)`` of the object grid as positions on this canvas."""
        xp = namespace(positions, xp=xp)
        x0, y0 = self.origin
        return xp.stack([positions[..., 0] - x0, positions[..., 1] - y0], axis=-1)

    def union(self, other: "Canvas") -> "Canvas":
        """Return the smallest canvas that contains both."""
        first = np.minimum(self.origin, other.origin)
        ends = [np.add(c.origin, c.shape[::-1]) for c in (self, other)]
        width, height = (np.maximum(*ends) - first).tolist()
        return Canvas(origin=(int(first[0]), int(first[1])), shape=(height, width))

    def window(self, part: "Canvas") -> tuple[slice, slice]:
        """Return the slices of this canvas' arrays that a canvas inside it covers."""
        left, top = np.subtract(part.origin, self.origin).tolist()
        height, width = part.shape
        return slice(top, top + height), slice(left, left + width)
