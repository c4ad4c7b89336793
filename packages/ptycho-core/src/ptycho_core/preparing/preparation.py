"""From the files of an instrument to a scan: what ``ptycho prepare`` does.

`prepare` locates frames and positions, finds the beam and bad pixels on some frames, and makes a
`Scan` whose patterns are made as they are read.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from attrs import define, evolve, field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_config.paths import expanded
from ptycho_config.plain_text import array_text
from ptycho_data import LazyStack, Scan, places
from ptycho_data.raw import (
    SMALLEST_SPAN,
    Frames,
    RawScan,
    Window,
    added_by_place,
    first_probe,
    patterns,
    read_raw,
)
from ptycho_data.units import LARGEST, SMALLEST, object_pixel

from ptycho_core.preparing.frame_choice import FrameChoice
from ptycho_core.preparing.positions import matched_rows, stage_positions
from ptycho_core.preparing.recipe import Recipe

__all__ = ["SAMPLED", "Prepared", "View", "object_pixels", "prepare"]

log = logging.getLogger(__name__)

#: Frames that are looked at, and the bytes that they may take.
SAMPLED, SAMPLE_BYTES = 64, 256 << 20
#: No scan is wider than so many object pixels.
FARTHEST = 1e7


@frozen(kw_only=True, eq=False)
class View:
    """What the detector looks like, for a picture.

    Attributes
    ----------
    mean : (H, W)
        Mean of some frames, corrected.
    bad : (H, W) bool
        Bad pixels.
    window : Window
        The part that becomes a pattern.
    """

    mean: NDArray[np.float64] = field(repr=array_text)
    bad: NDArray[np.bool_] = field(repr=array_text)
    window: Window


@define(kw_only=True, eq=False)
class Prepared:
    """A scan that is made of files as it is read.

    Attributes
    ----------
    scan : Scan
        Patterns are made when they are read.
    recipe : Recipe
        The settings, with what was decided.
    view : View
        For a picture.
    frames : Frames
        What turns frames into patterns.
    remarks : list of str
        What was found and done, one line each.
    cautions : list of str
        Doubts, one line each.
    positioned : callable
        Returns the scan with the positions as another recipe has them.
    """

    scan: Scan
    recipe: Recipe
    view: View
    frames: Frames
    positioned: Callable[[Recipe], Scan]
    remarks: list[str] = field(factory=list)
    cautions: list[str] = field(factory=list)


def prepare(paths: Sequence[Path], recipe: Recipe | None = None) -> Prepared:
    """Make a scan of the files of an instrument.

    Parameters
    ----------
    paths
        The files; the first has the frames.
    recipe
        Settings; what it does not say is taken from the files.

    Returns
    -------
    Prepared
        The scan, with a first probe made from the mean pattern, and what was found.

    Raises
    ------
    ScanFormatError
        A file cannot be read, or holds no scan.
    InvalidValueError
        The recipe contradicts the files, or they lack what it does not say.
    """
    recipe = recipe or Recipe()
    within = None if recipe.follow is None else expanded(recipe.follow)
    raw = read_raw(paths, recipe.names(), within=within)
    return _Preparation(raw, recipe).run()


class _Preparation:
    """The steps of one preparation, which share what was found."""

    def __init__(self, raw: RawScan, recipe: Recipe) -> None:
        self.raw, self.recipe = raw, recipe
        self.remarks: list[str] = [*_summary(raw), *raw.remarks]
        self.cautions = list(raw.cautions)

    def run(self) -> Prepared:
        raw, recipe = self.raw, self.recipe
        rows, positions, left_out = matched_rows(raw, recipe)
        self.remarks += left_out
        chosen = np.arange(len(raw.frames))[rows]
        choice = FrameChoice(
            raw=raw,
            recipe=recipe,
            sample=self._sample(chosen),
            remarks=self.remarks,
            cautions=self.cautions,
        )
        frames = choice.frames()
        self.window = frames.window
        mean = choice.intensity(frames.whole(choice.sample))
        stack = patterns(raw.frames, frames)
        if len(chosen) < len(raw.frames):
            stack = stack.select(chosen)

        def positioned(recipe: Recipe) -> Scan:
            scan = self._scan(stack, frames, stage_positions(raw, recipe)[positions])
            return _merged(scan) if recipe.merge else scan

        prepared = Prepared(
            scan=positioned(recipe),
            recipe=recipe,
            view=View(mean=mean, bad=frames.bad, window=frames.window),
            frames=frames,
            remarks=self.remarks,
            cautions=self.cautions,
            positioned=positioned,
        )
        self._tell(prepared.scan, len(chosen))
        return prepared

    def _tell(self, scan: Scan, patterns: int) -> None:
        window = self.window
        if self.recipe.merge:
            told = "were added up" if scan.n < patterns else ": none of them was taken twice"
            self.remarks.append(f"{patterns} patterns at {scan.n} places {told}")
        pixel, span = object_pixels(self.raw, window), np.ptp(scan.positions, axis=0)
        self.remarks.append(
            f"object pixel {pixel[0] * 1e9:.6g} nm; positions over {span[0]:.1f} x {span[1]:.1f} "
            "pixels (x, y)"
        )
        if scan.pixel_size_m is None:
            self.cautions.append(
                f"detector pixels are not square: object pixels of {pixel[0] * 1e9:.6g} x "
                f"{pixel[1] * 1e9:.6g} nm; their size is left out"
            )

    def _sample(self, chosen: NDArray[np.int64]) -> NDArray[Any]:
        """Read some frames, spread evenly over the scan."""
        stack = self.raw.frames
        frame = max(1, int(np.prod(stack.shape[1:])) * stack.dtype.itemsize)
        number = min(SAMPLED, len(chosen), max(8, SAMPLE_BYTES // frame))
        spread = np.unique(np.linspace(0, len(chosen) - 1, number).astype(np.int64))
        return np.asarray(stack[chosen[spread]])

    def _scan(self, stack: LazyStack, frames: Frames, stage: NDArray[np.float64]) -> Scan:
        raw, window = self.raw, frames.window
        pixel = object_pixels(self.raw, window)
        origin = stage.min(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            xy = (stage - origin) / pixel
            span, metres = (np.ptp(places, axis=0).max() for places in (xy, stage))
        if not ((len(xy) == 1 or span >= SMALLEST_SPAN) and span < FARTHEST):
            got = f"positions over {metres:g} m, in pixels of {pixel[0]:g} m"
            raise InvalidValueError("positions", "of one scan", got, "check --unit")
        square = abs(pixel[0] / pixel[1] - 1) < 1e-9
        margin_bad = self.recipe.pad != "dark"
        bad = window.mask(frames.bad, margin_bad=margin_bad)
        detector = raw.detector_pixel_m
        known_detector = square and detector is not None and raw.distance_m is not None
        scan = Scan(
            diffraction=stack,
            xcoords=xy[:, 0],
            ycoords=xy[:, 1],
            probe=first_probe(stack, bad, raw.domain),
            domain=raw.domain,
            bad_pixels=bad if bad.any() else None,
            background=frames.level(frames.background),
            subtracted=frames.level(frames.subtracted),
            pixel_size_m=float(pixel[0]) if square else None,
            photon_energy_ev=raw.energy_ev,
            detector_distance_m=raw.distance_m,
            detector_pixel_size_m=detector[0] * window.binning
            if known_detector and detector is not None
            else None,
            particle=raw.particle,
            origin_m=(float(origin[0]), float(origin[1])) if square else None,
            probe_made=True,
            source=raw.files[0],
            files=raw.files,
        )
        source = self.recipe.probe_source
        return scan if source is None else evolve(scan, probe=source.make(scan), probe_made=False)


def object_pixels(raw: RawScan, window: Window) -> NDArray[np.float64]:
    """Return the object pixel in metres along x and y, of turned and binned patterns.

    Raises
    ------
    InvalidValueError
        Energy, distance or detector pixel are unknown, or give no pixel.
    """
    if raw.energy_ev is None:
        example = "300kV" if raw.particle == "electron" else "8.8keV"
        raise _unknown("energy", f"--energy {example}", raw)
    if raw.pixel_angle is None and raw.detector_pixel_m is not None:
        raise _unknown("distance", "--distance 2.2m", raw)
    if raw.pixel_angle is None:
        example = "0.5mrad, or 0.02/A" if raw.particle == "electron" else "75um"
        raise _unknown("detector_pixel", f"--detector-pixel {example}", raw)
    height, width = raw.pixel_angle
    along_x, along_y = (height, width) if window.transpose else (width, height)
    angles = (along_x * window.binning, along_y * window.binning)
    try:
        sizes = [
            object_pixel(raw.energy_ev, 1.0, angle, window.size, raw.particle) for angle in angles
        ]
    except ArithmeticError:
        sizes = [0.0, 0.0]
    if not all(SMALLEST < size < LARGEST for size in sizes):
        got = f"object pixels of {sizes[0]:g} x {sizes[1]:g} m"
        advice = "check --energy, --distance and --detector-pixel, and their units"
        raise InvalidValueError("energy, distance and pixel", "such as give one", got, advice)
    return np.array(sizes)


def _summary(raw: RawScan) -> list[str]:
    """Return lines about what was found where; the name of the first file goes without saying."""
    n, (height, width) = len(raw.frames), raw.shape
    first = f"{raw.files[0].name}::"
    where = (f"{name} {place.removeprefix(first)}" for name, place in raw.places.items())
    return [
        f"{raw.layout}: {n} frames of {height} x {width}, {raw.frames.dtype}",
        *wrap(", ".join(where), 96, break_long_words=False, break_on_hyphens=False),
    ]


def _unknown(name: str, option: str, raw: RawScan) -> InvalidValueError:
    got = f"nothing in {raw.files[0].name} ({raw.layout})"
    return InvalidValueError(name, "known, to turn metres into pixels", got, f"give {option}")


def _merged(scan: Scan) -> Scan:
    """Add up patterns that were taken at the same place."""
    labels = places(scan.positions)
    if int(labels.max()) + 1 == scan.n or not isinstance(scan.diffraction, LazyStack):
        return scan
    stack, groups = added_by_place(scan.diffraction, labels, scan.domain)
    mean = np.array([scan.positions[group].mean(axis=0) for group in groups])
    added = np.float32(scan.n / len(groups))
    return evolve(
        scan,
        diffraction=stack,
        xcoords=mean[:, 0],
        ycoords=mean[:, 1],
        background=None if scan.background is None else added * scan.background,
        subtracted=None if scan.subtracted is None else added * scan.subtracted,
    )
