"""The probes that scans start from, before a network: given, found, and refined by the solver."""

from typing import Any

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from ptycho_data import Scan

from ptycho_core.analysis.twin import note_twin
from ptycho_core.cautions import Caution, report
from ptycho_core.first_probe.search import FirstProbe, searched_probes
from ptycho_core.record import Stopwatch
from ptycho_core.starting_probe import ProbeRefinement, refine_probe, start_cautions

__all__ = ["Start", "start_of"]


@frozen(kw_only=True, eq=False)
class Start:
    """The scans of a training, with the probes that it starts from.

    Attributes
    ----------
    scans : list of Scan
        Each with its found or refined probe.
    test_scan : Scan or None
    probe : (M, N, N) complex64 or None
        Probe that replaces those of all scans.
    found : list of FirstProbe
        Of the scans that had a guess.
    refined : list of ProbeRefinement
        Of each scan, if they were refined.
    cautions : list of Caution
        What was logged about the probes.
    """

    scans: list[Scan]
    test_scan: Scan | None
    probe: NDArray[np.complex64] | None
    found: list[FirstProbe] = field(factory=list)
    refined: list[ProbeRefinement] = field(factory=list)
    cautions: list[Caution] = field(factory=list)

    @property
    def record(self) -> dict[str, list[dict[str, Any]]]:
        """Entries for the record of the run."""
        return {
            "probe_refinement": [one.record for one in self.refined],
            "first_probe": [one.record for one in self.found],
        }


def start_of(
    scans: list[Scan],
    test_scan: Scan | None,
    probe: NDArray[np.complex64] | None,
    *,
    refining: bool,
    clock: Stopwatch,
) -> Start:
    """Find the probes of scans that have only a guess, and refine or judge all.

    Parameters
    ----------
    scans, test_scan
        As read.
    probe
        Probe modes (M, N, N) that the user gave.
    refining
        Whether the solver refines the probes; else it judges them.
    clock
        Takes the time of both steps.
    """
    found: list[FirstProbe] = []
    refined: list[ProbeRefinement] = []
    cautions: list[Caution] = []
    if probe is None:
        with clock.stage("first probe"):
            scans, found, cautions = searched_probes(scans)
            if test_scan is not None:
                test_scan = searched_probes([test_scan])[0][0]
        probe = found[0].probe if found and len(scans) == 1 else None
    if refining:
        with clock.stage("refine probe"):
            refined = [refine_probe(scan, probe) for scan in scans]
        note_twin(refined[0].probe)
        scans = [
            evolve(s, probe=r.probe, probe_made=False) for s, r in zip(scans, refined, strict=True)
        ]
        if len(scans) > 1 and test_scan is not None:
            better = refine_probe(test_scan, probe).probe
            test_scan = evolve(test_scan, probe=better, probe_made=False)
        # those of several scans differ, and each scan keeps its own
        probe = refined[0].probe if len(scans) == 1 else None
        doubts = [one.cautions for one in refined]
    else:
        with clock.stage("check"):
            doubts = [start_cautions(scan, probe) for scan in scans]
    for scan, doubted in zip(scans, doubts, strict=True):
        cautions += report(doubted, f"{scan.label}: ")
    return Start(
        scans=scans,
        test_scan=test_scan,
        probe=probe,
        found=found,
        refined=refined,
        cautions=cautions,
    )
