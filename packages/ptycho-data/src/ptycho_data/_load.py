"""Read a scan from a file of any known format, check all of it, and write it."""

import logging
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve
from numpy.typing import ArrayLike
from ptycho_config.errors import InvalidValueError

from ptycho_data._build import build
from ptycho_data._contract import resolve_aliases
from ptycho_data._domain import DOMAINS, Domain
from ptycho_data._experiment import Experiment
from ptycho_data._files import write_npz
from ptycho_data._patterns import NEGATIVES, Negative
from ptycho_data._scan import Scan
from ptycho_data._violations import (
    Findings,
    MissingScanError,
    ScanFormatError,
    ScanFormatWarning,
    Violation,
)
from ptycho_data.formats import opened_scan
from ptycho_data.formats._base import Raw
from ptycho_data.formats._npz import contract_members
from ptycho_data.units import Particle

_log = logging.getLogger(__name__)


def load_scan(
    path: str | PathLike[str],
    domain: Domain | None = None,
    *,
    companion: str | PathLike[str] | None = None,
    pixel_size_m: float | None = None,
    photon_energy_ev: float | None = None,
    detector_distance_m: float | None = None,
    detector_pixel_size_m: float | None = None,
    particle: Particle | None = None,
    probe_file: str | PathLike[str] | None = None,
    negative: Negative = "refuse",
    follow_links: bool = False,
) -> Scan:
    """Read a scan of any known format and check all of it.

    The format is recognised by the content: the NPZ contract, NPZ as of LCLS, ptychodus (patterns
    and product, HDF5 or NPZ), CXI 1.6, fold_slice, and formats of other packages. Uncompressed
    stacks are memory-mapped, compressed HDF5 is read on demand; both are checked in one pass of
    flat memory.

    Parameters
    ----------
    path
        The file; of a scan in two files either one, or the folder that holds both.
    domain : {"counts", "amplitude"}, optional
        What the patterns are; wins over what the file states. Where neither states it, whole
        numbers are counts; floats of at most 1 are counts that were divided by their largest value
        if they are whole multiples of one step, otherwise amplitudes; larger ones are an error.
    companion
        Of a scan in two files the other one, where it does not lie beside the first.
    pixel_size_m, photon_energy_ev, detector_distance_m, detector_pixel_size_m
        Object pixel, energy, distance of the detector and its pixel, in metres and eV; they win
        over what the file states, and are used to turn metres into pixels. If energy, distance and
        detector pixel are known and one of them is given, the object pixel is the one that follows.
    particle : {"photon", "electron"}, optional
        What is diffracted, if it is not photons. The energy of electrons is the kinetic one.
    probe_file
        File whose probe (see `load_probe`) takes the place of the scan's, which need not have one.
    negative : {"refuse", "clip"}
        Whether values below zero, the noise of dark-subtracted frames, are an error or become
        zero. Pixels with one value below zero in every pattern become bad pixels then.
    follow_links
        Follow external links and virtual datasets out of an HDF5 file, to files in its own folder.
        Only for files that you trust as much as that one.

    Returns
    -------
    Scan
        Diffraction in its stored dtype, everything else in the dtypes of the contract, positions
        in pixels.

    Raises
    ------
    ScanFormatError
        If the file is no scan that can be read, or breaks the contract; the message lists every
        violation. Where there is no such file, it is a FileNotFoundError, too.
    InvalidValueError
        If an argument is no usable value, or the given sizes contradict each other.

    Warns
    -----
    ScanFormatWarning
        If something needs attention: n == N, so that the light decided the order of the axes; the
        number type alone decided the domain, pixels hold the fill value of a detector, there is no
        probe, sizes contradict each other, something of the file was replaced by what was given.
    """
    _check_argument(domain)
    if negative not in NEGATIVES:
        raise InvalidValueError("negative", "refuse or clip", repr(negative))
    given = Experiment(
        pixel_size_m=pixel_size_m,
        photon_energy_ev=photon_energy_ev,
        detector_distance_m=detector_distance_m,
        detector_pixel_size_m=detector_pixel_size_m,
        particle=particle,
    )
    findings = Findings(str(path))
    scan = _load_file(
        Path(path),
        domain,
        findings,
        companion,
        given,
        probe_file,
        negative,
        follow_links=follow_links,
    )
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

    Examples
    --------
    >>> import numpy as np
    >>> light = np.zeros((3, 64, 64), np.uint16)
    >>> light[:, 30:34, 30:34] = 9
    >>> arrays = {"diffraction": light, "probeGuess": light[0] + 0j}
    >>> arrays |= {"xcoords": [0.0, 2.0, 4.0], "ycoords": [0.0, 1.0, 0.0]}
    >>> scan = scan_from_arrays(arrays, domain="counts")
    >>> scan.n, scan.N
    (3, 64)
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
    photon_energy_ev: float | None = None,
    detector_distance_m: float | None = None,
    detector_pixel_size_m: float | None = None,
    particle: Particle | None = None,
) -> list[Violation]:
    """List every violation of the contract.

    Parameters
    ----------
    source
        A scan of any format, or arrays under the keys of the contract.
    domain, companion, pixel_size_m, photon_energy_ev, detector_distance_m, \
    detector_pixel_size_m, particle
        As in `load_scan`.

    Returns
    -------
    list of Violation
        Empty for a good scan.

    Examples
    --------
    >>> import numpy as np
    >>> sorted({violation.key for violation in validate({"diffraction": np.ones((3, 64, 64))})})
    ['probeGuess', 'xcoords', 'ycoords']
    """
    _check_argument(domain)
    given = Experiment(
        pixel_size_m=pixel_size_m,
        photon_energy_ev=photon_energy_ev,
        detector_distance_m=detector_distance_m,
        detector_pixel_size_m=detector_pixel_size_m,
        particle=particle,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScanFormatWarning)
        if isinstance(source, Mapping):
            findings = Findings("arrays")
            _load_mapping(source, domain, findings)
        else:
            findings = Findings(str(source))
            try:
                _load_file(Path(source), domain, findings, companion, given)
            except MissingScanError as error:
                return list(error.violations)
    return findings.violations


