"""Scans from and to files of the NPZ contract."""

import json
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptycho_data.atomic import write_npz
from ptycho_data.contents import (
    DOMAINS,
    Checksum,
    Domain,
    arrange,
    check_diffraction,
    check_patches,
    check_small,
    read_statements,
)
from ptycho_data.contract import STACK_KEYS, Described, Layout, check_layout, resolve_aliases
from ptycho_data.errors import Findings, ScanFormatError, ScanFormatWarning, Violation
from ptycho_data.npz import Archive, Member
from ptycho_data.scan import Scan
from ptycho_data.stacks import StackStatistics

_log = logging.getLogger(__name__)
# Axis order written into our own files, so that n == N is no question for them.
_AXES = "nyx"
# Patterns-last stacks up to this size are put in order in memory; larger ones stay on disk.
_REORDER_BYTES = 1 << 30

_Loaded = tuple[dict[str, NDArray[Any]], dict[str, Checksum]]


def load_scan(path: str | PathLike[str], domain: Domain | None = None) -> Scan:
    """Read a scan from an NPZ file and check all of it.

    Uncompressed stacks are memory-mapped; they are checked in one pass of flat memory.

    Parameters
    ----------
    path
        The file.
    domain : {"counts", "amplitude"}, optional
        What the patterns are; wins over what the file states. Where neither states it, integers
        are counts, floats of at most 1 are amplitudes, and anything else is an error.

    Returns
    -------
    Scan
        Diffraction in its stored dtype, everything else in the dtypes of the contract.

    Raises
    ------
    ScanFormatError
        If the file breaks the contract; the message lists every violation.

    Warns
    -----
    ScanFormatWarning
        If n == N leaves the axis order open, or some patterns hold no photons.
    """
    _check_argument(domain)
    findings = Findings(str(path))
    scan = _load_file(Path(path), domain, findings)
    return _accept(scan, findings)


def scan_from_arrays(
    arrays: Mapping[str, ArrayLike], *, domain: Domain | None = None, name: str = "arrays"
) -> Scan:
    """Make a scan from arrays under the keys of the contract, with every check of a file.

    Parameters
    ----------
    arrays
        Key to array; unknown keys are ignored.
    domain : {"counts", "amplitude"}, optional
        As in `load_scan`.
    name
        What messages call the source.

    Returns
    -------
    Scan
        Sharing memory with the arrays where no cast is needed.

    Raises
    ------
    ScanFormatError
        If the arrays break the contract; the message lists every violation.
    """
    _check_argument(domain)
    findings = Findings(name)
    return _accept(_load_mapping(arrays, domain, findings), findings)


def validate(
    source: str | PathLike[str] | Mapping[str, ArrayLike], domain: Domain | None = None
) -> list[Violation]:
    """List every violation of the contract.

    Parameters
    ----------
    source
        An NPZ file, or arrays under the keys of the contract.
    domain : {"counts", "amplitude"}, optional
        As in `load_scan`.

    Returns
    -------
    list of Violation
        Empty for a good scan.
    """
    _check_argument(domain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScanFormatWarning)
        if isinstance(source, Mapping):
            findings = Findings("arrays")
            _load_mapping(source, domain, findings)
        else:
            findings = Findings(str(source))
            _load_file(Path(source), domain, findings)
    return findings.violations


def save_scan(path: str | PathLike[str], scan: Scan, overwrite: bool = False) -> None:
    """Write a scan as an NPZ file of the contract.

    The same scan always gives the same bytes; the file appears complete or not at all; stacks
    are uncompressed, so that they can be memory-mapped, and copied piece by piece. Loading the
    file gives the same scan again, bit for bit.

    Parameters
    ----------
    path
        File to write.
    scan
        The scan; its domain, photons and pixel size are stated in the file.
    overwrite
        Replace an existing file.

    Raises
    ------
    OutputExistsError
        If the file exists and `overwrite` is false.
    """
    arrays = scan.arrays()
    arrays["domain"] = np.array(scan.domain)
    for key, value in (("nphotons", scan.nphotons), ("pixel_size_m", scan.pixel_size_m)):
        if value is not None:
            arrays[key] = np.array(value, dtype=np.float64)
    arrays["_metadata"] = np.array(json.dumps({"axes": _AXES, "domain": scan.domain}))
    write_npz(path, arrays, overwrite=overwrite)


def _check_argument(domain: str | None) -> None:
    if domain is not None and domain not in DOMAINS:
        raise ValueError(f"domain: expected counts or amplitude, found {domain!r}")


def _accept(scan: Scan | None, findings: Findings) -> Scan:
    if scan is None or findings.violations:
        raise ScanFormatError(findings.violations)
    return scan


