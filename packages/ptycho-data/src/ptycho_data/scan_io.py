"""Scans from files of every known format, checked as a whole, and back to files."""

import logging
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np
from attrs import evolve
from numpy.typing import ArrayLike

from ptycho_data.contents import DOMAINS, Domain
from ptycho_data.contract import resolve_aliases
from ptycho_data.errors import Findings, ScanFormatError, ScanFormatWarning, Violation
from ptycho_data.formats import opened_scan
from ptycho_data.formats.base import Raw
from ptycho_data.formats.write_npz import write_scan_npz
from ptycho_data.scan import Scan
from ptycho_data.scan_build import build

_log = logging.getLogger(__name__)


def load_scan(
    path: str | PathLike[str],
    domain: Domain | None = None,
    *,
    companion: str | PathLike[str] | None = None,
    pixel_size_m: float | None = None,
    probe_file: str | PathLike[str] | None = None,
) -> Scan:
    """Read a scan of any known format and check all of it.

    The format is told by the content: the NPZ contract, NPZ as of LCLS, ptychodus (patterns and
    product, HDF5 or NPZ), CXI 1.6, fold_slice. Uncompressed stacks are memory-mapped, compressed
    HDF5 is read pattern by pattern when asked for; both are checked in one pass of flat memory.

    Parameters
    ----------
    path
        The file; of a scan in two files either one, or the folder that holds both.
    domain : {"counts", "amplitude"}, optional
        What the patterns are; wins over what the file states. Where neither states it, integers
        are counts, floats of at most 1 are amplitudes, and anything else is an error.
    companion
        Of a scan in two files the other one, where it does not lie beside the first.
    pixel_size_m
        Size of an object pixel; wins over what the file states.
    probe_file
        File whose probe (see `load_probe`) takes the place of the scan's, which need not have one.

    Returns
    -------
    Scan
        Diffraction in its stored dtype, everything else in the dtypes of the contract, positions
        in pixels.

    Raises
    ------
    ScanFormatError
        If the file is no scan that can be read, or breaks the contract; the message lists every
        violation.

    Warns
    -----
    ScanFormatWarning
        If something was decided that deserves a look: n == N leaves the axis order open, patterns
        hold no photons, there is no probe, sizes contradict each other.
    """
    _check_argument(domain)
    if pixel_size_m is not None and not 0 < pixel_size_m < float("inf"):
        raise ValueError(f"pixel_size_m: expected a positive number, found {pixel_size_m}")
    findings = Findings(str(path))
    scan = _load_file(Path(path), domain, findings, companion, pixel_size_m, probe_file)
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
    source: str | PathLike[str] | Mapping[str, ArrayLike],
    domain: Domain | None = None,
    *,
    companion: str | PathLike[str] | None = None,
    pixel_size_m: float | None = None,
) -> list[Violation]:
    """List every violation of the contract.

    Parameters
    ----------
    source
        A scan of any format, or arrays under the keys of the contract.
    domain, companion, pixel_size_m
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
            _load_file(Path(source), domain, findings, companion, pixel_size_m)
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
    write_scan_npz(path, scan, overwrite)


def _check_argument(domain: str | None) -> None:
    if domain is not None and domain not in DOMAINS:
        raise ValueError(f"domain: expected counts or amplitude, found {domain!r}")


def _accept(scan: Scan | None, findings: Findings) -> Scan:
    if scan is None or findings.violations:
        raise ScanFormatError(findings.violations)
    return scan


def _load_file(
    path: Path,
    domain: Domain | None,
    findings: Findings,
    companion: str | PathLike[str] | None,
    pixel_size_m: float | None,
    probe_file: str | PathLike[str] | None = None,
) -> Scan | None:
    raw: Raw | None = None
    scan: Scan | None = None
    try:
        with opened_scan(path, findings, companion=companion, pixel_size_m=pixel_size_m) as (
            one,
            opened,
        ):
            raw = one.read(opened)
            scan = build(raw, domain, findings, probe_file)
            _log.info("%s: read as %s", path, one.title)
    except ScanFormatError as error:
        findings.violations.extend(error.violations)
    if raw is not None:
        findings.violations[:] = [
            evolve(found, key=raw.places.get(found.key, found.key)) for found in findings.violations
        ]
    if scan is not None and pixel_size_m is not None:
        scan = evolve(scan, pixel_size_m=pixel_size_m)
    return scan


def _load_mapping(
    source: Mapping[str, ArrayLike], domain: Domain | None, findings: Findings
) -> Scan | None:
    arrays = {key: np.asarray(source[name]) for key, name in resolve_aliases(source).items()}
    return build(Raw.of_arrays(arrays, names=tuple(source)), domain, findings)
