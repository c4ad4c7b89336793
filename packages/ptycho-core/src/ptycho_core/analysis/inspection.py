"""All measured properties of a scan, and the doubts about it."""

from attrs import field, frozen
from ptycho_data import Scan

from ptycho_core.analysis.centring import RegionIntensities
from ptycho_core.analysis.scan_statistics import (
    Overlap,
    PhotonStatistics,
    Saturation,
    centre_of_mass,
    photon_statistics,
    saturation,
)
from ptycho_core.cautions import Caution, ScanFacts, scan_cautions

__all__ = ["Inspection", "inspect_scan"]


@frozen(kw_only=True)
class Inspection:
    """All measured properties of a scan.

    Attributes
    ----------
    photons : PhotonStatistics or None
        None if the absolute scale is unknown.
    saturation : Saturation
    overlap : Overlap or None
        None for a single pattern.
    light_centre : (float, float) or None
        Centre of mass ``(x, y)`` of the mean pattern relative to pixel ``[N//2, N//2]``, in pixels;
        without bad, stuck, hot and dead pixels. None without light.
    regions : RegionIntensities or None
        Intensity by region of the patterns; None if it cannot be measured.
    cautions : list of Caution
        Doubts about the scan; see `ptycho_core.cautions`.
    """

    photons: PhotonStatistics | None
    saturation: Saturation
    overlap: Overlap | None
    light_centre: tuple[float, float] | None = None
    regions: RegionIntensities | None = None
    cautions: list[Caution] = field(factory=list)


def inspect_scan(scan: Scan, nphotons: float | None = None) -> Inspection:
    """Measure photons per pattern, saturation, overlap and centring of a scan, and doubt it.

    Parameters
    ----------
    scan : Scan
    nphotons : float, optional
        Mean photons per pattern, for an amplitude scan that does not state it.

    Examples
    --------
    >>> from ptycho_core import SimulationParts, inspect_scan, simulate_scan
    >>> scan = simulate_scan(SimulationParts().completed(object_size=96, n_patterns=40))
    >>> inspect_scan(scan).overlap.fraction > 0.5
    True
    """
    facts = ScanFacts(scan)
    return Inspection(
        photons=photon_statistics(scan, nphotons),
        saturation=saturation(scan),
        overlap=facts.overlap,
        light_centre=centre_of_mass(facts.mean_pattern, facts.clean),
        regions=facts.regions,
        cautions=scan_cautions(facts),
    )
