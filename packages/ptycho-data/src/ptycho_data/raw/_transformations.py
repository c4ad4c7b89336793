"""Where NeXus says that things are: axes with a vector each, one on the other (NXtransformations).

An axis is a dataset with the attributes ``transformation_type``, ``vector``, ``offset`` and
``depends_on``. It maps a point x to R x + o (rotation) or x + v a + o (translation), and is mounted
on the axis that it depends on. Vectors are those of McStas: z along the beam, y upwards, x to the
left of who looks along the beam.
"""

from collections.abc import Sequence

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from scipy.spatial.transform import Rotation

from ptycho_data._hdf5 import H5File
from ptycho_data.formats._cxi_detector import BASIS, read_axes
from ptycho_data.raw._motors import in_metres
from ptycho_data.raw._places import Place
from ptycho_data.units import metres_per

__all__ = ["motors_of_sample", "scanned"]

#: A detector that faces the beam, its rows from top to bottom.
_FAST, _SLOW = np.array([-1.0, 0.0, 0.0]), np.array([0.0, -1.0, 0.0])
#: Degrees within which a rotation stands still.
_STEADY = 0.02
#: Cosine that the beam may have with an axis of the detector: 3 degrees.
_UPRIGHT = 0.05
_MOST_AXES = 64
_ADVICE = "name x and y with --x and --y, which are taken as they are then"
_DEGREES = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": 180 / np.pi, "radian": 180 / np.pi,
            "radians": 180 / np.pi}  # fmt: skip


@frozen(kw_only=True, eq=False)
class NamedAxis:
    """One axis.

    Attributes
    ----------
    place
        Its dataset.
    rotation
        Whether it turns; otherwise it moves.
    vector, offset : (3,)
        Direction, of length 1; constant part in metres.
    """

    place: Place
    rotation: bool
    vector: NDArray[np.float64]
    offset: NDArray[np.float64]

    @property
    def moves(self) -> bool:
        """Whether it has more than one value."""
        return int(np.prod(self.place.shape)) > 1

    def turn(self) -> Rotation:
        """Return the rotation, which must be one for all frames, up to the noise of encoders."""
        unit = (self.place.unit or "deg").strip().lower()
        if unit not in _DEGREES:
            self.place.fail("in degrees or radians", f"units {unit!r}", _ADVICE)
        angles = np.asarray(self.place.read(), np.float64).reshape(-1) * _DEGREES[unit]
        if not (angles.size and np.isfinite(angles).all() and np.ptp(angles) < _STEADY):
            finite = angles[np.isfinite(angles)]
            got = f"{np.ptp(finite):g} degrees between them" if finite.size else "no finite number"
            self.place.fail("one angle for all frames", got, _ADVICE)
        return Rotation.from_rotvec(np.radians(angles.mean()) * self.vector)

    def shifts(self, count: int) -> NDArray[np.float64]:
        """Return where it stands in metres: (count,) for each frame, or (1,) for all."""
        if not self.place.unit:
            self.place.fail("in a unit of length", "no attribute units", _ADVICE)
        values = in_metres(self.place).reshape(-1)
        if not values.size or not np.isfinite(values).all():
            self.place.fail("of finite values", "others, or none", _ADVICE)
        if np.ptp(values) == 0:
            return values[:1]
        if values.size != count:
            self.place.fail(f"one value, or {count}", f"shape {self.place.shape}", _ADVICE)
        return values


def chain(file: H5File, name: str) -> list[NamedAxis]:
    """Return an axis and those that it stands on, one after the other.

    Raises
    ------
    ScanFormatError
        One is missing, or no axis; they lead in a circle.
    """
    axes: list[NamedAxis] = []
    while name:
        place = Place(file=file, name=name)
        if len(axes) >= _MOST_AXES or name in {axis.place.name for axis in axes}:
            place.fail("an axis of a chain with an end", "axes that depend on each other", _ADVICE)
        if name not in file:
            place.fail("an axis that others depend on", "no such dataset", _ADVICE)
        axes.append(_axis(place))
        name = _resolved(file.text(name, "depends_on"), name.rpartition("/")[0])
    return axes


def _resolved(text: str | None, group: str) -> str:
    """Return the path of an axis that is named from a group; empty at the end of a chain."""
    if text in (None, "."):
        return ""
    parts = [] if text.startswith("/") else group.split("/")
    for part in text.split("/"):
        parts = parts[:-1] if part == ".." else [*parts, part] if part not in ("", ".") else parts
    return "/".join(parts)


def _axis(place: Place) -> NamedAxis:
    file = place.file
    assert isinstance(file, H5File)  # noqa: S101 - so called
    kind = file.text(place.name, "transformation_type") or "translation"
    if kind not in ("translation", "rotation"):
        place.fail("a translation or a rotation", f"transformation_type {kind!r}", _ADVICE)
    vector = file.numbers(place.name, "vector")
    if vector is None or vector.shape != (3,) or not np.linalg.norm(vector) > 0:
        got = "none" if vector is None else f"{vector.tolist()}"
        place.fail("an axis with a vector of three numbers", got[:80], _ADVICE)
    offset = file.numbers(place.name, "offset")
    unit = file.text(place.name, "offset_units")
    try:
        factor = metres_per(unit) if unit else 1.0
    except InvalidValueError as error:
        place.fail(f"with offset_units in {error.rule}", error.got, _ADVICE)
    if offset is None or offset.shape != (3,) or not np.isfinite(offset).all():
        offset = np.zeros(3)
    return NamedAxis(
        place=place,
        rotation=kind == "rotation",
        vector=vector / np.linalg.norm(vector),
        offset=offset * factor,
    )


