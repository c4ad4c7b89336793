"""Streaming assembly of patches whose phases are arbitrary.

Patches are summed on *tiles*. The object plane is divided into cells half a patch wide; the tile of
a cell has room for all patches centred in the cell. A patch takes the phase that agrees best with
its tile. The relative phases of the tiles are determined by `synchronise` when the object is
assembled. Nine tiles overlap in each pixel. If a wide scan needs more tiles than fit in memory,
those present are assembled, consistently with what was assembled before, and then need no more
memory than the object. Memory grows with the scanned area, not with the number of patches.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptycho_physics._geometry import Canvas
from ptycho_physics._namespace import Array, abs2, as_like, namespace, to_numpy
from ptycho_physics._patches import extract_patches, merge_patches
from ptycho_physics._synchronisation import synchronise

COLUMNS = 32
"""Tiles per row of the array that holds all tiles. The array is about square, so that patch
positions in single precision are accurate to a few thousandths of a pixel."""

MOST_SWEEPS = 12
CONVERGED = 0.02
"""The phases of a batch of patches are determined in sweeps, until they change by less than
this (root mean square, in radians)."""

BLOCK_PIXELS = 2**19
"""Patches are added in blocks of so many pixels, 128 patches of 64 pixels, in the order in which
they come: the phases of a block are determined together, so the object depends on the blocks.
Blocks of fixed size make it independent of the batches in which patches come."""

CHUNK = 64
"""Tiles compared at a time."""

MOST_PIXELS = 3 * 2**21
"""Pixels of all tiles at a time, 12 bytes each: tiles of an area about eight hundred pixels wide
and high are assembled together."""

FIXED = 1e3
"""Energy of the assembled part relative to that of the tiles: so large that its phase is fixed."""


class Assembled(NamedTuple):
    """The part of the object whose phases are fixed.

    Attributes
    ----------
    canvas
        Where it lies on the object grid.
    total : (H, W) complex64 array
        Weighted sum of the patches.
    weight : (H, W) float32 array
        Sum of their weights.
    """

    canvas: Canvas
    total: Array
    weight: Array


class Mosaic:
    """Weighted sum of patches with arbitrary phases.

    Parameters
    ----------
    N
        Patch size in pixels.
    most_tiles
        Largest number of tiles kept before they are assembled; a single block may need more.
    block
        Number of patches that are added together; by default those of `BLOCK_PIXELS`.
    xp
        Array namespace of the patches; by default inferred from them.
    """

    def __init__(
        self,
        N: int,
        *,
        most_tiles: int | None = None,
        block: int | None = None,
        xp: Any | None = None,
    ) -> None:
        self.N = N
        self.side = N + N // 2
        self.most_tiles = most_tiles or max(2 * COLUMNS, MOST_PIXELS // self.side**2)
        self._xp: Any = xp
        self._block = block or max(1, BLOCK_PIXELS // N**2)
        self._waiting: list[tuple[Array, NDArray[np.float64]]] = []
        self._waiting_weight: Array = None
        self._slots: dict[tuple[int, int], int] = {}
        self._total: Array = None
        self._weight: Array = None
        self._area: Canvas | None = None
        self._assembled: Assembled | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing was added yet."""
        return not self._waiting and not self._slots and self._assembled is None

    @property
    def step(self) -> int:
        """Distance between tiles in pixels."""
        return self.N // 2

    def reserve(self, canvas: Canvas) -> None:
        """Allocate an area of the object grid that is going to be covered."""
        # tiles reach half a patch further than the patches in them
        more, ((x, y), (height, width)) = self.step + 1, (canvas.origin, canvas.shape)
        self._cover(
            Canvas(origin=(x - more, y - more), shape=(height + 2 * more, width + 2 * more))
        )

    def _cover(self, canvas: Canvas) -> None:
        self._area = canvas if self._area is None else self._area.union(canvas)

    def add(self, patches: Array, positions: NDArray[np.float64], weight: Array) -> None:
        """Add patches to their tiles, each with the phase that agrees best.

        They are kept until there are enough for a block, or the object is asked for, and must not
        be changed until then.

        Parameters
        ----------
        patches : (k, N, N) complex array
        positions : (k, 2) float64 NumPy array
            Patch centres ``(x, y)`` in pixels of the object grid.
        weight : (N, N) real array
            Weight of each patch pixel.
        """
        xp = self._xp = namespace(patches, xp=self._xp)
        if self._waiting and weight is not self._waiting_weight:
            self._add_waiting()
        self._waiting.append((patches, positions))
        self._waiting_weight = weight
        count = sum(len(where) for _, where in self._waiting)
        if count < self._block:
            return
        joined = xp.concat([some for some, _ in self._waiting], axis=0)
        places = np.concatenate([where for _, where in self._waiting])
        whole = count - count % self._block
        for start in range(0, whole, self._block):
            part = slice(start, start + self._block)
            self._add_block(joined[part], places[part], weight)
        self._waiting = [(joined[whole:], places[whole:])] if count > whole else []

    def _add_waiting(self) -> None:
        """Add the patches that wait for more to come."""
        if self._waiting:
            patches = self._xp.concat([some for some, _ in self._waiting], axis=0)
            places = np.concatenate([where for _, where in self._waiting])
            self._waiting = []
            self._add_block(patches, places, self._waiting_weight)

    def _add_block(self, patches: Array, positions: NDArray[np.float64], weight: Array) -> None:
        xp = self._xp
        where = as_like(xp.asarray(self._place(positions, patches)), patches, xp)
        shape = tuple(self._total.shape)
        weighted = patches * weight
        self._weight = merge_patches(
            xp.broadcast_to(weight, patches.shape), where, shape, onto=self._weight, xp=xp
        )
        self._total = merge_patches(weighted, where, shape, onto=self._total, xp=xp)
        for _ in range(MOST_SWEEPS):
            there = extract_patches(self._total, where, self.N, xp=xp)
            factor = _unit(xp.sum(xp.conj(weighted) * there, axis=(-2, -1)), xp)[:, None, None]
            turned = weighted * factor
            self._total = merge_patches(turned - weighted, where, shape, onto=self._total, xp=xp)
            weighted = turned
            if float(xp.mean(abs2(factor - 1, xp))) < CONVERGED**2:
                break

    def _place(self, positions: NDArray[np.float64], like: Array) -> NDArray[np.float32]:
        """Return patch centres (k, 2) on the array of tiles, which grows if necessary."""
        cells = np.floor(positions / self.step).astype(np.int64)
        unique, which = np.unique(cells, axis=0, return_inverse=True)
        keys = list(map(tuple, unique.tolist()))
        more = sum(key not in self._slots for key in keys)
        if self._slots and len(self._slots) + more > self.most_tiles:
            self._assemble_all()
        slots = np.array([self._slots.setdefault(key, len(self._slots)) for key in keys])
        self._grow(like)
        slots = slots[which.reshape(-1)]
        corner = np.stack([slots % COLUMNS, slots // COLUMNS], axis=-1) * self.side
        centres = positions - cells * self.step + self.N // 2 + corner
        return np.asarray(centres, dtype=np.float32)

    def _grow(self, like: Array) -> None:
        xp = self._xp
        have = 0 if self._total is None else self._total.shape[0] // self.side
        need = -(-len(self._slots) // COLUMNS)
        if need <= have:
            return
        # Growing copies the array, so it grows rarely. One row is enough for most scans.
        rows = max(need, min(2 * have, -(-self.most_tiles // COLUMNS))) - have
        for name, dtype in (("_total", xp.complex64), ("_weight", xp.float32)):
            more = as_like(xp.zeros((rows * self.side, COLUMNS * self.side), dtype=dtype), like, xp)
            old = getattr(self, name)
            setattr(self, name, more if old is None else xp.concat([old, more], axis=0))

    def merged(self, canvas: Canvas) -> tuple[Array, Array]:
        """Determine the phases of the tiles and sum them.

        If a part of the object was assembled before, the tiles are fixed to it; otherwise their
        phases stay free for patches to come.

        Parameters
        ----------
        canvas
            Part of the object grid to return.

        Returns
        -------
        total : (H, W) complex64 array
            Weighted sum of the patches.
        weight : (H, W) float32 array
            Sum of their weights. Both are views that change when more patches are added.
        """
        self._add_waiting()
        self.reserve(canvas)
        if self._assembled is not None and self._slots:
            self._assemble_all()
        assembled = self._assemble() if self._assembled is None else self._enlarged()
        part = assembled.canvas.window(canvas)
        return assembled.total[part], assembled.weight[part]

    def _assemble_all(self) -> None:
        """Assemble all tiles and remove them."""
        self._assembled = self._assemble()
        self._slots = {}
        self._total = self._weight = None

    def _assemble(self) -> Assembled:
        """Sum the tiles, on a new canvas or on the part assembled before."""
        S = self.side
        cells = np.array(list(self._slots), dtype=np.int64)
        starts = cells * self.step - self.N // 2
        (left, top), (right, bottom) = starts.min(axis=0).tolist(), starts.max(axis=0).tolist()
        self._cover(Canvas(origin=(left, top), shape=(bottom - top + S, right - left + S)))
        canvas, total, weight = self._enlarged()
        corners = (starts - canvas.origin).tolist()
        self._add_tiles(self._weight, corners, [1.0] * len(cells), weight)
        factors = self._factors(cells, corners, total, weight).tolist()
        self._add_tiles(self._total, corners, factors, total)
        return Assembled(canvas, total, weight)

    def _enlarged(self) -> Assembled:
        """Return the part assembled before, enlarged to the reserved area."""
        xp, area, old = self._xp, self._area, self._assembled
        assert area is not None  # noqa: S101 - reserved by every caller
        if old is not None and old.canvas == area:
            return old
        total, weight = (
            as_like(xp.zeros(area.shape, dtype=sheet.dtype), sheet, xp)
            for sheet in (self._total, self._weight)
        )
        if old is not None:
            part = area.window(old.canvas)
            total[part], weight[part] = old.total, old.weight
        return Assembled(area, total, weight)

    def _tile(self, sheet: Array, slot: int) -> Array:
        row, column = (self.side * k for k in divmod(slot, COLUMNS))
        return sheet[row : row + self.side, column : column + self.side]

    def _add_tiles(
        self, sheet: Array, corners: list[list[int]], factors: list[complex], canvas: Array
    ) -> None:
        """Add tiles, each with a factor, to a canvas at their corners ``(x, y)``."""
        S = self.side
        for k, ((x, y), factor) in enumerate(zip(corners, factors, strict=True)):
            canvas[y : y + S, x : x + S] += self._tile(sheet, k) * factor

    def _factors(
        self, cells: NDArray[np.int64], corners: list[list[int]], total: Array, weight: Array
    ) -> NDArray[np.complex128]:
        """Return the phase factor of each tile, from overlaps with tiles and the assembled part.

        The weight of an overlap is its share of the total ``weight`` in the same place.
        """
        S, n = self.side, len(cells)
        graph = [
            (pair, self._products(pair, (dx, dy), corners, weight))
            for dx, dy in _offsets(-(-S // self.step) - 1)
            for pair in [self._neighbours(cells, dx, dy)]
        ]
        energies = graph.pop(0)[1].real  # the offset (0, 0) came first: each tile with itself
        if self._assembled is not None:
            itself = np.stack([np.arange(n), np.full(n, n)], axis=-1)
            below = [total[y : y + S, x : x + S] for x, y in corners]
            graph.append((itself, self._products(itself, (0, 0), corners, weight, below)))
            energies = np.append(energies, FIXED * energies.sum())
        pairs, products = (np.concatenate(part) for part in zip(*graph, strict=True))
        return synchronise(pairs, products, energies)[:n]

    def _products(
        self,
        pairs: NDArray[np.int64],
        offset: tuple[int, int],
        corners: list[list[int]],
        weight: Array,
        others: list[Array] | None = None,
    ) -> NDArray[np.complex128]:
        """Return inner products of tiles with tiles ``offset`` away, or with ``others``."""
        xp, S = self._xp, self.side
        (dx, dy), found = offset, []
        here, there = (_part(sign * dx, sign * dy, self.step, S) for sign in (1, -1))
        for start in range(0, len(pairs), CHUNK):
            part = pairs[start : start + CHUNK].tolist()
            one = xp.stack([self._tile(self._total, a)[here] for a, _ in part])
            two = xp.stack(
                [others[a] for a, _ in part]
                if others is not None
                else [self._tile(self._total, b)[there] for _, b in part]
            )
            lit = xp.stack(
                [weight[y : y + S, x : x + S][here] for x, y in (corners[a] for a, _ in part)]
            )
            share = xp.where(lit > 0, 1 / xp.where(lit > 0, lit, 1.0), 0.0 * lit)
            found.append(to_numpy(xp.sum(xp.conj(one) * two * share, axis=(-2, -1))))
        return np.concatenate([np.zeros(0), *found]).astype(np.complex128)

    def _neighbours(self, cells: NDArray[np.int64], dx: int, dy: int) -> NDArray[np.int64]:
        """Return the slots (m, 2) of tiles and of their neighbours ``(dx, dy)`` tiles away."""
        there = (self._slots.get((x + dx, y + dy), -1) for x, y in cells.tolist())
        found = np.stack([np.arange(len(cells)), np.fromiter(there, np.int64)], axis=-1)
        return found[found[:, 1] >= 0]


def _unit(values: Array, xp: Any) -> Array:
    """Return phase factors of complex values; one where a value is zero."""
    modulus = xp.abs(values)
    return xp.where(modulus > 0, values / xp.where(modulus > 0, modulus, 1.0), 1.0 + 0.0 * values)


def _offsets(reach: int) -> list[tuple[int, int]]:
    """Return the offsets of overlapping tiles, one of each opposite pair, zero first."""
    right = [(dx, 0) for dx in range(reach + 1)]
    return right + [(dx, dy) for dy in range(1, reach + 1) for dx in range(-reach, reach + 1)]


def _part(dx: int, dy: int, step: int, S: int) -> tuple[slice, slice]:
    """Return the part of a tile that its neighbour ``(dx, dy)`` tiles away overlaps."""
    rows, columns = (slice(max(0, d * step), S + min(0, d * step)) for d in (dy, dx))
    return rows, columns
