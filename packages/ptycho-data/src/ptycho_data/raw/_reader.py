"""Read the parts of a scan from files, by names that are given or known from the layout."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_config.options import LARGEST_NUMBER, SMALLEST_NUMBER

from ptycho_data._changes import changed
from ptycho_data._domain import Domain
from ptycho_data._hdf5 import H5File
from ptycho_data._stack import Stack
from ptycho_data._violations import ScanFormatError
from ptycho_data.raw import _quantities as quantities
from ptycho_data.raw._image_formats import named_files
from ptycho_data.raw._joined import joined
from ptycho_data.raw._motors import in_metres, matched, on_raster
from ptycho_data.raw._places import Place, RawFiles
from ptycho_data.raw._recognise import Recognised, recognise
from ptycho_data.raw._scan import Names, RawScan
from ptycho_data.raw._transformations import motors_of_sample, scanned
from ptycho_data.units import PARTICLES, Particle, energy_ev, ev_per, metres_per, wavelength

__all__ = ["read_raw"]

_DOMAINS: tuple[str, ...] = get_args(Domain)


def read_raw(
    paths: Sequence[Path], names: Names | None = None, *, within: Path | None = None
) -> RawScan:
    """Find the parts of a scan in the files of an instrument or of another program.

    Parameters
    ----------
    paths
        The files: the first has the patterns; names without a file are looked for in all. Files
        of frames alone make one series, in the order of their numbers; a folder stands for those
        in it.
    names
        What the user says; it wins over the layout.
    within
        Folder that links out of HDF5 files may lead to; by default that of each file.

    Returns
    -------
    RawScan
        Frames are not read yet.

    Raises
    ------
    ScanFormatError
        A file cannot be read, or what it holds is no scan.
    InvalidValueError
        What the user says contradicts the files, or does not suffice.
    """
    if not paths:
        raise InvalidValueError("RAW", "one file or more", "none")
    with ExitStack() as closing:
        files = RawFiles(paths=tuple(named_files(paths)), closing=closing, within=within)
        return _Reader(names or Names(), files).read()


class _Reader:
    """Reads one scan; everything that is found is noted."""

    def __init__(self, names: Names, files: RawFiles) -> None:
        self.names, self.files = names, files
        self.found: Recognised = recognise(files, names.layout)
        self.remarks: list[str] = []
        self.cautions: list[str] = files.cautions
        self.places: dict[str, str] = {}

    def read(self) -> RawScan:
        names, layout = self.names, self.found.layout
        if names.particle not in (None, *PARTICLES):
            raise InvalidValueError("particle", "photon or electron", repr(names.particle))
        if names.domain not in (None, *_DOMAINS):
            raise InvalidValueError("domain", "counts or amplitude", repr(names.domain))
        frames, grid = self._frames()
        particle = names.particle or self.found.particle or "photon"
        energy = self._energy(particle)
        x, y = self._positions(len(frames), grid)
        mask, good = self._mask()
        raw = RawScan(
            frames=frames,
            x_m=x,
            y_m=y,
            mask=mask,
            mask_is_good=good,
            dark=self._image("dark", names.dark),
            flat=self._image("flat", names.flat),
            energy_ev=energy,
            distance_m=self._quantity("distance", names.distance, metres_per),
            beam_centre=self._centre(),
            particle=particle,
            domain=names.domain or (layout and layout.domain) or "counts",
            layout=self.found.title,
            remarks=self.remarks,
            cautions=self.cautions,
            places=self.places,
        )
        self._pixel(raw)
        raw.files = self.files.used
        return raw

    def _frames(self) -> tuple[Stack, tuple[int, ...]]:
        """Return the frames, and the shape of the raster that they are on, (n,) without one."""
        if self.names.patterns is not None:
            places = [self.files.place("patterns", self.names.patterns)]
        else:
            places = self.found.patterns()
            if not places and self.names.layout is None:
                places = self.found.only_stack()
        if not places:
            named = self.files.named
            advice = f"name the dataset with --patterns; {self.files.contents()}"
            raise InvalidValueError("patterns", f"in {named}", "no known layout", advice)
        stacks = [place.stack() for place in places]
        sizes = {stack.shape[1:] for stack in stacks}
        if len(sizes) > 1:
            places[0].fail("of frames of one size", " and ".join(map(str, sorted(sizes)[:3])))
        frames, turned = joined(stacks), self._turned(places[0])
        if turned:
            frames = (
                frames.swapaxes(1, 2)
                if isinstance(frames, np.ndarray)
                else changed(frames, _transposed)
            )
            self.remarks.append(f"{places[0].name}: written by MATLAB, rows and columns exchanged")
        more = f" and {len(places) - 1} more" * (len(places) > 1)
        self.places["patterns"] = str(places[0]) + more
        grid = places[0].shape[:-2] if len(places) == 1 else (len(frames),)
        return frames, tuple(int(k) for k in grid)

    def _turned(self, place: Place) -> bool:
        layout, file = self.found.layout, place.file
        marked = layout is not None and layout.turned and isinstance(file, H5File)
        return marked and isinstance(file, H5File) and file.by_matlab(place.name)

    def _place(self, name: str, given: str | None, unit: str | None = None) -> Place | None:
        if given is not None:
            return self.files.place(name, given, unit=unit)
        found = self.found.first(name)
        return None if found is None else found[0]

    def _quantity(self, name: str, given: str | None, per: Callable[[str], float]) -> float | None:
        """Return a number in metres or eV: given, named, or of the layout."""
        if given is not None and quantities.is_quantity(given):
            parse = quantities.length if per is metres_per else quantities.energy
            return _positive(name, parse(name, given))
        place = self._place(name, given)
        if place is None:
            return None
        unit, value = place.unit, place.number()
        try:
            factor = per(unit) if unit else 1.0
        except InvalidValueError as error:
            place.fail(f"in {error.rule}", f"units {error.got}")
        if unit is None and given is not None:
            self.remarks.append(f"{place}: no units, read as {'m' if per is metres_per else 'eV'}")
        if not value > 0:  # 0 stands for unknown in many files
            if name == "distance" and value < 0:
                value = -value
            else:
                self.remarks.append(f"{place} is {value:g}: not used")
                return None
        if not quantities.SMALLEST < value * factor < quantities.LARGEST:
            place.fail("a length or an energy of an experiment", f"{value:g}")
        self.places[name] = str(place)
        return _positive(name, value * factor)

    def _energy(self, particle: Particle) -> float | None:
        energy = self._quantity("energy", self.names.energy, ev_per)
        if energy is not None or self.names.energy is not None:
            return energy
        length = self._quantity("wavelength", None, metres_per)
        return None if length is None else energy_ev(length, particle)

    def _pixel(self, raw: RawScan) -> None:
        """Set the size of a detector pixel, or the angle under which it is seen."""
        given = self.names.detector_pixel
        if given is not None and quantities.is_quantity(given):
            wave = None if raw.energy_ev is None else wavelength(raw.energy_ev, raw.particle)
            angle = quantities.angle(given, wave)
            if angle is not None:
                raw.pixel_angle = (_positive("detector_pixel", angle),) * 2
                return
            size = _positive("detector_pixel", quantities.length("detector_pixel", given))
            raw.detector_pixel_m = (size, size)
        elif given is not None:
            sizes = in_metres(self.files.place("detector_pixel", given, unit="m"))
            raw.detector_pixel_m = (_positive("detector_pixel", float(sizes[0])),) * 2
        else:
            width, height = (self._quantity(f"pixel_{axis}", None, metres_per) for axis in "xy")
            if width or height:
                raw.detector_pixel_m = (height or width or 0.0, width or height or 0.0)
        if raw.detector_pixel_m is None:
            self._angle(raw)
        elif raw.distance_m is not None:
            height, width = raw.detector_pixel_m
            raw.pixel_angle = (height / raw.distance_m, width / raw.distance_m)

    def _angle(self, raw: RawScan) -> None:
        """Take the angle of a pixel from a calibration of an electron microscope."""
        place = self._place("angle", None)
        if place is None:
            return
        step, unit = _step(place), place.unit or self._calibrated("Q_pixel_units")
        try:
            per = _angle_of(unit, raw) if unit else None
            angle = None if per is None else step * per
        except InvalidValueError:
            angle = None
        if angle is None or not angle > 0:
            self.remarks.append(f"{place} in {unit or 'no unit'}: not used; give --detector-pixel")
            return
        self.places["detector_pixel"] = str(place)
        raw.pixel_angle = (angle, angle)

    def _calibrated(self, name: str) -> str | None:
        """Return a unit that py4DSTEM keeps as a text beside the number."""
        for file in self.files.files:
            if not isinstance(file, H5File):
                continue
            for group in file.members(""):
                path = f"{group}/metadatabundle/calibration/{name}"
                text = file.string(path)
                if text:
                    return text
        return None

    def _centre(self) -> tuple[float, float] | None:
        places = [self._place(f"centre_{axis}", None) for axis in "yx"]
        try:
            row, column = (None if place is None else place.number() for place in places)
        except ScanFormatError:
            return None
        if row is None or column is None or not (row or column):
            return None
        return row, column

    def _mask(self) -> tuple[NDArray[Any] | None, bool | None]:
        given = self.names.mask
        if given is not None:
            place, good = self.files.place("mask", given), None
        else:
            found = self.found.first("mask")
            if found is None:
                return None, None
            place, good = found[0], found[1].good
        try:
            values = place.read()
        except ScanFormatError:
            if given is not None:
                raise
            return None, None
        self.places["mask"] = str(place)
        while values.ndim > 2 and (len(values) == 1 or given is not None or good is not None):
            values = values[0] if len(values) == 1 else (values.min(0) if good else values.max(0))
        if values.ndim != 2:
            if given is None:
                self.remarks.append(f"{place}: no mask of shape (H, W), not used")
                return None, None
            place.fail("a mask of shape (H, W)", f"shape {values.shape}")
        return values, good

    def _image(self, name: str, given: str | None) -> NDArray[np.float64] | None:
        """Return a dark frame or a flat field; of several frames the mean; a number everywhere."""
        if given is None or given == "auto":
            return None
        if quantities.is_quantity(given):
            try:
                return np.array(float(given))
            except ValueError:
                raise InvalidValueError(name, "a number or a dataset", given) from None
        place = self.files.place(name, given)
        values = np.asarray(place.read(), np.float64)
        if values.ndim > 2:
            values = values.reshape(-1, *values.shape[-2:]).mean(axis=0)
        if values.ndim not in (0, 2) or not np.isfinite(values).all():
            place.fail("finite, of shape (H, W)", f"shape {values.shape}")
        self.places[name] = str(place)
        return values

    def _positions(
        self, n: int, grid: tuple[int, ...]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        names = self.names
        if names.raster is not None or names.step is not None:
            if names.x is not None or names.y is not None:
                raise InvalidValueError("raster", "given without x and y", "both")
            return self._raster(n, grid)
        if (names.x is None) != (names.y is None):
            raise InvalidValueError("x and y", "given together", "one of them")
        if names.x is not None and names.y is not None:
            lists = ([self.files.place("x", names.x)], [self.files.place("y", names.y)])
        else:
            lists = self.found.positions(n)
        if not lists[0]:
            lists = self._motors_of_sample()
        if not lists[0]:
            steps = [self._place(f"step_{axis}", None) for axis in "xy"]
            if None not in steps and len(grid) == 2:
                return self._raster(n, grid)
            advice = (
                "name the datasets with --x and --y (FILE::PATH for another file), or the raster "
                f"with --raster ROWSxCOLUMNS --step 30nm; {self.files.contents()}"
            )
            got = f"none known in the layout {self.found.title}"
            raise InvalidValueError("positions", "known", got, advice)
        x, y = (self._axis(name, places) for name, places in zip("xy", lists, strict=True))
        x, y = matched(x, y, n, grid, lists)
        known = names.x is not None
        turned = None if known else scanned(lists, x, y, names.unit, self.cautions)
        if turned is None:
            return x, y
        self.remarks.append(
            "positions along the rows and columns of frames, by the vectors of axes"
        )
        return turned

    def _motors_of_sample(self) -> tuple[list[Place], list[Place]]:
        """Return the axes that NeXus says the sample is moved by."""
        for file in self.files.files:
            if isinstance(file, H5File):
                found = motors_of_sample(file)
                if found[0]:
                    return found
        return [], []

    def _axis(self, name: str, places: list[Place]) -> NDArray[np.float64]:
        parts = [in_metres(place, self.names.unit) for place in places]
        self.places[name] = str(places[0])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _raster(
        self, n: int, grid: tuple[int, ...]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return positions on a raster, x the faster."""
        shape = self.names.raster or (grid if len(grid) == 2 else None)
        if shape is None:
            got = f"{n} frames in a row"
            raise InvalidValueError("raster", "ROWSxCOLUMNS of the scan", got)
        rows, columns = shape
        if rows * columns < n:
            got = f"{rows} x {columns} = {rows * columns}"
            raise InvalidValueError("raster", f"of {n} positions, one per pattern", got)
        if self.names.step is not None:
            step_x, step_y = quantities.lengths("step", self.names.step)
        else:
            step_x, step_y = (self._stated_step(axis) for axis in "xy")
        for step in (step_x, step_y):
            if not quantities.SMALLEST < abs(step) < quantities.LARGEST:
                raise InvalidValueError("step", "a length that is not zero", f"{step:g} m")
        self.places["positions"] = f"raster of {rows} x {columns}"
        return on_raster(shape, (step_x, step_y), snake=self.names.snake)

    def _stated_step(self, axis: str) -> float:
        place = self._place(f"step_{axis}", None)
        unit = None if place is None else place.unit or self._calibrated("R_pixel_units")
        try:
            return _step(place) * metres_per(unit or "") if place else 0.0
        except InvalidValueError:
            got = f"{place} in {unit or 'no unit'}"
            rule, advice = "in a unit of length", "give --step 30nm"
            raise InvalidValueError("step", rule, got, advice) from None


def _angle_of(unit: str, raw: RawScan) -> float | None:
    """Return the radians in a unit of angle, or of spatial frequency."""
    text = unit.strip().removeprefix("1")
    for ending in ("^-1", "**-1", "-1"):
        if text.endswith(ending):
            text = "/" + text[: -len(ending)]
    wave = None if raw.energy_ev is None else wavelength(raw.energy_ev, raw.particle)
    return quantities.angle(f"1{text}", wave)


def _step(place: Place) -> float:
    """Step of a calibration: a number, or the values along an axis."""
    values = np.asarray(place.read(), np.float64).reshape(-1)
    if len(values) > 1:
        with np.errstate(invalid="ignore"):  # infinite ones are refused as a step
            return float(values[1] - values[0])
    return float(values[0]) if len(values) else 0.0


def _positive(name: str, value: float) -> float:
    if not SMALLEST_NUMBER <= value <= LARGEST_NUMBER:
        rule = f"a number from {SMALLEST_NUMBER:g} to {LARGEST_NUMBER:g}, in m or eV"
        raise InvalidValueError(name, rule, f"{value:g}")
    return value


def _transposed(patterns: NDArray[Any]) -> NDArray[Any]:
    return patterns.swapaxes(-2, -1)
