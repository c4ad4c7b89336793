"""Patterns and positions on the object, made as frames come, by the recipe of ``ptycho prepare``.

Where the beam is, and which pixels are bad, is decided on the first frames, once for all of them.
"""

from typing import Any

import numpy as np
from attrs import asdict, define, evolve, field
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import Scan
from ptycho_data.raw import Frames, RawScan, Window, leave_out
from ptycho_data.streams import Begin, raw_scan

from ptycho_core.preparing.frame_choice import FrameChoice
from ptycho_core.preparing.positions import stage_positions
from ptycho_core.preparing.preparation import object_pixels
from ptycho_core.preparing.recipe import Recipe, merge
from ptycho_core.streaming.spool import PatternMeta

__all__ = ["SAMPLED", "PatternMaker", "check_recipe"]

#: Frames on which everything is decided.
SAMPLED = 64
#: Settings that need the whole scan, or files.
_OF_FILES = ("layout", "follow", "drop_last", "drop_first", "merge")
#: Settings that say something about the part of a frame that becomes a pattern.
_OF_WINDOW = ("centre", "size", "bin", "pad")
_IMAGES = ("bad", "dark", "flat", "background", "subtracted")


def check_recipe(recipe: Recipe) -> None:
    """Refuse settings of a recipe that have no meaning for a stream.

    Raises
    ------
    InvalidValueError
        With the first of them.
    """
    for name in _OF_FILES:
        if getattr(recipe, name) is not None:
            advice = "it needs the files of a whole scan: use ptycho prepare"
            raise InvalidValueError(name, "left out for a stream", "a value", advice)
    for name in ("orientation", "rotate"):
        if getattr(recipe, name) == "auto":
            advice = "find it once, on an earlier scan: ptycho prepare --save-recipe"
            raise InvalidValueError(name, "known for a stream", "auto", advice)


