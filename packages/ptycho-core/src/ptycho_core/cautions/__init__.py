"""Doubts about a scan, each with its measured reason.

Input that no rule forbids can still make a picture that is wrong: positions in micrometres, a hot
pixel, patterns of two samples in one file. Each function of `CHECKS` looks for one such mistake
and returns a `Caution` with what it measured and what to do. `train`, `reconstruct`, `solve_scan`
and `ptycho inspect` run all of them; together they cost less than 2 % of a run.

A new check is a function of `ScanFacts` in the module of its subject, and a line in `CHECKS`.
"""

import logging
from collections.abc import Callable, Collection, Iterable

import numpy as np
from ptycho_data import Scan
from ptycho_physics.memory import LONGEST

from ptycho_core.cautions._caution import Caution, UnusableScanError
from ptycho_core.cautions._facts import ScanFacts
from ptycho_core.cautions.frames import (
    bright_frames,
    dim_frames,
    frozen_frames,
    unsteady_light,
)
from ptycho_core.cautions.light import (
    background,
    corner_centred,
    few_photons,
    near_field,
    off_centre,
)
from ptycho_core.cautions.pixels import dead, hot, inverted_mask, saturated, stuck
from ptycho_core.cautions.positions import (
    coarse_numbers,
    disconnected,
    guessed_probe,
    little_overlap,
    object_too_large,
    on_a_line,
    one_place,
    other_unit,
    outliers,
    repeated_exposures,
    several_scans,
    single_pattern,
)

__all__ = [
    "CHECKS",
    "Caution",
    "ScanFacts",
    "UnusableScanError",
    "check_scan",
    "report",
    "require_near",
    "scan_cautions",
]

log = logging.getLogger(__name__)

#: All checks, in the order of their messages.
CHECKS: tuple[Callable[[ScanFacts], Iterable[Caution]], ...] = (
    object_too_large,
    several_scans,
    single_pattern,
    one_place,
    other_unit,
    outliers,
    on_a_line,
    little_overlap,
    disconnected,
    repeated_exposures,
    coarse_numbers,
    guessed_probe,
    corner_centred,
    off_centre,
    near_field,
    inverted_mask,
    stuck,
    hot,
    dead,
    saturated,
    dim_frames,
    bright_frames,
    frozen_frames,
    unsteady_light,
    background,
    few_photons,
)


def scan_cautions(scan: Scan | ScanFacts) -> list[Caution]:
    """Return the doubts about a scan.

    Parameters
    ----------
    scan : Scan or ScanFacts
        At most `ptycho_core.cautions._facts.SAMPLED_PATTERNS` of its patterns are read.

    Returns
    -------
    list of Caution
        Those that make a result impossible first; empty for a scan without doubts.
    """
    facts = scan if isinstance(scan, ScanFacts) else ScanFacts(scan)
    found = list(object_too_large(facts))
    if found:
        return found  # others compute with the positions
    found = [caution for check in CHECKS for caution in check(facts)]
    return sorted(found, key=lambda caution: not caution.fatal)


def check_scan(scan: Scan, *, but: Collection[str] = ()) -> list[Caution]:
    """Log every doubt about a scan as a warning, and refuse a scan that cannot be reconstructed.

    Parameters
    ----------
    scan : Scan
    but
        Codes of doubts that the caller answers.

    Returns
    -------
    list of Caution
        What was logged, for the record of the run.

    Raises
    ------
    UnusableScanError
        No method can reconstruct the scan.
    """
    cautions = [caution for caution in scan_cautions(scan) if caution.code not in but]
    for caution in cautions:
        if caution.fatal:
            raise UnusableScanError(f"{scan.label}: {caution.text}")
    return report(cautions, f"{scan.label}: ")


def require_near(scan: Scan) -> None:
    """Refuse a scan with a position so far from the others that no object has room for it here.

    A scan that is only too large for this machine is accepted: another one may process it.

    Raises
    ------
    UnusableScanError
        A position is not finite, in another unit, or far away from all others.
    """
    for caution in object_too_large(ScanFacts(scan)):
        plausible = bool(np.abs(scan.positions).max() <= LONGEST)  # not if there is a NaN
        if not plausible or any(outliers(ScanFacts(scan))):
            raise UnusableScanError(f"{scan.label}: {caution.text}")
        log.warning("%s: %s", scan.label, caution.text)


def report(cautions: list[Caution], prefix: str = "") -> list[Caution]:
    """Log cautions as warnings, and return them."""
    for caution in cautions:
        log.warning("%s%s", prefix, caution.text)
    return cautions
