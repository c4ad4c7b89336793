"""What settings depend on, told from a scan file without reading its patterns."""

from os import PathLike
from typing import Any

from numpy.typing import NDArray

from ptycho_data.contents import read_statements
from ptycho_data.contract import REQUIRED, probe_side
from ptycho_data.errors import Findings, ScanFormatError
from ptycho_data.npz import Archive


def probe_size(path: str | PathLike[str]) -> int:
    """Read the size N of the patterns from the header of ``probeGuess``.

    A few kilobytes are read, however large the file is.

    Parameters
    ----------
    path
        A scan; only its probe needs to be in order.

    Returns
    -------
    int
        Pixels along one side of the probe, and so of the patterns.

    Raises
    ------
    ScanFormatError
        If the file cannot be read, or has no probe of shape (N, N) or (M, N, N).
    """
    with Archive(path) as archive:
        header = archive.member("probeGuess").header
    side = probe_side(header.shape) if header.dtype.kind == "c" else None
    if side is None:
        findings = Findings(str(path))
        findings.add("probeGuess", header.describe(), REQUIRED["probeGuess"])
        raise ScanFormatError(findings.violations)
    return side


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
    arrays: dict[str, NDArray[Any]] = {}
    with Archive(path) as archive:
        for key, kinds in (("nphotons", "iuf"), ("_metadata", "US")):
            if key not in archive.names:
                continue
            member = archive.member(key)
            if member.dtype.kind in kinds and member.shape in ((), (1,)):
                arrays[key] = archive.read(member)
            else:
                findings.add(key, member.header.describe(), "a single value")
    photons = read_statements(arrays, findings).nphotons
    if findings.violations:
        raise ScanFormatError(findings.violations)
    return photons