@define(kw_only=True, eq=False)
class PatternMaker:
    """Makes patterns of frames, and positions in pixels of positions on the stage.

    Attributes
    ----------
    recipe
        Settings.
    size
        N, pixels along a side of a pattern: that of the probe.
    title
        What messages call the source.
    begin
        What the source says of the experiment; may come before the first frame.
    remarks, cautions
        What was decided, and doubts, one line each.
    frames
        What makes patterns; None until that is decided.
    """

    recipe: Recipe
    size: int
    title: str
    begin: Begin = field(factory=Begin)
    remarks: list[str] = field(factory=list)
    cautions: list[str] = field(factory=list)
    frames: Frames | None = field(default=None, init=False)
    raw: RawScan | None = field(default=None, init=False)
    _origin: NDArray[np.float64] | None = field(default=None, init=False)

    def enough(self, sample: NDArray[Any]) -> bool:
        """Whether frames (k, H, W) suffice to decide: patterns that are ready need only one."""
        return len(sample) >= SAMPLED or (len(sample) > 0 and self._is_ready(sample))

    def _is_ready(self, sample: NDArray[Any]) -> bool:
        """Whether frames are patterns already: of their size, and nothing said about the beam."""
        unsaid = all(getattr(self.recipe, name) is None for name in _OF_WINDOW)
        return unsaid and sample.shape[1:] == (self.size, self.size)

    def decide(self, sample: NDArray[Any]) -> None:
        """Decide how patterns are made, on some frames (k, H, W).

        Raises
        ------
        InvalidValueError
            There is no light, or the recipe does not fit the frames or the probe.
        """
        recipe = self.recipe
        self.raw = raw = raw_scan(sample, recipe.names(), self.begin, self.title)
        if self._is_ready(sample):
            middle = f"{self.size // 2},{self.size // 2}"
            ready = {"centre": middle, "size": self.size}
            recipe = merge(recipe, {"find_bad": False, "dark": "none", **recipe.given(), **ready})
        elif recipe.size not in (None, self.size):
            rule, advice = f"{self.size}, that of the probe", "give a probe of the same size"
            raise InvalidValueError("size", rule, f"{recipe.size}", advice)
        else:
            recipe = merge(recipe, {"size": self.size})
        choice = FrameChoice(
            raw=raw, recipe=recipe, sample=sample, remarks=self.remarks, cautions=self.cautions
        )
        self.frames = choice.frames()

    def patterns(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return the patterns (k, N, N) of frames (k, H, W).

        Raises
        ------
        InvalidValueError
            Frames are of another size than the first ones.
        """
        assert self.frames is not None  # noqa: S101 - only after `decide`
        window = self.frames.window
        if frames.shape[1:] != window.shape:
            rule = f"of {window.shape[0]} x {window.shape[1]} pixels, as the first ones"
            raise InvalidValueError("frames", rule, f"{frames.shape[1]} x {frames.shape[2]}")
        part = np.array(window.cut(frames))
        leave_out(part, ~self.frames.window_bad)
        return self.frames.of_parts(part)

    def places(self, stage: NDArray[np.float64], *, in_pixels: bool) -> NDArray[np.float64]:
        """Return positions (k, 2) in pixels of the object, of those on the stage.

        Parameters
        ----------
        stage : (k, 2) float64
            As they came. The first of all becomes the origin, unless they are pixels already.
        in_pixels
            Whether they are.

        Raises
        ------
        InvalidValueError
            The size of a pixel is not known.
        """
        assert self.raw is not None  # noqa: S101 - only after `decide`
        x, y = stage.T
        turned = stage_positions(evolve(self.raw, x_m=x, y_m=y), self.recipe)
        if in_pixels:
            return turned
        pixel = self._pixel()
        if self._origin is None:
            self._origin = turned[0]
        return np.asarray((turned - self._origin) / pixel)

    def _pixel(self) -> NDArray[np.float64]:
        assert self.raw is not None and self.frames is not None  # noqa: S101, PT018
        return object_pixels(self.raw, self.frames.window)

    @property
    def bad_pixels(self) -> NDArray[np.bool_] | None:
        """Bad pixels (N, N) of patterns."""
        assert self.frames is not None  # noqa: S101 - only after `decide`
        margin = self.recipe.pad != "dark"
        bad = self.frames.window.mask(self.frames.bad, margin_bad=margin)
        return bad if bad.any() else None

    def scan(
        self,
        patterns: Any,
        places: NDArray[np.float64],
        probe: NDArray[np.complex64],
        *,
        in_pixels: bool,
    ) -> Scan:
        """Return a scan of patterns (n, N, N) and positions (n, 2) in pixels."""
        assert self.raw is not None and self.frames is not None  # noqa: S101, PT018
        raw, frames = self.raw, self.frames
        pixel = None if in_pixels else self._pixel()
        square = pixel is not None and abs(pixel[0] / pixel[1] - 1) < 1e-9
        known = square and raw.detector_pixel_m is not None and raw.distance_m is not None
        side = raw.detector_pixel_m[0] * frames.window.binning if raw.detector_pixel_m else None
        origin = self._origin
        return Scan(
            diffraction=patterns,
            xcoords=places[:, 0],
            ycoords=places[:, 1],
            probe=probe,
            domain=raw.domain,
            bad_pixels=self.bad_pixels,
            background=frames.level(frames.background),
            subtracted=frames.level(frames.subtracted),
            pixel_size_m=float(pixel[0]) if square and pixel is not None else None,
            photon_energy_ev=raw.energy_ev,
            detector_distance_m=raw.distance_m,
            detector_pixel_size_m=side if known else None,
            particle=raw.particle,
            origin_m=(float(origin[0]), float(origin[1]))
            if square and origin is not None
            else None,
        )

    def meta(self) -> PatternMeta:
        """Return what is needed to go on in the same way, see `resumed`."""
        assert self.raw is not None and self.frames is not None  # noqa: S101, PT018
        images = {name: getattr(self.frames, name) for name in _IMAGES}
        stated = {
            "window": asdict(self.frames.window),
            "domain": self.frames.domain,
            "energy_ev": self.raw.energy_ev,
            "distance_m": self.raw.distance_m,
            "detector_pixel_m": self.raw.detector_pixel_m,
            "pixel_angle": self.raw.pixel_angle,
            "particle": self.raw.particle,
            "series": self.begin.series,
            "expected": self.begin.expected,
        }
        both = {**images, **stated}
        return {name: value for name, value in both.items() if value is not None}

    def resume(self, meta: PatternMeta) -> None:
        """Go on as an earlier run decided.

        Raises
        ------
        KeyError, TypeError, ValueError
            It is no such thing.
        """
        window = dict(meta["window"])
        shape, centre = tuple(window.pop("shape")), tuple(window.pop("centre"))
        made = Window(shape=shape, centre=centre, **window)
        images = {name: meta[name] for name in _IMAGES if name in meta}
        self.frames = Frames(window=made, domain=meta["domain"], **images)
        self.begin = Begin(series=meta.get("series", ""), expected=meta.get("expected"))
        sample = np.zeros((1, *made.shape), np.uint16)
        names = evolve(self.recipe.names(), mask=None, dark=None, flat=None)  # they are in it
        raw = raw_scan(sample, names, self.begin, self.title)
        pixel, angle = (
            None if meta.get(name) is None else tuple(meta[name])
            for name in ("detector_pixel_m", "pixel_angle")
        )
        self.raw = evolve(
            raw,
            energy_ev=meta.get("energy_ev"),
            distance_m=meta.get("distance_m"),
            particle=meta["particle"],
            domain=meta["domain"],
            detector_pixel_m=pixel,
            pixel_angle=angle,
        )
