"""Find out the layout of files, and where in them each quantity is."""

from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase

from attrs import define, evolve, field
from ptycho_config.errors import InvalidValueError

from ptycho_data._contract import Described
from ptycho_data._hdf5 import H5File
from ptycho_data._violations import ScanFormatError
from ptycho_data.formats import FrameFormat
from ptycho_data.raw._image_files import FrameFiles
from ptycho_data.raw._layouts import LAYOUTS, At, Layout
from ptycho_data.raw._places import Place, RawFiles
from ptycho_data.units import Particle

__all__ = ["Recognised", "layout_named", "recognise"]

#: Paths that a pattern with ``*`` may stand for.
_MOST_PATHS = 512
#: Smaller images are no frames of a detector.
_SMALLEST = 4


def layout_named(name: str) -> Layout:
    """Return the layout of this name.

    Raises
    ------
    InvalidValueError
        There is none.
    """
    for layout in LAYOUTS:
        if layout.name == name:
            return layout
    rule = f"one of {', '.join(layout.name for layout in LAYOUTS)}"
    raise InvalidValueError("layout", rule, repr(name))


def expand(file: H5File | FrameFiles, pattern: str) -> Iterator[str]:
    """Yield the paths in a file that a pattern stands for, in the order of the file."""
    if isinstance(file, FrameFiles):
        yield from (name for name in file.names if name == pattern)
        return
    for alternative in pattern.split("|"):
        yield from _below(file, "", alternative.split("/"))


def _below(file: H5File, start: str, parts: list[str]) -> Iterator[str]:
    first, *rest = parts
    try:
        members = file.members(start)
    except ScanFormatError:  # a link that leads nowhere: told when it is needed
        return
    if "*" not in first:
        found = [first] if first in members else []
    else:
        found = [name for name in members if fnmatchcase(name, first)]
    for name in found[:_MOST_PATHS]:
        path = f"{start}/{name}" if start else name
        if rest:
            yield from _below(file, path, rest)
        else:
            yield path


@define(kw_only=True, eq=False)
class Recognised:
    """A layout, and the files in which its names are looked for.

    Attributes
    ----------
    layout
        The layout; None where none is recognised.
    files
        The files of the scan.
    """

    files: RawFiles
    layout: Layout | None = None
    _found: dict[str, list[Place]] = field(factory=dict, init=False)

    @property
    def title(self) -> str:
        """Name of the layout in words."""
        if self.layout is None:
            return "unknown layout"
        return self.layout.title or next((one.title for one in self._formats), "no files of frames")

    @property
    def particle(self) -> Particle | None:
        """What is diffracted, if layout or format tell."""
        known = [self.layout and self.layout.particle, *(one.particle for one in self._formats)]
        return next((particle for particle in known if particle), None)

    @property
    def _formats(self) -> list[FrameFormat]:
        return [file.format for file in self.files.files if isinstance(file, FrameFiles)]

    @property
    def joined(self) -> bool:
        """Whether patterns are in several datasets."""
        return self.layout is not None and self.layout.joined

    def ways(self, name: str) -> tuple[At, ...]:
        """Return where the layout may have a quantity."""
        return () if self.layout is None else tuple(self.layout.where.get(name, ()))

    def at(self, way: At, *, broken: bool = False) -> list[tuple[Place, At]]:
        """Return the datasets that one way stands for, in all files; broken links if wanted."""
        found = []
        for file in _those_of(self.files, self.layout):
            found += [
                (Place(file=file, name=path, pick=way.pick, unit_if_none=way.unit), way)
                for path in expand(file, way.path)
                if broken or path in file
            ]
        return found

    def first(self, name: str) -> tuple[Place, At] | None:
        """Return the first place of a quantity with a dataset; None without one."""
        return next((found for way in self.ways(name) for found in self.at(way)), None)

    def patterns(self) -> list[Place]:
        """Return the places of the patterns: one, or several that follow each other."""
        for way in self.ways("patterns"):
            if self.joined:
                series = _series([place for place, _ in self.at(way, broken=True)])
                if any(map(_is_stack, series)):
                    return series  # one that is no stack is told when it is read
            places = [place for place, _ in self.at(way) if _is_stack(place)]
            if places:
                return places[:1]
        return []

    def only_stack(self) -> list[Place]:
        """Return the one stack of images in all files, whatever its name, or none."""
        stacks = []
        for file in self.files.files:
            for name in file.names:
                with suppress(ScanFormatError):  # links that lead nowhere
                    if _is_images(file.header(name)):
                        stacks.append(Place(file=file, name=name))
        return stacks if len(stacks) == 1 else []

    def positions(self, n: int) -> tuple[list[Place], list[Place]]:
        """Return the places of x and of y, those with a value for each of n patterns first."""
        pairs = []
        for way_x, way_y in zip(self.ways("x"), self.ways("y"), strict=True):
            xs = [place for place, _ in self.at(way_x)]
            ys = [place for place, _ in self.at(way_y)]
            if not xs or len(xs) != len(ys):
                continue
            if self.joined and len(xs) > 1:
                pairs.append((_series(xs), _series(ys)))
            pairs += [([x], [y]) for x, y in zip(xs, ys, strict=True)]
        lists = [
            (_once(xs, n), _once(ys, n))
            for xs, ys in pairs
            if all(_is_list(place) for place in (*xs, *ys))
        ]
        exact = [pair for pair in lists if _values(pair[0]) == n]
        return next(iter(exact or lists), ([], []))


