"""Formats in metres: conversion to pixels, and pairing of patterns with positions.

`ptycho_data._geometry` says where an object lies; without an object the origin is free, and
``x = x_m / pixel``.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import define, evolve, field
from numpy.typing import NDArray

from ptycho_data._experiment import HIGHEST_PHOTON_EV, Experiment, differ, resolve
from ptycho_data._geometry import centre_position
from ptycho_data._order import AXES
from ptycho_data._placement import COARSE, coarse_positions, spacing
from ptycho_data._stack import Stack, some_of
from ptycho_data.formats._base import Container, Opened, Raw, flat
from ptycho_data.formats._quantities import scale
from ptycho_data.units import (
    LARGEST,
    SMALLEST,
    Particle,
    metres_per,
)

__all__ = [
    "ADVICE",
    "ELECTRON_ENERGY",
    "NOMINAL",
    "ScanInMetres",
    "experiment_metadata",
]

NOMINAL = "nominal_pixel_size"
#: Energy of electrons, beside that of photons of their wavelength.
ELECTRON_ENERGY = "electron_energy_eV"
#: An object whose pixels differ by more from those of the positions lies on another grid.
_SAME_GRID = 1e-3
_NEEDS = "accompanied by the size of the object pixel"
ADVICE = (
    "pass what the file lacks or has wrong: --photon-energy-ev, --detector-distance-m and "
    "--detector-pixel-size-m, or the size itself: ptycho convert IN OUT --pixel-size-m SIZE"
)


@define(kw_only=True)
class ScanInMetres:
    """A scan in metres, as read from a file; None for what the file lacks.

    Attributes
    ----------
    stack : (n, N, N)
        Patterns.
    indexes : (n,) integers
        Number of each pattern; negative where the place is empty.
    position_indexes : (p,) integers
        Number of each position.
    x_m, y_m : (p,) float64
        Positions in metres.
    probe
        (H, W), (modes, H, W) or (variations, modes, H, W).
    object
        (H, W) or (layers, H, W).
    center_m
        (x, y) of the centre of the object array.
    pixel_m
        (width, height) of an object pixel.
    energy_ev, distance_m, detector_pixel_m
        Energy of the photons or electrons, distance of the detector, (width, height) of its pixels.
    particle
        "photon" or "electron", where the file says it.
    rounding_m
        Distance of neighbouring numbers in which the positions were stored, if it is not float64.
    nominal
        Whether `pixel_m` is nominal, the true size being unknown.
    remarks, cautions : list of str
        Conversions, and warnings, one line each.
    lacking : list of str
        Those warnings that say why the object pixel may be unknown.
    """

    stack: Stack | None = None
    indexes: NDArray[Any] | None = None
    bad_pixels: NDArray[Any] | None = None
    position_indexes: NDArray[Any] | None = None
    x_m: NDArray[Any] | None = None
    y_m: NDArray[Any] | None = None
    probe: NDArray[Any] | None = None
    object: NDArray[Any] | None = None
    center_m: tuple[float, float] | None = None
    pixel_m: tuple[float, float] | None = None
    energy_ev: float | None = None
    distance_m: float | None = None
    detector_pixel_m: tuple[float, float] | None = None
    particle: Particle | None = None
    rounding_m: float = 0.0
    nominal: bool = False
    remarks: list[str] = field(factory=list)
    cautions: list[str] = field(factory=list)
    lacking: list[str] = field(factory=list)

    def set_positions(self, field: str, file: Container, name: str) -> None:
        """Read positions along one axis, in the unit that the dataset states, or metres.

        Parameters
        ----------
        field
            "x_m" or "y_m".
        file, name
            The dataset; axes of length one are dropped.

        Raises
        ------
        ScanFormatError
            There is no such dataset, or it is of an unknown unit.
        """
        self.set_values(field, flat(file.read(name)), scale(file, name, metres_per) or 1.0)

    def set_values(self, field: str, values: NDArray[Any], unit_m: float) -> None:
        """Set positions along one axis, in units of so many metres."""
        self.rounding_m = max(self.rounding_m, spacing(values) * unit_m)
        numbers = values.dtype.kind in "iuf" and unit_m != 1
        setattr(self, field, values.astype(np.float64) * unit_m if numbers else values)

    def to_raw(
        self,
        opened: Opened,
        *files: Container,
        places: Mapping[str, str | None],
        may_lack: tuple[str, ...] = (),
    ) -> Raw:
        """Convert metres to pixels, and match patterns and positions.

        Parameters
        ----------
        opened
            With the pixel size given to `load_scan`, and the findings.
        *files
            The files of the scan, the one with the patterns first.
        places
            Contract key to the name of the array in the file, for messages.
        may_lack
            Required keys that files of this format may lack.

        Returns
        -------
        Raw
            Arrays under the keys of the contract, in pixels.
        """
        distinct = tuple(dict.fromkeys(files))
        return Raw.of_arrays(
            _to_contract(self, opened),
            names=tuple(dict.fromkeys(name for file in distinct for name in file.names)),
            places={key: place for key, place in places.items() if place},
            files=tuple(file.path for file in distinct),
            may_lack=may_lack,
            remarks=self.remarks,
            cautions=self.cautions,
            axes=AXES,
        )


def _to_contract(found: ScanInMetres, opened: Opened) -> dict[str, Any]:
    """Return the arrays under the keys of the contract, in pixels."""
    remarks, cautions = found.remarks, found.cautions
    arrays: dict[str, Any] = {"domain": np.array("counts")}
    if found.bad_pixels is not None:
        arrays["bad_pixels"] = found.bad_pixels
    if found.probe is not None:
        arrays["probeGuess"] = _modes(found.probe, cautions)
    known, pixel = _geometry(found, opened)
    object_ = _one_layer(found.object, cautions)
    if object_ is not None and (found.center_m is None or pixel is None):
        remarks.append("object left out: the file does not say where it lies")
        object_ = None
    if object_ is not None and pixel and found.pixel_m and not _same_grid(pixel, found.pixel_m):
        cautions.append(
            f"object left out: its pixels are {_size(found.pixel_m)}, those of the positions "
            f"{_size(pixel)}; the probe of the file has pixels of its own, too"
        )
        object_ = None
    with np.errstate(invalid="ignore"):  # damaged bytes may be NaN that signals
        flat = object_ is not None and object_.size and np.all(object_ == object_.flat[0])
    if flat:
        remarks.append("object left out: it is the same everywhere")
        object_ = None
    if object_ is not None:
        arrays["objectGuess"] = object_
    if found.stack is not None:
        arrays["diffraction"] = found.stack
    origin_m = None
    if pixel is None:  # a violation was recorded by `_geometry`
        arrays |= {} if found.x_m is None else {"xcoords": found.x_m}
        arrays |= {} if found.y_m is None else {"ycoords": found.y_m}
    elif found.x_m is not None and found.y_m is not None:
        origin_m = _place(found, pixel, object_, arrays)
        _pair(found, arrays, opened)
        remarks.append(f"positions: metres divided by object pixels of {_size(pixel)}")
    if pixel is not None and origin_m is not None:
        # Where the object lies on a grid whose zero is that of the metres.
        arrays["origin"] = np.array(
            [start / size for start, size in zip(origin_m, pixel, strict=True)]
        )
    place = None if found.nominal else origin_m
    arrays["_metadata"] = np.array(json.dumps(experiment_metadata(known, place)))
    if known.pixel_size_m is not None:
        arrays["pixel_size_m"] = np.array(known.pixel_size_m)
    return arrays


def _side(found: ScanInMetres) -> int | None:
    """Pixels along a side of the patterns, or of the probe where there are no patterns."""
    for images in (found.stack, found.probe):
        if images is not None and images.ndim >= 2:
            return int(images.shape[-1])
    return None


def _size(pixel: tuple[float, float]) -> str:
    return f"{pixel[0] * 1e9:.6g} x {pixel[1] * 1e9:.6g} nm"


def _same_grid(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return not any(differ(a, b, _SAME_GRID) for a, b in zip(one, other, strict=True))


def experiment_metadata(known: Experiment, origin_m: tuple[float, float] | None) -> dict[str, Any]:
    """Return ``_metadata`` for what is known of experiment and stage."""
    stated = {
        "photon_energy_eV": known.photon_energy_ev,
        "detector_distance_m": known.detector_distance_m,
        "detector_pixel_size_m": known.detector_pixel_size_m,
        "particle": known.particle,
        # Without the size of a square pixel, metres and pixels are not related.
        "origin_m": None if known.pixel_size_m is None else origin_m,
    }
    return {key: value for key, value in stated.items() if value is not None}


def _usable(value: float | None) -> float | None:
    """Return a number that can be an energy or a length; 0 stands for unknown."""
    return value if value is not None and 0 < value < math.inf else None


def _energy(found: ScanInMetres, given: Experiment) -> float | None:
    """Energy in the file, unless it cannot be that of the photons."""
    energy = _usable(found.energy_ev)
    electrons = "electron" in (given.particle, found.particle)
    if energy is None or energy <= HIGHEST_PHOTON_EV or electrons or given.photon_energy_ev:
        return energy
    doubt = (
        f"energy of {energy:g} eV left out: no photons for ptychography have so much; it may be "
        "that of the electrons in the storage ring; give the photon energy with --photon-energy-ev"
    )
    found.cautions.append(doubt)
    found.lacking.append(doubt)
    return None


def _geometry(found: ScanInMetres, opened: Opened) -> tuple[Experiment, tuple[float, float] | None]:
    """Return what is known of the experiment, and the pixel (width, height) of the positions."""
    N, given = _side(found), opened.given
    energy, distance = _energy(found, given), _usable(abs(found.distance_m or 0.0))
    sides: list[Experiment] = []
    for axis in (0, 1):
        own = Experiment(
            photon_energy_ev=energy,
            detector_distance_m=distance,
            detector_pixel_size_m=_side_of(found.detector_pixel_m, axis),
            pixel_size_m=None if found.nominal else _side_of(found.pixel_m, axis),
            particle=found.particle,
        )
        known, notes = resolve(given, own, N)
        sides.append(known)
        found.cautions.extend(note for note in notes if note not in found.cautions)
    width, height = (side.pixel_size_m for side in sides)
    pixel = None if width is None or height is None else (width, height)
    known = _square(found, *sides)
    if found.nominal and found.pixel_m is not None:
        if known.pixel_size_m is None:
            found.remarks.append("pixel size left out: the file says it is nominal")
        pixel = found.pixel_m
    if pixel is None and found.x_m is not None:
        got = "; ".join(["positions in metres and no pixel size", *found.lacking])
        opened.findings.add("xcoords", _NEEDS, got, ADVICE)
    elif pixel is not None and not all(SMALLEST < size < LARGEST for size in pixel):
        got = f"object pixels of {pixel[0]:g} x {pixel[1]:g} m"
        opened.findings.add("xcoords", _NEEDS, got, ADVICE)
        return evolve(known, pixel_size_m=None), None
    return known, pixel


def _side_of(size: tuple[float, float] | None, axis: int) -> float | None:
    return None if size is None else _usable(size[axis])


def _square(found: ScanInMetres, wide: Experiment, high: Experiment) -> Experiment:
    """Leave out sizes of pixels that are not square: a scan has one number for both sides."""
    known = wide
    for name, words in (("detector_pixel_size_m", "detector"), ("pixel_size_m", "object")):
        width, height = getattr(wide, name), getattr(high, name)
        if width is not None and height is not None and differ(width, height, 1e-9):
            found.cautions.append(
                f"{words} pixels are not square ({_size((width, height))}): their size is left "
                "out, and with that of the object the place on the stage"
            )
            known = evolve(known, **{name: None})
    return known


def _modes(probe: NDArray[Any], cautions: list[str]) -> NDArray[Any]:
    """Modes (M, N, N); of probes that vary over the scan the mean one, which comes first."""
    if probe.ndim != 4 or not len(probe):
        return probe
    if len(probe) > 1:
        cautions.append(f"the probe varies over the scan ({len(probe)} components); "
                        "the first one was taken for all positions")  # fmt: skip
    return np.asarray(probe[0])


def _one_layer(object_: NDArray[Any] | None, cautions: list[str]) -> NDArray[Any] | None:
    if object_ is None or object_.ndim != 3 or not len(object_):
        return object_
    if len(object_) > 1:
        cautions.append(f"the object has {len(object_)} layers; the first one was taken")
    return np.asarray(object_[0])


def _place(
    found: ScanInMetres,
    pixel: tuple[float, float],
    object_: NDArray[Any] | None,
    arrays: dict[str, Any],
) -> tuple[float, float]:
    """Set positions in pixels, of the object's grid where there is an object.

    Returns
    -------
    tuple of float
        Where pixel (0, 0) of that grid lies, in metres.
    """
    N, rounding, origin = _side(found) or 0, 0.0, [0.0, 0.0]
    for axis, key, values in ((0, "xcoords", found.x_m), (1, "ycoords", found.y_m)):
        if values is None or values.dtype.kind not in "iuf":
            arrays[key] = np.asarray(values)  # the contract's check says what is wrong
            continue
        if object_ is not None and found.center_m is not None and object_.ndim == 2:
            middle = centre_position(object_.shape[1 - axis], N)
            origin[axis] = found.center_m[axis] - middle * pixel[axis]
        with np.errstate(all="ignore"):  # the contract's check refuses what is not finite
            arrays[key] = (values.astype(np.float64) - origin[axis]) / pixel[axis]
        rounding = max(rounding, max(spacing(values), found.rounding_m) / pixel[axis])
    if rounding > COARSE:
        found.cautions.append(coarse_positions(rounding))
    return origin[0], origin[1]


def _pair(found: ScanInMetres, arrays: dict[str, Any], opened: Opened) -> None:
    """Match patterns and positions: by their numbers, as ptychodus does, if they have some.

    Positions of one number are averaged; a pattern whose number lies between those of positions
    gets an interpolated one; patterns beyond, and empty places, are left out.
    """
    stack, numbers, where = found.stack, found.indexes, found.position_indexes
    if stack is None:
        return
    x, y = arrays["xcoords"], arrays["ycoords"]
    if numbers is None or where is None:  # one after the other
        if x.shape[:1] < (len(stack),):  # more positions are left to the contract's check
            rule = f"of shape ({len(stack)},), one position per pattern"
            opened.findings.add("xcoords", rule, f"{x.shape} positions for {len(stack)} patterns")
        return
    for key, values, length in (
        ("diffraction", numbers, len(stack)),
        ("xcoords", where, x.size),
    ):
        if values.shape != (length,) or values.dtype.kind not in "iu":
            rule = f"numbered by integers of shape ({length},)"
            opened.findings.add(key, rule, f"numbers {values.dtype} {values.shape}")
            return
    numeric = x.dtype.kind == y.dtype.kind == "f"
    if x.ndim != 1 or x.shape != y.shape or not numeric or not len(x):
        return  # the contract's check says what is wrong
    known, inverse = np.unique(where, return_inverse=True)
    times = np.bincount(inverse)
    rows = np.flatnonzero((numbers >= 0) & (numbers >= known[0]) & (numbers <= known[-1]))
    if not len(rows):
        rule = "positions of these patterns"
        opened.findings.add("xcoords", rule, "numbers that no pattern has")
        return
    wanted = numbers[rows]
    for key, values in (("xcoords", x), ("ycoords", y)):
        arrays[key] = np.interp(wanted, known, np.bincount(inverse, weights=values) / times)
    between = int(np.sum(~np.isin(wanted, known)))
    if between:
        found.remarks.append(f"{between} patterns without a position of their own: interpolated")
    if (times > 1).any():
        found.remarks.append(f"{int((times > 1).sum())} numbers with several positions: averaged")
    after = int(np.sum(known > wanted.max()))
    if after:
        found.cautions.append(
            f"{x.size} positions and {len(rows)} patterns, as of a stopped acquisition: {after} "
            "positions after the last pattern were left out"
        )
    outside = int(np.sum((numbers < known[0]) & (numbers >= 0)) + np.sum(numbers > known[-1]))
    if outside:
        found.cautions.append(
            f"{x.size} positions and {len(stack)} patterns: {outside} patterns whose numbers lie "
            "outside those of the positions were left out"
        )
    if len(rows) + outside < len(stack):
        found.remarks.append(f"{len(stack) - len(rows) - outside} empty places: left out")
    if len(rows) < len(stack):
        arrays["diffraction"] = some_of(stack, rows)
