"""Arrays of the run in the form that the page draws: few pixels, few bits, phase made flat."""

import json
import math
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data.views import covered_region, phase_ramp

from ptycho_core.live_page.snapshot import Snapshot

__all__ = ["Flattening", "Window", "flattening_of", "object_bytes", "pattern_bytes"]

#: Most pixels on a side of what is sent.
LONGEST_SIDE = 1024
#: Steps of a phase of pi, of the largest amplitude, and of the largest coverage.
PHASE_STEPS, AMPLITUDE_STEPS, COVERAGE_STEPS = 32767, 65535, 254


@frozen(kw_only=True)
class Flattening:
    """Phase ``offset + x*along_x + y*along_y`` (rad) that is removed; x, y in pixels."""

    along_x: float = 0.0
    along_y: float = 0.0
    offset: float = 0.0


@frozen(kw_only=True)
class Window:
    """A part of the object, in pixels of its canvas; what lies outside of it is cut off."""

    left: int = 0
    top: int = 0
    width: int = 1 << 24
    height: int = 1 << 24

    def inside(self, shape: tuple[int, int]) -> "Window":
        """Return the part on a canvas of this shape (H, W), at least one pixel."""
        left, top = min(max(self.left, 0), shape[1] - 1), min(max(self.top, 0), shape[0] - 1)
        width = min(max(self.left + self.width, left + 1), shape[1]) - left
        height = min(max(self.top + self.height, top + 1), shape[0]) - top
        return Window(left=left, top=top, width=width, height=height)


def flattening_of(object_: NDArray[np.complex64], seen: NDArray[np.bool_]) -> Flattening:
    """Find the mean ramp and the mean phase of an object (H, W) where it was measured."""
    along_x, along_y = phase_ramp(object_, seen)
    rows, columns = (np.arange(side) for side in object_.shape)
    over_columns = np.where(seen, object_, 0) @ np.exp(-1j * along_x * columns)
    total = complex(np.vdot(np.exp(1j * along_y * rows), over_columns))
    offset = math.atan2(total.imag, total.real)
    return Flattening(along_x=along_x, along_y=along_y, offset=offset)


def object_bytes(snapshot: Snapshot, window: Window, flat: Flattening, version: int) -> bytes:
    """Write a part of the object: a header in JSON and three planes.

    The header has the place on the canvas, the box that is covered, the pixels ``binned`` into one,
    the scale of the amplitude, and the phase that was removed. Planes are amplitude (uint16),
    flattened phase (int16), and coverage (uint8, 0 where hardly anything was measured). Of blocks,
    amplitude and coverage are averages, the phase is that of the average.
    """
    rec = snapshot.reconstruction
    height, width = rec.object.shape
    window = window.inside((height, width))
    binned = math.ceil(max(window.width, window.height) / LONGEST_SIDE)
    rows = np.arange(window.top, window.top + window.height)
    columns = np.arange(window.left, window.left + window.width)
    where = np.ix_(rows, columns)
    values, coverage = rec.object[where], rec.coverage[where]
    peak = float(rec.coverage.max())
    seen = covered_region(rec.coverage)[where]
    phase = flat.offset + flat.along_x * columns + flat.along_y * rows[:, None]
    values = np.where(seen, values * np.exp(-1j * phase).astype(np.complex64), 0)
    number = np.maximum(_block_sums(seen.astype(np.float32), binned), 1)
    amplitude = _block_sums(np.abs(values), binned) / number
    mean = _block_sums(values, binned)
    share = _block_sums(np.where(seen, coverage, 0), binned) / number
    top = float(amplitude.max()) or 1.0
    header = {
        "version": version,
        "object": [width, height],
        "origin": [int(v) for v in rec.origin],
        "pixel_size_m": rec.pixel_size_m,
        "left": window.left,
        "top": window.top,
        "binned": binned,
        "width": amplitude.shape[1],
        "height": amplitude.shape[0],
        "amplitude": top,
        "coverage": peak,
        "covered": _box(rec.coverage),
        "removed": [flat.along_x, flat.along_y, flat.offset],
        "patterns": len(rec.indices),
        "N": rec.N,
    }
    planes = (
        np.rint(amplitude * (AMPLITUDE_STEPS / top)).astype("<u2"),
        np.rint(np.angle(mean) * (PHASE_STEPS / math.pi)).astype("<i2"),
        np.where(share > 0, 1 + np.rint(share * (COVERAGE_STEPS / (peak or 1))), 0).astype("u1"),
    )
    return _packed(header, planes)


def pattern_bytes(snapshot: Snapshot, version: int) -> bytes:
    """Write measured and modelled pattern: a header in JSON and one plane of float32 for each."""
    planes = [p for p in (snapshot.measured, snapshot.modelled) if p is not None]
    if planes:
        binned = math.ceil(max(planes[0].shape) / LONGEST_SIDE)
        planes = [_block_sums(p, binned).astype("<f4") for p in planes]
    header = {
        "version": version,
        "planes": len(planes),
        "side": len(planes[0]) if planes else 0,
        "pattern": snapshot.pattern,
        "misfit": _misfit(snapshot),
    }
    return _packed(header, planes)


def _misfit(snapshot: Snapshot) -> float | None:
    """R-factor of the one pattern."""
    if snapshot.measured is None or snapshot.modelled is None:
        return None
    measured, modelled = np.sqrt(snapshot.measured), np.sqrt(snapshot.modelled)
    total = float(np.nansum(measured))
    return float(np.nansum(np.abs(measured - modelled))) / total if total else None


def _box(coverage: NDArray[np.float32]) -> list[int]:
    """Return left, top, width and height of what was measured; all of it if nothing was."""
    seen = covered_region(coverage)
    if not seen.any():
        return [0, 0, coverage.shape[1], coverage.shape[0]]
    columns, rows = (np.flatnonzero(seen.any(axis=axis)) for axis in (0, 1))
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]


def _packed(header: dict[str, Any], planes: Any) -> bytes:
    """Put a header of four times n bytes, its length before it, in front of planes."""
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 4)
    return b"".join([len(head).to_bytes(4, "little"), head, *(p.tobytes() for p in planes)])


def _block_sums(values: NDArray[Any], side: int) -> NDArray[Any]:
    if side == 1:
        return values
    for axis in (0, 1):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], side), axis=axis)
    return values