def _series(places: list[Place]) -> list[Place]:
    """Return the datasets of a series in the order of their numbers.

    The same data may be there under two names of the top group.
    """
    if not places:
        return []
    top = places[0].name.partition("/")[0]
    alike = [place for place in places if place.name.partition("/")[0] == top]
    return sorted(alike, key=lambda place: _counted(place.name))


def _once(places: list[Place], n: int) -> list[Place]:
    """Return a column without what it repeats: ptypy has positions once for each mode."""
    (place, *others), times = places, _values(places) // max(n, 1)
    column = not others and len(place.shape) == 2 and place.pick[:1] == (slice(None),)
    if not column or times < 2 or place.shape[0] != n * times:
        return places
    values = place.read().reshape(n, times)
    if not (values == values[:, :1]).all():
        return places
    return [evolve(place, pick=(slice(None, None, times), *place.pick[1:]))]


def _values(places: list[Place]) -> int:
    """Return the number of positions that places state: the length of their longest axis."""
    total = 0
    for place in places:
        first = place.pick[0] if place.pick else None
        if isinstance(first, slice):
            total += len(range(*first.indices(place.shape[0])))
        else:
            total += max(place.shape) if place.shape else 1
    return total


def _is_list(place: Place) -> bool:
    try:
        return bool(place.shape) and max(place.shape) > 1
    except ScanFormatError:
        return False


def _is_stack(place: Place) -> bool:
    """Tell whether a dataset may hold frames; links that lead nowhere may, to tell why not."""
    try:
        header = place.file.header(place.name)
    except ScanFormatError:
        return True
    return _is_images(header)


def _is_images(header: Described) -> bool:
    *_, height, width = (0, 0, *header.shape)
    frames = len(header.shape) >= 3 and min(height, width) >= _SMALLEST
    return frames and header.dtype.kind in "biuf"


def _counted(name: str) -> tuple[object, ...]:
    """Sort key that puts ``chunks/10`` after ``chunks/9``."""
    digits = "".join(c if c.isdigit() else " " for c in name).split()
    return (*map(int, digits), name)


def recognise(files: RawFiles, name: str | None = None) -> Recognised:
    """Find the layout of files.

    Parameters
    ----------
    files
        The files of a scan.
    name
        Name of the layout, if it is known.

    Returns
    -------
    Recognised
        With the first layout of which a file has all marks, and patterns, or no layout.
    """
    if name is not None:
        return Recognised(files=files, layout=layout_named(name))
    for layout in LAYOUTS:
        found = Recognised(files=files, layout=layout)
        if _marked(files, layout) and found.patterns():
            return found
    for layout in LAYOUTS:  # files without patterns may still state the experiment
        found = Recognised(files=files, layout=layout)
        if layout.where and (_marked(files, layout) if layout.marks else found.first("distance")):
            return found
    return Recognised(files=files)


def _marked(files: RawFiles, layout: Layout) -> bool:
    return any(
        all(next(expand(file, mark), None) is not None for mark in layout.marks)
        for file in _those_of(files, layout)
    )


def _those_of(files: RawFiles, layout: Layout | None) -> list[H5File | FrameFiles]:
    """Return the files that may be of a layout: those with frames alone have one of their own."""
    images = layout is not None and layout.images
    kind = FrameFiles if images else H5File
    return [file for file in files.files if isinstance(file, kind)]