def _load_file(path: Path, domain: Domain | None, findings: Findings) -> Scan | None:
    try:
        archive = Archive(path)
    except ScanFormatError as error:
        findings.violations.extend(error.violations)
        return None
    with archive:
        headers: dict[str, Member] = {}
        for key, name in resolve_aliases(archive.names).items():
            try:
                headers[key] = archive.member(name)
            except ScanFormatError as error:
                found = error.violations[0]
                findings.add(key, found.found, found.expected)

        def read(keys: frozenset[str]) -> _Loaded:
            return _read_members(archive, {k: headers[k] for k in sorted(keys)}, findings)

        return _build(headers, archive.names, read, domain, findings, path)


def _load_mapping(
    source: Mapping[str, ArrayLike], domain: Domain | None, findings: Findings
) -> Scan | None:
    arrays = {key: np.asarray(source[name]) for key, name in resolve_aliases(source).items()}

    def read(keys: frozenset[str]) -> _Loaded:
        return {key: arrays[key] for key in keys}, {}

    return _build(arrays, source, read, domain, findings, None)


def _read_members(archive: Archive, members: Mapping[str, Member], findings: Findings) -> _Loaded:
    arrays: dict[str, NDArray[Any]] = {}
    checksums: dict[str, Checksum] = {}
    for key, member in members.items():
        try:
            if key not in STACK_KEYS:
                arrays[key] = archive.read(member)
                continue
            arrays[key], start = archive.map(member)
            if start is not None:
                checksums[key] = Checksum(start=start, target=member.info.CRC)
        except ScanFormatError as error:
            found = error.violations[0]
            findings.add(key, found.found, found.expected)
    return arrays, checksums


def _build(
    headers: Mapping[str, Described],
    names: Iterable[str],
    read: Callable[[frozenset[str]], _Loaded],
    domain: Domain | None,
    findings: Findings,
    path: Path | None,
) -> Scan | None:
    """Check layout, then values, as far as each key allows; None if anything is wrong."""
    layout = check_layout(headers, findings, names)
    arrays, checksums = read(layout.usable)
    stated = read_statements(arrays, findings)
    arrays = arrange(arrays, layout)
    check_small(arrays, findings)
    if "Y" in arrays:
        check_patches(arrays["Y"], checksums.get("Y"), findings)
    if "diffraction" not in arrays:
        return None
    stack, mask = arrays["diffraction"], arrays.get("bad_pixels")
    settled, statistics = check_diffraction(
        stack, domain or stated.domain, mask, checksums.get("diffraction"), findings
    )
    if findings.violations or settled is None:
        return None
    _report(layout, stated.axes, statistics, findings.file)
    totals = statistics.square_totals if settled == "amplitude" else statistics.totals
    fields = _cast(arrays) | {"nphotons": stated.nphotons, "pixel_size_m": stated.pixel_size_m}
    return Scan(domain=settled, source=path, known_totals=totals, **fields)


def _cast(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Turn checked arrays into the fields of a scan, in the contract's dtypes."""
    optional: tuple[tuple[str, str, type], ...] = (
        ("object_guess", "objectGuess", np.complex64),
        ("patches", "Y", np.complex64),
        ("xcoords_start", "xcoords_start", np.float64),
        ("ycoords_start", "ycoords_start", np.float64),
        ("scan_index", "scan_index", np.int64),
        ("bad_pixels", "bad_pixels", np.bool_),
    )
    fields: dict[str, Any] = {
        name: arrays[key].astype(dtype, copy=False)
        for name, key, dtype in optional
        if key in arrays
    }
    stack = arrays["diffraction"]
    if stack.strides[0] != max(stack.strides) and stack.nbytes <= _REORDER_BYTES:
        stack = np.ascontiguousarray(stack)
    fields["diffraction"] = stack
    return fields | {
        "xcoords": arrays["xcoords"],
        "ycoords": arrays["ycoords"],
        "probe": arrays["probeGuess"],
    }


def _report(layout: Layout, axes: str | None, statistics: StackStatistics, file: str) -> None:
    """Say what was decided silently and what looks odd."""
    for key in sorted(layout.transposed):
        _log.info("%s: FORMAT-001: %s stored as (H, W, n), read as (n, H, W)", file, key)
    if layout.ambiguous and axes != _AXES:
        warnings.warn(
            f"{file}: FORMAT-001: {layout.n} patterns of {layout.N} pixels look the same in both "
            "axis orders; read as (n, N, N), check the pictures",
            ScanFormatWarning,
            stacklevel=5,
        )
    blank = np.flatnonzero(statistics.totals == 0)
    if len(blank):
        shown = ", ".join(str(index) for index in blank[:5]) + (", ..." if len(blank) > 5 else "")
        warnings.warn(
            f"{file}: {len(blank)} of {len(statistics.totals)} patterns hold no photons "
            f"({shown}); if the beam was off there, leave them out",
            ScanFormatWarning,
            stacklevel=5,
        )
