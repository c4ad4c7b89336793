"""The canvas of a scan: which pixels of the object grid it covers."""

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_physics._namespace import Array, namespace


@frozen(kw_only=True)
class Canvas:
    """A rectangle of the object grid, fixed by the scan positions alone.

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
        """Return the smallest canvas that holds every pixel of every patch.

        Parameters
        ----------
        positions : (..., 2) float array
            Patch centres ``(x, y)`` in pixels of the object grid.
        N
            Patch size in pixels.

        Raises
        ------
        ValueError
            If there are no positions, or one is not finite.
        """
        points = np.asarray(positions, dtype=np.float64).reshape(-1, 2)
        if not len(points) or not np.isfinite(points).all():
            msg = f"positions: at least one and all finite expected, found {len(points)} with " + (
                f"{int((~np.isfinite(points)).sum())} not finite"
            )
            raise ValueError(msg)
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
        """Return the smallest canvas that holds both."""
        first = np.minimum(self.origin, other.origin)
        ends = [np.add(c.origin, c.shape[::-1]) for c in (self, other)]
        width, height = (np.maximum(*ends) - first).tolist()
        return Canvas(origin=(int(first[0]), int(first[1])), shape=(height, width))

    def window(self, part: "Canvas") -> tuple[slice, slice]:
        """Return where a canvas that lies in this one is found in its arrays."""
        left, top = np.subtract(part.origin, self.origin).tolist()
        height, width = part.shape
        return slice(top, top + height), slice(left, left + width)
