"""Parts of a scan, read without its patterns: names and shapes, probe, photons."""

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_config.plain_text import array_text

from ptycho_data._contract import (
    REQUIRED,
    STACK_KEYS,
    Described,
    as_modes,
    check_layout,
    describe_array,
    probe_side,
)
from ptycho_data._experiment import Experiment, resolve
from ptycho_data._npz import load_arrays
from ptycho_data._placement import position_doubts
from ptycho_data._statements import read_statements
from ptycho_data._violations import Findings, ScanFormatError, ScanFormatWarning, Violation
from ptycho_data.formats import format_of, opened_scan
from ptycho_data.formats._base import Raw

__all__ = [
    "StoredObject",
    "list_arrays",
    "load_experiment",
    "load_object",
    "load_parts",
    "probe_size",
    "stated_photons",
]


@contextlib.contextmanager
def _found(path: str | PathLike[str], findings: Findings) -> Iterator[Raw]:
    with opened_scan(path, findings, patterns_needed=False) as (one, opened):
        yield one.read(opened)


def list_arrays(path: str | PathLike[str]) -> list[tuple[str, Described | Violation]]:
    """List what a scan's files hold, of any format, from headers alone.

    Parameters
    ----------
    path
        A scan: a file, or a folder.

    Returns
    -------
    list
        Name, and shape and type; or what is wrong with it. Of a scan in several files, the
        arrays of the one with the patterns first.

    Raises
    ------
    ScanFormatError
        If the file cannot be opened.
    """
    out: list[tuple[str, Described | Violation]] = []
    findings = Findings(str(path))
    with opened_scan(path, findings) as (one, opened):
        files = [opened.file]
        with contextlib.suppress(ScanFormatError):
            raw = one.read(opened)
            files = [opened.also(file) for file in raw.files] or files
        for file in files:
            for name in file.names:
                label = name if len(files) == 1 else f"{file.path.name}: {name}"
                try:
                    out.append((label, file.header(name)))
                except ScanFormatError as error:
                    out.append((label, error.violations[0]))
    return out


