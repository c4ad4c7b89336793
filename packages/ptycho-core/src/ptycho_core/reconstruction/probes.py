"""The probe that a network reconstructs with, if it is to be found or refined before that."""

from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_data import Bundle, Scan

from ptycho_core.cautions import Caution
from ptycho_core.first_probe.sources import with_first_probe
from ptycho_core.probe_choice import choose_probe
from ptycho_core.record import Stopwatch
from ptycho_core.training.probes import start_of

__all__ = ["StartingProbe", "starting_probe"]


@frozen(kw_only=True, eq=False)
class StartingProbe:
    """A scan with the probe that the network is to use.

    Attributes
    ----------
    scan : Scan
        With the found or refined probe.
    probe : (M, N, N) complex64 or None
        Probe that takes precedence over those of bundle and scan; None if there is none.
    record : dict
        ``first_probe`` and ``probe_refinement``, each if it was asked for or needed.
    cautions : list of Caution
        What was logged about the probe.
    """

    scan: Scan
    probe: NDArray[np.complex64] | None
    record: dict[str, dict[str, Any]] = field(factory=dict)
    cautions: list[Caution] = field(factory=list)


def starting_probe(
    bundle: Bundle,
    scan: Scan,
    given: NDArray[np.complex64] | None,
    *,
    first: str | None,
    refining: bool,
    clock: Stopwatch,
) -> StartingProbe:
    """Find a first probe and refine it, as far as asked for, before the network reconstructs.

    The search has no random part: processes that reconstruct together find the same probe.

    Parameters
    ----------
    bundle
        The trained network, whose probe may be the one to refine.
    scan : Scan
    given : (M, N, N) complex64, optional
        Probe that the user gave; not together with `first`.
    first
        Where the first probe comes from: see `ptycho_core.first_probe.sources`.
    refining
        Whether the solver refines the probe, as before a training.
    clock
        Takes the time of both steps.

    Raises
    ------
    InvalidValueError
        If the text does not fit, there are too few patterns or all of them are zero.
    ScanFormatError
        If there is no probe in the file.
    DivergenceError
        If the solver diverges.
    """
    record: dict[str, dict[str, Any]] = {}
    cautions: list[Caution] = []
    if first is not None:
        with clock.stage("first probe"):
            scan, found, cautions = with_first_probe(scan, first)
        given, record["first_probe"] = found.probe, found.record
    if refining:
        if given is None:
            chosen = choose_probe(bundle, scan)
            given = None if chosen is scan.probe else chosen
        # without a given one, a guess of the scan is searched first
        start = start_of([scan], None, given, refining=True, clock=clock)
        (scan,), given = start.scans, start.probe
        cautions = cautions + start.cautions
        record |= {name: entries[0] for name, entries in start.record.items() if entries}
    return StartingProbe(scan=scan, probe=given, record=record, cautions=cautions)