def sample_axes(file: H5File) -> list[NamedAxis]:
    """Return the axes of the sample, from its ``depends_on``; none if it has no such text."""
    for entry in file.members(""):
        for group in file.members(entry):
            path = f"{entry}/{group}"
            text = file.string(f"{path}/depends_on") if group.startswith("sample") else None
            if _resolved(text, path):
                return chain(file, _resolved(text, path))
    return []


def motors_of_sample(file: H5File) -> tuple[list[Place], list[Place]]:
    """Return the two axes of the sample that move, the more horizontal one first; or none."""
    moving = [axis for axis in sample_axes(file) if axis.moves and not axis.rotation]
    if len(moving) != 2:
        return [], []
    first, second = sorted(moving, key=lambda axis: -abs(axis.vector[0]))
    return [first.place], [second.place]


def detector_axes(file: H5File) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the directions of columns and of rows (3,), from NXdetector_module where it is.

    Raises
    ------
    ScanFormatError
        The detector is not upright in the beam.
    """
    for entry in file.members(""):
        for instrument in file.members(entry):
            if instrument.startswith("instrument"):
                for detector in file.members(f"{entry}/{instrument}"):
                    found = _module(file, f"{entry}/{instrument}/{detector}")
                    if found is not None:
                        return found
    return _FAST, _SLOW


def _module(file: H5File, group: str) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    for module in file.members(group):
        names = [f"{group}/{module}/{which}_pixel_direction" for which in ("fast", "slow")]
        if not all(name in file for name in names):
            continue
        directions = []
        for name in names:
            first, *others = chain(file, name)
            direction = first.vector
            for axis in others:
                direction = axis.turn().apply(direction) if axis.rotation else direction
            if abs(direction[2]) > _UPRIGHT:
                got = f"an axis at {np.degrees(np.arccos(abs(direction[2]))):.1f} degrees to it"
                first.place.fail("perpendicular to the beam", got, _ADVICE)
            directions.append(direction)
        return directions[0], directions[1]
    return None


def along_detector(
    axes: Sequence[NamedAxis],
    moved: dict[str, NDArray[np.float64]],
    directions: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the places of the beam on the sample, along the axes of the detector.

    Where the sample moves, the beam goes the other way on it.

    Parameters
    ----------
    axes
        The axes of the sample, the one that it is mounted on first.
    moved
        Values (n,) in metres of the axes that move, by the names of their datasets.
    directions : (3,), (3,)
        Of the columns and of the rows of the detector.

    Returns
    -------
    x, y : (n,)
        In metres.

    Raises
    ------
    ScanFormatError
        A rotation moves, or another axis has no value, or no unit.
    """
    count = max(len(values) for values in moved.values())
    places = np.zeros((count, 3))
    for axis in axes:
        if axis.rotation:
            places = axis.turn().apply(places)
        elif axis.place.name in moved:
            places = places + moved[axis.place.name][:, None] * axis.vector
        else:
            places = places + axis.shifts(count)[:, None] * axis.vector
        places = places + axis.offset
    x, y = (-(places @ direction) for direction in directions)
    return x, y


def scanned(
    lists: tuple[list[Place], list[Place]],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    unit: str | None,
    cautions: list[str],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return positions along the axes of the detector; None if the file states no vectors.

    Parameters
    ----------
    lists
        Datasets of the two motors.
    x, y : (n,)
        What they say, in metres, one value for each frame.
    unit
        Unit that wins over that of the file.
    cautions
        Receives what is unusual.
    """
    if len(lists[0]) != 1 or len(lists[1]) != 1:
        return None
    (place_x,), (place_y,) = lists
    file = place_x.file
    if not isinstance(file, H5File) or place_y.file is not file:
        return None
    third = _third(place_x, unit) if place_x.name == place_y.name else []
    if BASIS in file or third:
        translation = np.stack([x, y, *third], axis=1)
        return read_axes(file, cautions).along(translation, cautions)
    if any(file.numbers(place.name, "vector") is None for place in (place_x, place_y)):
        return None
    axes = sample_axes(file)
    names = [_original(file, place.name, axes) for place in (place_x, place_y)]
    for name in names:
        if name not in {axis.place.name for axis in axes}:
            axes = _joined(chain(file, name), axes)
    return along_detector(axes, dict(zip(names, (x, y), strict=True)), detector_axes(file))


def _third(place: Place, unit: str | None) -> list[NDArray[np.float64]]:
    """Return z (n,) in metres of a ``translation`` of CXI that has it: some stages scan in z."""
    if not place.name.endswith("/translation") or place.shape[1:] != (3,):
        return []
    z = evolve(place, pick=(slice(None), 2))
    values = in_metres(z, unit)
    if not np.isfinite(values).all():
        z.fail("finite", "NaN or infinity in z", _ADVICE)
    return [values]


def _original(file: H5File, name: str, axes: Sequence[NamedAxis]) -> str:
    """Return the path under which others depend on an axis: NXdata has links to axes."""
    known = [axis.place.name for axis in axes]
    target = (file.text(name, "target") or "").strip("/")
    return next((path for path in (*known, target) if path and file.same(path, name)), name)


def _joined(first: list[NamedAxis], then: list[NamedAxis]) -> list[NamedAxis]:
    known = {axis.place.name for axis in then}
    return [*(axis for axis in first if axis.place.name not in known), *then]