def load_parts(path: str | PathLike[str], keys: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Read arrays of a scan of any format except its patterns; it need not be complete.

    Parameters
    ----------
    path
        A scan, or a part of one: a product of ptychodus, say.
    keys
        Keys of the contract.

    Returns
    -------
    dict
        Those that are there, in the units of the contract; types and values are not checked.

    Raises
    ------
    ScanFormatError
        If the file cannot be read, or one of these arrays is damaged.
    """
    findings = Findings(str(path))
    with _found(path, findings) as raw:
        wanted = set(keys) - set(STACK_KEYS)
        arrays, _ = raw.read(frozenset(wanted & set(raw.headers)))
    if findings.of(wanted):
        raise ScanFormatError(findings.of(wanted))
    return {key: array for key, array in arrays.items() if key in wanted}


@frozen(kw_only=True, eq=False)
class StoredObject:
    """The object of a scan or a product, and its place.

    Attributes
    ----------
    values : (H, W) array
        As stored: type and values are not checked.
    origin : tuple of float
        (x, y) of its first pixel, in pixels from the zero of the file's metres; (0, 0) in files
        without metres.
    origin_m
        (x, y) of its first pixel on the stage in metres, if known.
    pixel_size_m
        Object pixel in metres, if known.
    """

    values: NDArray[Any] = field(repr=array_text)
    origin: tuple[float, float] = (0.0, 0.0)
    origin_m: tuple[float, float] | None = None
    pixel_size_m: float | None = None


def load_object(path: str | PathLike[str]) -> StoredObject | None:
    """Read the object of a scan or a product of any format, without its patterns.

    Parameters
    ----------
    path
        A scan, or a part of one with an object: a product of ptychodus, say.

    Returns
    -------
    StoredObject or None
        None where there is none.

    Raises
    ------
    ScanFormatError
        If the file cannot be read, or its object or metadata are damaged.

    Warns
    -----
    ScanFormatWarning
        If most positions of the file lie outside of the object.
    """
    keys = ("objectGuess", "xcoords", "ycoords", "probeGuess", "origin", "pixel_size_m",
            "_metadata")  # fmt: skip
    found = _small_parts(path, keys)
    if "objectGuess" not in found:
        return None
    findings = Findings(str(path))
    layout = check_layout(found, findings, optional=REQUIRED)
    findings.violations.clear()  # this is no check of a scan: what is unusable is not used
    usable = {key: found[key] for key in layout.usable if key in found}
    stated = read_statements(usable, findings)
    if usable.keys() >= {"objectGuess", "xcoords", "ycoords"}:
        for doubt in position_doubts(usable):
            warnings.warn(f"{path}: {doubt}", ScanFormatWarning, stacklevel=2)
    probe = usable.get("probeGuess")
    side = None if probe is None else probe_side(probe.shape)
    known, _ = resolve(Experiment(), stated.experiment, side)
    origin = found.get("origin", np.zeros(2))
    if not np.isfinite(origin).all():  # of damaged numbers
        origin = np.zeros(2)
    return StoredObject(
        values=found["objectGuess"],
        origin=(float(origin[0]), float(origin[1])),
        origin_m=stated.origin_m,
        pixel_size_m=known.pixel_size_m,
    )


def load_experiment(path: str | PathLike[str]) -> dict[str, Any]:
    """Read what a scan or a product of any format states of experiment and stage.

    Parameters
    ----------
    path
        A scan, or a part of one: a product of ptychodus, say.

    Returns
    -------
    dict
        Fields of `Scan` that are known: ``pixel_size_m``, ``origin_m``, ``photon_energy_ev``,
        ``detector_distance_m``, ``detector_pixel_size_m`` and ``particle``.

    Raises
    ------
    ScanFormatError
        If the file cannot be read, or states something impossible.
    """
    findings = Findings(str(path))
    found = _small_parts(path, ("pixel_size_m", "_metadata"))
    layout = check_layout(found, findings, optional=REQUIRED)
    stated = read_statements({key: found[key] for key in layout.usable}, findings)
    if findings.violations:
        raise ScanFormatError(findings.violations)
    known = asdict(stated.experiment) | {"origin_m": stated.origin_m}
    return {name: value for name, value in known.items() if value is not None}


def _small_parts(path: str | PathLike[str], keys: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Read arrays of an NPZ file or of a scan of another format; no others are looked at."""
    contract = Path(path).is_file() and format_of(path).name == "npz"
    return load_arrays(path, (), optional=keys) if contract else load_parts(path, keys)


def probe_size(path: str | PathLike[str]) -> int:
    """Read the size N of the patterns from the header of the probe.

    A few kilobytes of an NPZ file are read, however large it is; of other formats the probe.

    Parameters
    ----------
    path
        A scan; only its probe needs to be in order, or its patterns where it has none.

    Returns
    -------
    int
        Pixels along one side of the probe, and so of the patterns.

    Raises
    ------
    ScanFormatError
        If the file cannot be read, or has no probe of shape (N, N) or (M, N, N).
    """
    findings = Findings(str(path))
    with _found(path, findings) as raw:
        header, stack = raw.headers.get("probeGuess"), raw.headers.get("diffraction")
        if header is None and stack is not None and "probeGuess" in raw.may_lack:
            return int(stack.shape[-1])
        side = None
        if header is not None:
            side = probe_side(header.shape) if header.dtype.kind == "c" else None
        if side is not None:
            return side
        if not findings.of(["probeGuess"]):
            got = "no such array" if header is None else describe_array(header)
            advice = f"the file holds: {', '.join(raw.names[:20]) or 'nothing'}"
            findings.add("probeGuess", REQUIRED["probeGuess"], got, advice)
    raise ScanFormatError(findings.of(["probeGuess"]))


def stated_photons(path: str | PathLike[str]) -> float | None:
    """Read the mean photons per pattern that a scan states.

    Parameters
    ----------
    path
        A scan.

    Returns
    -------
    float or None
        None where it states none; whether the rest of the file is in order is not looked at.

    Raises
    ------
    ScanFormatError
        If the file cannot be read, or states an impossible number.
    """
    findings = Findings(str(path))
    keys = ("nphotons", "_metadata")
    with _found(path, findings) as raw:
        usable: set[str] = set()
        for key, kinds in zip(keys, ("iuf", "US"), strict=True):
            header = raw.headers.get(key)
            if header is None:
                continue
            if header.dtype.kind in kinds and header.shape in ((), (1,)):
                usable.add(key)
            else:
                findings.add(key, "a single value", describe_array(header))
        arrays, _ = raw.read(frozenset(usable))
        photons = read_statements(arrays, findings).nphotons
    if findings.of(keys):
        raise ScanFormatError(findings.of(keys))
    return photons


KEYS = ("probe", "probeGuess")


def load_probe(path: str | PathLike[str], N: int | None = None) -> NDArray[np.complex64]:
    """Read the probe of a file.

    Parameters
    ----------
    path
        An NPZ file that holds ``probe``, as a reconstruction does, or ``probeGuess``, as a scan
        does; or a scan or product of any other format.
    N
        Pixels across the patterns that it is for.

    Returns
    -------
    ndarray, (M, N, N) complex64

    Raises
    ------
    ScanFormatError
        If there is no such file, it is of no known format, or its probe is not complex, square,
        finite and nonzero, or of another size than the patterns.
    """
    found = _small_parts(path, KEYS)
    values = next((found[key] for key in KEYS if key in found), None)
    if values is None:
        raise ScanFormatError.of(path, "probe", "an array of the file", "no such array", "the "
                                 f"probe is read from {' or '.join(KEYS)}")  # fmt: skip
    try:
        return as_modes(values, N)
    except InvalidValueError as error:
        raise ScanFormatError.of(path, "probe", error.rule, error.got) from None
