"""How frames become patterns: where the beam is, which pixels are bad, what is subtracted.

Everything is decided on some frames of the scan.
"""

from typing import Any

import numpy as np
from attrs import define, evolve, field
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import LazyStack, Scan
from ptycho_data.raw import (
    Frames,
    RawScan,
    Window,
    countable,
    first_probe,
    largest_size,
    require_countable,
)

from ptycho_core.cautions import ScanFacts
from ptycho_core.cautions.light import background
from ptycho_core.preparing.beam_centre import BeamCentre, find_beam_centre, in_corners, smoothed
from ptycho_core.preparing.frame_faults import FrameMask, add_faults, mask_of, whole_of
from ptycho_core.preparing.pattern_size import usual_size
from ptycho_core.preparing.recipe import Recipe

__all__ = ["FrameChoice"]

#: A centre stated by a file is right if the light agrees so well, in pixels and uncertainties.
AGREES, UNCERTAINTIES = 4.0, 2.0
#: Fewer frames do not tell the mean of a pixel well enough.
FEWEST = 16


@define(kw_only=True, eq=False)
class FrameChoice:
    """The decisions on the frames of a scan.

    Attributes
    ----------
    raw : RawScan
    recipe : Recipe
    sample : (k, H, W)
        Some frames, as they are stored.
    remarks, cautions : list of str
        What was found and done, and doubts, one line each.
    """

    raw: RawScan
    recipe: Recipe
    sample: NDArray[Any]
    remarks: list[str] = field(factory=list)
    cautions: list[str] = field(factory=list)

    def frames(self) -> Frames:
        """Decide where patterns are cut out, which pixels are bad, and what is subtracted.

        Raises
        ------
        InvalidValueError
            There is no light, or the recipe does not fit the frames.
        """
        good = {"good": True, "bad": False}.get(self.recipe.mask_is or "auto")
        mask = mask_of(self.raw, self.sample, good)
        require_countable(self.sample, mask.bad)
        if not np.isfinite(self.sample[:, ~mask.bad]).all():  # all pixels, or they would be bad
            rule = "finite in pixels that have a value in every frame"
            raise InvalidValueError("patterns", rule, "NaN or infinity in all of them")
        window = self._window(mask)
        raw = self.raw
        frames = Frames(
            window=window, bad=mask.bad, dark=raw.dark, flat=raw.flat, domain=raw.domain
        )
        if self.recipe.find_bad is not False:
            mask = add_faults(mask, window, lambda: frames.values(self.sample))
        self.remarks += mask.remarks
        frames = self._without_background(evolve(frames, bad=mask.bad))
        before = frames.dark
        frames = self._level_raised(frames)
        frames = self._noise_kept(frames, before)
        if window.mask(frames.bad).all():
            rule, got = "with good pixels where the beam is", "only bad ones"
            raise InvalidValueError("mask", rule, got, "give --mask-is good, or another mask")
        return frames

    def intensity(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the mean intensity (H, W) of frames (k, H, W)."""
        total = np.zeros(values.shape[1:])
        for frame in values:
            wide = countable(frame)
            if self.raw.domain == "amplitude":
                wide **= 2
            total += wide
        return total / len(values)

    def _window(self, mask: FrameMask) -> Window:
        recipe, raw = self.recipe, self.raw
        binning = recipe.bin or 1
        mean, bad = self.intensity(self.sample), mask.bad
        corner = recipe.centre == "corner"
        if recipe.centre in (None, "auto") and in_corners(mean, bad):
            corner = True
            self.remarks.append("zero frequency is in the corners of the frames: they are shifted")
        if corner:
            centre: tuple[float, float] = (raw.shape[0] // 2, raw.shape[1] // 2)
            mean, bad = np.fft.fftshift(mean), np.fft.fftshift(bad)
        else:
            centre = self._centre(mean, bad)
        window = Window(
            shape=raw.shape,
            centre=centre,
            size=recipe.size or self._size(smoothed(mean, bad), centre, binning),
            binning=binning,
            transpose=bool(recipe.transpose),
            flip_rows=recipe.flip in ("rows", "both"),
            flip_columns=recipe.flip in ("columns", "both"),
            corner=corner,
        )
        self._check_window(window)
        return window

    def _centre(self, mean: NDArray[np.float64], bad: NDArray[np.bool_]) -> tuple[float, float]:
        """Return (row, column) of the beam: given, stated if the light agrees, or the light's."""
        recipe, stated = self.recipe, self.raw.beam_centre
        if recipe.place is not None:
            return self._inside(recipe.place, "centre")
        if recipe.centre == "file":
            if stated is None:
                raise InvalidValueError("centre", "auto or ROW,COLUMN", "file, which states none")
            return self._inside(stated, "centre")
        found = find_beam_centre(mean, bad)
        if found is None:
            rule, got = "with light", "zeros only"
            raise InvalidValueError(self.raw.places.get("patterns", "patterns"), rule, got)
        light = f"row {found.row:.1f}, column {found.column:.1f}, to {found.uncertainty:.1g} pixels"
        if stated is not None and _agrees(found, stated):
            text = f"beam centre {stated[0]:.6g}, {stated[1]:.6g} (row, column) of the file"
            self.remarks.append(f"{text}; the light: {light}")
            return stated
        self.remarks.append(f"beam centre of the light: {light}")
        if stated is not None:
            self.cautions.append(
                f"the file states the beam centre {stated[0]:.6g}, {stated[1]:.6g} (row, column), "
                f"{found.distance(stated):.3g} pixels off the light, which is taken; --centre file "
                "takes that of the file"
            )
        elif found.uncertainty > 0.05 * min(self.raw.shape):
            self.cautions.append(
                f"the beam centre is uncertain by {found.uncertainty:.2g} pixels: look at the "
                "picture, and give --centre ROW,COLUMN if the cross is not on it"
            )
        return found.row, found.column

    def _inside(self, place: tuple[float, float], name: str) -> tuple[float, float]:
        if not all(0 <= k < extent for k, extent in zip(place, self.raw.shape, strict=True)):
            rule = f"in frames of {self.raw.shape[0]} rows and {self.raw.shape[1]} columns"
            raise InvalidValueError(name, rule, f"row {place[0]:g}, column {place[1]:g}")
        return place

    def _size(self, light: NDArray[np.float64], centre: tuple[float, float], binning: int) -> int:
        """Return the usual size, and tell it."""
        most = largest_size(self.raw.shape, centre, binning)
        if most < 4:
            got = f"row {centre[0]:.0f}, column {centre[1]:.0f} of {self.raw.shape}"
            advice = "give --size, with --pad dark or unknown, or another --centre"
            raise InvalidValueError("centre", "away from the edge of the frames", got, advice)
        size = usual_size(light, centre, binning, pad=self.recipe.pad is not None)
        told = f"patterns of {size} x {size}; the frames hold up to {most}; see --size"
        self.remarks.append(told)
        return size

    def _check_window(self, window: Window) -> None:
        if not window.outside:
            return
        if self.recipe.pad is None and self.recipe.size is not None:
            most = largest_size(window.shape, window.centre, window.binning)
            rule = f"at most {most} around the beam centre"
            advice = "--pad unknown or --pad dark adds pixels around the frames"
            raise InvalidValueError("size", rule, f"{window.size}", advice)
        if window.span > 4 * max(window.shape):
            raise InvalidValueError("size", "at most four times the frames", f"{window.size}")
        self.remarks.append(f"pixels beyond the frames: {self.recipe.pad or 'unknown'}")

    def _without_background(self, frames: Frames) -> Frames:
        """Subtract an even and steady light, if there is one in all pixels or if asked to."""
        if self.recipe.dark not in (None, "auto") or self.raw.dark is not None:
            return frames
        if self.raw.domain != "counts":
            return frames
        part = np.maximum(frames.values(self.sample), 0)
        good = ~frames.window.cut(frames.bad, fill=True)
        level = _even_level(part, good)
        asked = self.recipe.dark == "auto"
        if level is None or not (asked or self._is_background(frames)):
            if asked:
                self.remarks.append("no even background was found")
            return frames
        self.remarks.append(
            f"an even background of {level:.3g} counts per pixel was subtracted (--dark none keeps "
            "it, --dark NAME takes dark frames)"
        )
        return evolve(frames, dark=np.array(level))

    def _is_background(self, frames: Frames) -> bool:
        """Whether the checks of scans doubt an even background in the sampled patterns."""
        stack = LazyStack(_InMemory(frames(self.sample)))
        n = len(stack)
        bad = frames.window.mask(frames.bad)
        probe = first_probe(stack, bad, "counts")
        line = np.arange(n, dtype=float)
        scan = Scan(diffraction=stack, xcoords=line, ycoords=line, probe=probe, domain="counts",
                    bad_pixels=bad, probe_made=True)  # fmt: skip
        return any(caution.code == "background" for caution in background(ScanFacts(scan)))

    def _noise_kept(self, frames: Frames, dark: NDArray[np.float64] | None) -> Frames:
        """Keep what photon noise the subtracted level left behind, before it was raised.

        An offset of the electronics has less noise than so many photons: the darkest pixels tell.
        """
        if dark is None or frames.dark is None or self.raw.domain != "counts":
            return frames
        shape, good = self.raw.shape, ~frames.window.cut(frames.bad, fill=True)
        share = _noise_share(frames.window.cut(self.sample)[:, good])
        level = np.broadcast_to(np.maximum(np.nan_to_num(dark), 0), shape) * share
        raised = np.maximum(np.nan_to_num(frames.dark - dark), 0)
        return evolve(frames, background=level, subtracted=level + raised)

    def _level_raised(self, frames: Frames) -> Frames:
        """Raise a dark level where clipping would add light, and tell what is clipped.

        Noise of the dark level is as often below as above it. What is below becomes zero, and the
        mean would rise by 0.4 standard deviations in every dark pixel: more light than the sample
        scatters there. So the level of each pixel is raised until its mean is what it was.
        """
        values, good = frames.values(self.sample), ~frames.window.cut(frames.bad, fill=True)
        share = float((values[:, good] < 0).mean()) if good.any() else 0.0
        if share == 0:
            return frames
        lowest = float(values[:, good].min())
        told = f"{share:.1%} of the values are below zero, down to {lowest:.3g}, and became zero"
        if frames.dark is not None and frames.flat is None and len(values) >= FEWEST:
            raised = np.broadcast_to(frames.dark, self.raw.shape).copy()
            part = whole_of(frames.window, raised.shape)
            inside = part >= 0
            raised.reshape(-1)[part[inside]] += _unbiased(values)[inside]
            frames = evolve(frames, dark=raised)
            told += "; levels were raised so that this adds no light"
        self.remarks.append(told)
        return frames


class _InMemory:
    """Patterns in memory, as the source of a stack."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.block_rows = len(array)

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return np.asarray(self.array[rows])


def _agrees(found: BeamCentre, stated: tuple[float, float]) -> bool:
    return found.distance(stated) <= max(AGREES, UNCERTAINTIES * found.uncertainty)


def _unbiased(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return what to subtract (H, W) so that values (k, H, W), clipped at 0, keep their mean."""
    mean = np.maximum(values.mean(axis=0, dtype=np.float64), 0)
    low, high = np.zeros(mean.shape), np.maximum(values.max(axis=0), 0).astype(np.float64)
    for _ in range(24):
        middle = (low + high) / 2
        above = np.maximum(values - middle.astype(values.dtype), 0).mean(axis=0) > mean
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray(np.where(values.min(axis=0) < 0, high, 0.0))


def _noise_share(values: NDArray[Any]) -> float:
    """Return variance over mean of the darkest fifth of pixels (k, pixels), one at most."""
    if len(values) < 2 or not values.size:
        return 1.0
    mean = values.mean(axis=0, dtype=np.float64)
    darkest = mean <= np.quantile(mean, 0.2)
    total = float(mean[darkest].sum())
    variance = float(values[:, darkest].var(axis=0, dtype=np.float64, ddof=1).sum())
    return min(1.0, variance / total) if total > 0 else 1.0


def _even_level(part: NDArray[Any], good: NDArray[np.bool_]) -> float | None:
    """Return the level that the darkest pixels share up to photon noise; None without one."""
    means = np.sort(part[:, good].mean(axis=0, dtype=np.float64))
    if not len(means):
        return None
    level = float(means[len(means) // 5])
    for _ in range(20):
        if not level > 0:
            return None
        near = means[means < level + 3 * np.sqrt(level / len(part))]
        level, before = float(np.median(near)) if len(near) else level, level
        if abs(level - before) < 1e-3 * level:
            break
    return level
