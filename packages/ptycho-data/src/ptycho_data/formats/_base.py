"""The parts of a file format: how it is recognised, read and written; files in pairs."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from ptycho_data._contract import Described
from ptycho_data._experiment import Experiment
from ptycho_data._hdf5 import H5File, is_hdf5
from ptycho_data._mapped import Stamp
from ptycho_data._measure import Checksum
from ptycho_data._npz import Archive
from ptycho_data._scan import Scan
from ptycho_data._stack import Stack
from ptycho_data._untrusted import require_file
from ptycho_data._violations import WHOLE_FILE, Findings, MissingScanError, ScanFormatError
from ptycho_data.units import Particle

__all__ = [
    "Container",
    "Format",
    "Loaded",
    "Opened",
    "Raw",
    "find_in_folder",
    "find_partner",
    "open_container",
]

Container = Archive | H5File
"""An opened file of either kind; both check before they read."""
Loaded = tuple[dict[str, Any], dict[str, Checksum]]
"""Arrays under the keys of the contract, and the checksums that mapped stacks must reach."""
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
#: What to do with the file of an instrument.
PREPARE = "ptycho prepare FILE -o scan.npz makes a scan of the file of an instrument"
_EXPECTED = "an NPZ or HDF5 file, complete and undamaged"


#: Links from file to file that are followed, where they are: master file, link, data.
_LINKS = 2


def open_container(path: Path, *, follow_links: bool = False) -> Container:
    """Open a file as what its first bytes say it is; its name does not matter.

    Links out of an HDF5 file are followed on demand, to files in the same folder.

    Raises
    ------
    ScanFormatError
        If there is no such file, it cannot be read, or is neither an NPZ nor an HDF5 file.
    """

    def fail(got: str, advice: str = "") -> ScanFormatError:
        return ScanFormatError.of(path, WHOLE_FILE, _EXPECTED, got, advice)

    try:
        require_file(path, _EXPECTED)
        with path.open("rb") as file:
            start = file.read(4)
        if start in _ZIP:
            return Archive(path)
        if is_hdf5(path):
            return H5File(path, follow=_LINKS if follow_links else 0)
    except MissingScanError:
        raise
    except OSError as error:
        raise fail(f"a file that cannot be read ({error.strerror})") from None
    if not start:
        raise fail("an empty file")
    raise fail("neither a zip archive nor HDF5", PREPARE)


@define(kw_only=True)
class Raw:
    """A scan as read from its files: under the keys of the contract, in its units, not yet checked.

    Attributes
    ----------
    headers
        Contract key to shape and type.
    read
        Gives the arrays of some of these keys.
    names
        All names in the file, for messages about a missing one.
    places
        Contract key to where it came from, for messages; absent where it is the key itself.
    files
        Every file that was read.
    may_lack
        Required keys that files of this format may lack.
    remarks
        What was converted or left out, one line each.
    cautions
        Warnings, one line each.
    axes
        `AXES` where the format fixes that patterns come first; None where shapes must tell.
    no_probe
        Why there is no probe, where there is none.
    """

    headers: Mapping[str, Described]
    read: Callable[[frozenset[str]], Loaded]
    names: tuple[str, ...]
    places: Mapping[str, str] = field(factory=dict)
    files: tuple[Path, ...] = ()
    may_lack: tuple[str, ...] = ()
    remarks: list[str] = field(factory=list)
    cautions: list[str] = field(factory=list)
    axes: str | None = None
    no_probe: str = "no probe in the file"

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any] | Stack], **more: Any) -> "Raw":
        """Wrap arrays that are there already."""

        def read(keys: frozenset[str]) -> Loaded:
            return {key: arrays[key] for key in keys}, {}

        return cls(headers=arrays, read=read, **{"names": tuple(arrays)} | more)


@define(kw_only=True)
class Opened:
    """The open file, and the arguments of `load_scan` that belong to it.

    Attributes
    ----------
    file
        The open container.
    findings
        Receives what is wrong.
    companion
        The other file of a scan in two files, if given.
    given
        Energy, distance, pixels and particle as given to `load_scan`; they win over the file.
    patterns_needed
        Whether a file without patterns has to be completed by the one that has them.
    follow_links
        Whether links out of an HDF5 file are followed, to files in the same folder.
    closing
        Closes further files at the end.
    """

    file: Container
    findings: Findings
    follow_links: bool = False
    companion: Path | None = None
    given: Experiment = field(factory=Experiment)
    patterns_needed: bool = True
    closing: contextlib.ExitStack = field(factory=contextlib.ExitStack)
    _more: list[Container] = field(factory=list, init=False)

    @property
    def pixel_size_m(self) -> float | None:
        """Object pixel in metres, if given; wins over the file."""
        return self.given.pixel_size_m

    @property
    def particle(self) -> Particle | None:
        """What is diffracted, if given; wins over the file."""
        return self.given.particle

    def also(self, path: Path) -> Container:
        """Open a further file, closed at the end with the first."""
        file = open_container(path, follow_links=self.follow_links)
        self.closing.callback(file.close)
        self._more.append(file)
        return file

    @property
    def linked(self) -> tuple[Path, ...]:
        """Files that links were followed to."""
        files = (self.file, *self._more)
        return tuple(path for file in files if isinstance(file, H5File) for path in file.linked)

    @property
    def stamps(self) -> tuple[Stamp, ...]:
        """Of all files that were opened, as they were then."""
        return tuple(stamp for file in (self.file, *self._more) for stamp in file.stamps)

    @contextlib.contextmanager
    def collecting(self, key: str) -> Iterator[None]:
        """Record what is wrong with one key, and go on with the others."""
        try:
            yield
        except ScanFormatError as error:
            self.note(key, error)

    def note(self, key: str, error: ScanFormatError) -> None:
        """Record what is wrong with one key."""
        for violation in error.violations:
            self.findings.add(key, violation.rule, violation.got, violation.advice)


@frozen(kw_only=True)
class Format:
    """One file format.

    Attributes
    ----------
    name
        What ``--to`` and messages call it.
    title
        In words.
    matches
        Whether an open file is of this format, or half of a pair that is.
    holds_patterns
        Whether a file that matches is the one with the patterns; a folder is read through it.
    read
        Finds a scan in it.
    write : optional
        ``write(path, scan, overwrite)`` writes a scan; returns what could not be carried over.
    units
        Of positions and energy, in words.
    suffix
        Usual ending of its files; empty for a folder.
    files
        Names of the files that `write` puts into a folder; empty where it writes one file.
    """

    name: str
    title: str
    matches: Callable[[Container], bool]
    holds_patterns: Callable[[Container], bool]
    read: Callable[[Opened], Raw]
    write: Callable[[Path, Scan, bool], list[str]] | None = None
    units: str = "positions in metres, photon energy in eV"
    suffix: str = ""
    files: tuple[str, ...] = ()


def has_all(file: Container, names: Iterable[str]) -> bool:
    """Tell whether a file has all of these datasets or arrays."""
    return all(name in file for name in names)


def first_of(file: Container, names: Iterable[str]) -> str | None:
    """Return the first of these names that is there."""
    return next((name for name in names if name in file), None)


def flat(values: NDArray[Any]) -> NDArray[Any]:
    """Drop axes of length one: MATLAB writes lists as (n, 1) or (1, n)."""
    return values.reshape(-1) if values.ndim == 2 and 1 in values.shape else np.asarray(values)


#: Files of a folder that are looked into.
_MOST = 200


def _names(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths[:5]) + (", ..." if len(paths) > 5 else "")


def find_in_folder(
    folder: Path, wanted: Callable[[Container], bool], usual: tuple[str, ...]
) -> list[Path]:
    """Look into the files of a folder.

    Parameters
    ----------
    folder
        Where to look; not into folders in it.
    wanted
        Whether a file is one of those looked for, by its content.
    usual
        Names that are enough if a file of this name is wanted; the first one wins.

    Returns
    -------
    list of Path
        One file if it has a usual name, otherwise all that are wanted.
    """

    def fits(path: Path) -> bool:
        try:
            with open_container(path) as file:
                return wanted(file)
        except ScanFormatError:
            return False

    for name in usual:
        if (folder / name).is_file() and fits(folder / name):
            return [folder / name]
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_file())[:_MOST]
    except OSError:
        return []
    return [path for path in inside if fits(path)]


def find_partner(
    opened: Opened, what: str, wanted: Callable[[Container], bool], usual: tuple[str, ...]
) -> Container:
    """Open the other file of a pair: the named companion, or one beside the first.

    Raises
    ------
    ScanFormatError
        There is none, or several and none of a usual name.
    """
    here = opened.file.path

    if opened.companion is not None:
        named = opened.also(opened.companion)
        if not wanted(named):
            rule, got = f"the {what} of {here.name}", f"a file without {what}"
            raise ScanFormatError.of(opened.companion, WHOLE_FILE, rule, got)
        return named
    candidates = [
        path for path in find_in_folder(here.parent, wanted, usual) if not path.samefile(here)
    ]
    if len(candidates) != 1:
        several = f"{len(candidates)} files with {what} beside it ({_names(candidates)})"
        got = several if candidates else f"no {what}, here or in a file beside it"
        advice = (
            f"pass the file with the {what} as companion: ptycho convert IN OUT --companion FILE"
        )
        rule = f"beside one file with {what}"
        raise ScanFormatError.of(here, WHOLE_FILE, rule, got, advice)
    return opened.also(candidates[0])
