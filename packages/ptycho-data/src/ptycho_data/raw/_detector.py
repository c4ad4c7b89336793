"""Frames of a detector as patterns: cut out around the beam, binned, turned, dark level removed.

All of it happens as frames are read, some at a time, so that files of any size can be prepared.
Rows, columns and the centre are those of the frames as they are stored; frames are turned last.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_data._changes import ChangedSource
from ptycho_data._domain import Domain
from ptycho_data._stack import LazyStack, Stack

__all__ = ["Frames", "Window", "largest_size", "leave_out", "patterns"]

#: Patterns made together, and the frames that they may be made of: files are opened for each
#: reading, so that many should share it.
_READ_BYTES, _FRAME_BYTES = 16 << 20, 64 << 20
#: Bytes of windows that become patterns at once: so few stay in the cache of a processor.
_PIECE_BYTES = 1 << 20
#: Bytes of integer types whose largest value stands for none.
_WIDE = 4


@frozen(kw_only=True)
class Window:
    """The square part of frames that becomes a pattern.

    Attributes
    ----------
    shape
        (H, W) of a frame.
    centre
        (row, column) of the beam, which comes to ``[N//2, N//2]`` as near as whole pixels allow.
    size
        N, pixels along a side of a pattern.
    binning
        Pixels along a side of a frame that are summed to one of a pattern.
    transpose
        Whether rows and columns are exchanged, before any flip.
    flip_rows, flip_columns
        Whether the order of the rows, or columns, of the pattern is reversed.
    corner
        Whether frames have zero frequency at ``[0, 0]``: they are shifted by half their size first.
    """

    shape: tuple[int, int]
    centre: tuple[float, float]
    size: int
    binning: int = 1
    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False
    corner: bool = False

    @property
    def start(self) -> tuple[int, int]:
        """First row and column; below 0 where the window leaves the frame."""
        # A reversed axis needs its centre one pixel off for even N: N - 1 - N//2 turns to N//2.
        flips = (self.flip_rows, self.flip_columns)
        reversed_ = flips[::-1] if self.transpose else flips
        first = []
        for middle, flipped in zip(self.centre, reversed_, strict=True):
            pixel = self.size - 1 - self.size // 2 if flipped else self.size // 2
            first.append(round(middle - self.binning * pixel - (self.binning - 1) / 2))
        return first[0], first[1]

    @property
    def span(self) -> int:
        """Rows and columns of a frame that the window covers."""
        return self.size * self.binning

    @property
    def outside(self) -> bool:
        """Whether the window leaves the frame."""
        return any(
            first < 0 or first + self.span > extent
            for first, extent in zip(self.start, self.shape, strict=True)
        )

    def cut(self, images: NDArray[Any], fill: Any = 0) -> NDArray[Any]:
        """Cut out of images (..., H, W), not binned nor turned; `fill` where there is no frame."""
        if self.corner:
            images = np.fft.fftshift(images, axes=(-2, -1))
        return self.padded(images[..., *self.inside], fill)

    @property
    def inside(self) -> tuple[slice, slice]:
        """Rows and columns of the window that are in the frame."""
        rows, columns = (
            slice(max(first, 0), max(first, 0, min(first + self.span, extent)))
            for first, extent in zip(self.start, self.shape, strict=True)
        )
        return rows, columns

    def padded(self, part: NDArray[Any], fill: Any = 0) -> NDArray[Any]:
        """Add `fill` around the rows and columns (..., h, w) that are in the frame."""
        if not self.outside:
            return part
        margins = [
            (one.start - first, first + self.span - one.stop)
            for first, one in zip(self.start, self.inside, strict=True)
        ]
        return np.pad(part, [*[(0, 0)] * (part.ndim - 2), *margins], constant_values=fill)

    def turn(self, images: NDArray[Any]) -> NDArray[Any]:
        """Exchange and reverse rows and columns of images (..., N, N)."""
        if self.transpose:
            images = images.swapaxes(-2, -1)
        if self.flip_rows:
            images = images[..., ::-1, :]
        return images[..., ::-1] if self.flip_columns else images

    def binned(self, images: NDArray[Any]) -> NDArray[Any]:
        """Sum blocks of images (..., span, span) to (..., N, N)."""
        if self.binning == 1:
            return images
        b, N = self.binning, self.size
        return np.asarray(images.reshape(*images.shape[:-2], N, b, N, b).sum(axis=(-3, -1)))

    def mask(self, bad: NDArray[np.bool_], *, margin_bad: bool = True) -> NDArray[np.bool_]:
        """Return the bad pixels (N, N) of patterns: a pixel is bad if any that it sums is."""
        return np.ascontiguousarray(self.turn(self.binned(self.cut(bad, fill=margin_bad)) > 0))


@frozen(kw_only=True, eq=False)
class Frames:
    """What turns frames into patterns, some at a time; can be pickled.

    Attributes
    ----------
    window
        The part that becomes a pattern, and how it is turned.
    bad : (H, W) bool
        Pixels of a frame without a value: zero in patterns.
    dark, flat : (H, W) float64, optional
        Subtracted from frames, or what they are divided by. Values below zero become zero.
    background, subtracted : (H, W) float64, optional
        Counts whose photon noise is in the values though `dark` was subtracted, and the value that
        becomes zero on their scale: more than them, if `dark` was raised.
    domain
        Amplitudes are binned as the roots of sums of squares.
    """

    window: Window
    bad: NDArray[np.bool_]
    dark: NDArray[np.float64] | None = None
    flat: NDArray[np.float64] | None = None
    background: NDArray[np.float64] | None = None
    subtracted: NDArray[np.float64] | None = None
    domain: Domain = "counts"
    _parts: dict[str, Any] = field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Cut out mask, dark frame and flat field once."""
        cut = self.window.cut
        for name, image in (("dark", self.dark), ("flat", self.flat)):
            if image is not None and image.ndim and image.shape != self.window.shape:
                rule = f"of the shape of a frame, {self.window.shape}"
                raise InvalidValueError(name, rule, f"shape {image.shape}")
        self._parts["bad"] = cut(self.bad, fill=True)
        self._parts["dark"] = None if self.dark is None else self._image(self.dark, 0)
        if self.flat is not None:
            flat = np.where(self.bad | ~(self._whole(self.flat) > 0), 1.0, self.flat)
            self._parts["gain"] = self._image(1 / flat, 1)

    def _whole(self, image: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.broadcast_to(image, self.window.shape)

    def _image(self, image: NDArray[np.float64], fill: float) -> NDArray[np.float32]:
        return self.window.cut(self._whole(image), fill).astype(np.float32)

    @property
    def window_bad(self) -> NDArray[np.bool_]:
        """Bad pixels (span, span) of the window, as they are in a frame; True around the frame."""
        bad: NDArray[np.bool_] = self._parts["bad"]
        return bad

    @property
    def corrected(self) -> bool:
        """Whether values change, so that they are no whole numbers any more."""
        return self.dark is not None or self.flat is not None

    def values(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return the corrected part of frames (k, H, W), neither clipped nor binned."""
        return self._corrected(self.window.cut(frames))

    def _corrected(self, part: NDArray[Any]) -> NDArray[Any]:
        if not self.corrected:
            return part
        out = part.astype(np.float32)
        if self._parts["dark"] is not None:
            out -= self._parts["dark"]
        if self.flat is not None:
            out *= self._parts["gain"]
        return out

    def whole(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return frames (k, H, W), corrected as a whole, for a look at all of the detector."""
        if self.dark is None and self.flat is None:
            return frames
        out = frames.astype(np.float32)
        if self.dark is not None:
            out -= self._whole(self.dark).astype(np.float32)
        if self.flat is not None:
            flat = self._whole(self.flat)
            out /= np.where(flat > 0, flat, 1).astype(np.float32)
        return out

    def level(self, image: NDArray[np.float64] | None) -> NDArray[np.float32] | None:
        """Return counts of each pixel of a frame (H, W) as those of a pattern (N, N), or None."""
        if image is None:
            return None
        part = self._image(image, 0)
        if self.flat is not None:
            part = part * self._parts["gain"]
        part = self.window.binned(np.where(self._parts["bad"], np.float32(0), part))
        return np.ascontiguousarray(self.window.turn(part), np.float32)

    def __call__(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return the patterns (k, N, N) of frames (k, H, W)."""
        return self.of_parts(np.array(self.window.cut(frames)))

    def of_parts(self, part: NDArray[Any]) -> NDArray[Any]:
        """Return the patterns of the windows (k, span, span), whose memory is used."""
        part = self._corrected(part)
        if part.dtype.kind == "f":
            np.nan_to_num(part, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        np.copyto(part, 0, where=self.window_bad)
        if part.dtype.kind in "if":
            np.maximum(part, 0, out=part)
        if self.window.binning > 1:
            part = self._binned(part)
        turned: NDArray[Any] = np.ascontiguousarray(self.window.turn(part))
        return turned

    def _binned(self, part: NDArray[Any]) -> NDArray[Any]:
        if self.domain == "amplitude":
            wide = part.astype(np.float32)
            return np.asarray(np.sqrt(self.window.binned(wide * wide)))
        sums = self.window.binned(part)
        if sums.dtype.kind in "iu":
            largest = np.iinfo(np.uint32).max
            return np.asarray(np.minimum(sums, largest), np.uint32)
        return np.asarray(sums)


def largest_size(shape: tuple[int, int], centre: tuple[float, float], binning: int = 1) -> int:
    """Return the largest even size of patterns around a centre that lie in the frames."""
    size = 2 * (min(shape) // (2 * binning))
    while size and Window(shape=shape, centre=centre, size=size, binning=binning).outside:
        size -= 2
    return size


class PatternSource(ChangedSource):
    """Patterns that are made from frames as they are read; what lies around them is not copied.

    Where a frame has the largest value of a wide integer type, or no finite number, there is no
    value: it becomes zero, and the pixel is noted, before anything is subtracted or added up.
    """

    change: Frames

    def __init__(self, stack: Stack, change: Frames) -> None:
        super().__init__(stack, change)
        frame, pattern = (
            math.prod(shape[1:]) * stack.dtype.itemsize for shape in (stack.shape, self.shape)
        )
        most = min(_READ_BYTES // pattern, _FRAME_BYTES // frame)
        together = self.stack.source.block_rows
        self.block_rows = max(1, most // together) * together
        self._lost = np.zeros((change.window.span,) * 2, bool)

    @property
    def without_value(self) -> NDArray[np.bool_]:
        """Pixels (N, N) without a value in some pattern that was read."""
        window = self.change.window
        return np.ascontiguousarray(window.turn(window.binned(self._lost) > 0))

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the windows of these frames, and make patterns of them."""
        made = list(self.pieces(rows))
        if len(made) == 1:
            return made[0]
        return np.concatenate(made) if made else np.empty((0, *self.shape[1:]), self.dtype)

    def pieces(self, rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        """Read the windows of these frames, and yield the patterns of a few at a time."""
        window = self.change.window
        if window.corner:
            part = np.array(window.cut(self.stack[rows]))
        else:
            part = window.padded(self.stack.window(rows, window.inside))
        few = max(1, _PIECE_BYTES * len(part) // max(1, part.nbytes))
        for start in range(0, len(part), few):
            piece = part[start : start + few]
            self._leave_out(piece)
            yield self.change.of_parts(piece)

    def _leave_out(self, part: NDArray[Any]) -> None:
        """Note values that stand for none, and make them zero.

        Of a frame that has no value at all the whole pattern is zero, and no pixel is noted.
        """
        good = ~self.change.window_bad
        missing = leave_out(part, good)
        if missing is not None:
            some = ~missing.all(axis=(1, 2), where=good)
            self._lost |= missing[some].any(axis=0) & good


def leave_out(part: NDArray[Any], good: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Make values zero, in place, that stand for none.

    Parameters
    ----------
    part : (k, h, w)
        Windows of frames.
    good : (h, w) bool
        Pixels that are looked at for the largest value of a wide integer type.

    Returns
    -------
    (k, h, w) bool or None
        Where they were; None if there are none.
    """
    if part.dtype.kind == "f":
        missing = np.asarray(~np.isfinite(part))
    elif part.dtype.kind in "iu" and part.dtype.itemsize >= _WIDE:
        largest = np.iinfo(part.dtype).max
        if not (good & (part.max(axis=0) == largest)).any():
            return None
        missing = np.asarray(part == largest)
    else:
        return None
    if not missing.any():
        return None
    part[missing] = 0
    return missing


def patterns(frames: Stack, change: Frames) -> LazyStack:
    """Return frames as patterns, made when they are read."""
    return LazyStack(PatternSource(frames, change))