def save_scan(
    path: str | PathLike[str],
    scan: Scan,
    overwrite: bool = False,
    *,
    run: Mapping[str, Any] | None = None,
) -> None:
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
    run
        What the scan was made of, kept as ``run`` in ``_metadata``; readers do not use it.

    Raises
    ------
    OutputExistsError
        If the file exists and `overwrite` is false.
    ScanFormatError
        If `load_scan` would refuse anything but the patterns; they are not looked at.
    """
    write_npz(
        path, contract_members(scan, None if run is None else {"run": run}), overwrite=overwrite
    )


def _check_argument(domain: str | None) -> None:
    if domain is not None and domain not in DOMAINS:
        raise InvalidValueError("domain", "counts or amplitude", repr(domain))


def _accept(scan: Scan | None, findings: Findings) -> Scan:
    if scan is None or findings.violations:
        raise ScanFormatError(findings.violations)
    return scan


def _load_file(
    path: Path,
    domain: Domain | None,
    findings: Findings,
    companion: str | PathLike[str] | None,
    given: Experiment,
    probe_file: str | PathLike[str] | None = None,
    negative: Negative = "refuse",
    *,
    follow_links: bool = False,
) -> Scan | None:
    raw: Raw | None = None
    scan: Scan | None = None
    try:
        with opened_scan(
            path, findings, companion=companion, given=given, follow_links=follow_links
        ) as (one, opened):
            raw = one.read(opened)
            raw.files = tuple(dict.fromkeys((*raw.files, *opened.linked)))
            scan = build(raw, domain, findings, probe_file, negative, given)
            for stamp in opened.stamps:
                stamp.check()
            _log.info("%s: read as %s", path, one.title)
    except MissingScanError:
        raise
    except ScanFormatError as error:
        findings.violations.extend(error.violations)
    if raw is not None:
        findings.violations[:] = [
            evolve(found, key=raw.places.get(found.key, found.key)) for found in findings.violations
        ]
    return scan


def _load_mapping(
    source: Mapping[str, ArrayLike], domain: Domain | None, findings: Findings
) -> Scan | None:
    arrays = {key: np.asarray(source[name]) for key, name in resolve_aliases(source).items()}
    return build(Raw.of_arrays(arrays, names=tuple(source)), domain, findings)
