"""Properties of a scan: photons per pattern, saturation, probe size and overlap.

Diffraction is read in blocks, so that a scan larger than memory is inspected in constant memory.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data import Domain, Scan, chunk_rows, read_patterns
from scipy.spatial import cKDTree

from ptycho_core.analysis.placement import Placement

__all__ = [
    "Overlap",
    "PhotonStatistics",
    "Saturation",
    "centre_of_mass",
    "lit_diameter",
    "overlap",
    "photon_statistics",
    "probe_diameter",
    "saturation",
    "saturation_of",
]

#: A scan is suspected of saturation if at least this many pixels share its largest value ...
PLATEAU_PIXELS = 10
#: ... and that value is too large for so many pixels to share it by chance.
LARGE_COUNT = 100
#: Positions whose neighbours are counted, at most.
SAMPLED_POSITIONS = 2000
#: Share of a probe's light that counts as most of it.
MOST_LIGHT = 0.9


@frozen(kw_only=True)
class PhotonStatistics:
    """Photons per pattern: minimum, median, mean and maximum over the scan."""

    minimum: float
    median: float
    mean: float
    maximum: float


def photon_statistics(scan: Scan, nphotons: float | None = None) -> PhotonStatistics | None:
    """Count the photons of each pattern.

    Parameters
    ----------
    scan : Scan
    nphotons : float, optional
        Mean photons per pattern, for an amplitude scan that does not state it.

    Returns
    -------
    PhotonStatistics or None
        None if the absolute scale is unknown.
    """
    totals = scan.intensity_totals
    if scan.domain == "amplitude":
        if scan.nphotons is None and nphotons is None:
            return None
        totals = totals * (scan.mean_photons(nphotons) / float(totals.mean()))
    return PhotonStatistics(
        minimum=float(totals.min()),
        median=float(np.median(totals)),
        mean=float(totals.mean()),
        maximum=float(totals.max()),
    )


@frozen(kw_only=True)
class Saturation:
    """How many pixels have the largest value of a scan.

    Attributes
    ----------
    largest : float
        Largest value of all patterns.
    pixels : int
        Number of pixels with this value.
    patterns : int
        Number of patterns with such a pixel.
    suspected : bool
        Whether the value looks like the limit of the detector or of the dtype.
    """

    largest: float
    pixels: int
    patterns: int
    suspected: bool


def saturation(scan: Scan) -> Saturation:
    """Look for a plateau at the largest value of good pixels, as a saturated detector produces it.

    All patterns are read.
    """
    bad = scan.bad_pixels
    good = np.ones((scan.N, scan.N), bool) if bad is None else ~bad
    blocks = (read_patterns(scan.diffraction, block) for block in chunk_rows(scan.diffraction))
    return saturation_of(blocks, good, scan.domain)


def saturation_of(
    blocks: Iterable[NDArray[Any]], good: NDArray[np.bool_], domain: Domain
) -> Saturation:
    """Look for a plateau at the largest value of some patterns.

    Parameters
    ----------
    blocks : arrays (k, N, N)
        Patterns as they are stored, of one dtype.
    good : (N, N) bool array
        Pixels to look at.
    domain
        Whether the values are counts or amplitudes.
    """
    largest, smallest, pixels, patterns = -math.inf, math.inf, 0, 0
    dtype: np.dtype[Any] = np.dtype(np.float64)
    for block in blocks:
        values = block[:, good]
        dtype = values.dtype
        lit = values[values > 0]
        smallest = min(smallest, float(lit.min()) if lit.size else math.inf)
        block_largest = float(values.max(initial=0))
        if block_largest < largest:
            continue
        if block_largest > largest:
            largest, pixels, patterns = block_largest, 0, 0
        hits = values == values.max(initial=0)
        pixels += int(hits.sum())
        patterns += int(hits.any(axis=1).sum())
    integer = dtype.kind in "iu"
    # Small counts repeat by chance: a scan with few photons has many pixels with 3 counts. What is
    # no integer may be scaled: its smallest value stands for one photon.
    photons = largest if integer else largest / smallest
    photons = photons**2 if domain == "amplitude" else photons
    at_limit = integer and largest >= np.iinfo(dtype).max
    plateau = pixels >= PLATEAU_PIXELS and photons >= LARGE_COUNT
    return Saturation(
        largest=largest, pixels=pixels, patterns=patterns, suspected=bool(at_limit or plateau)
    )


def centre_of_mass(
    pattern: NDArray[np.floating], good: NDArray[np.bool_]
) -> tuple[float, float] | None:
    """Centre of mass ``(x, y)`` of good pixels, relative to pixel ``[N//2, N//2]``.

    Parameters
    ----------
    pattern : (N, N) array
    good : (N, N) bool array

    Returns
    -------
    (float, float) or None
        In pixels; None without light.
    """
    light = np.where(good, pattern, 0.0).astype(np.float64)
    total = float(light.sum())
    if not total > 0:
        return None
    y, x = (float(light.sum(axis=1 - axis) @ np.arange(len(light))) for axis in (0, 1))
    middle = len(light) // 2
    return x / total - middle, y / total - middle


def probe_diameter(probe: NDArray[np.complexfloating]) -> float:
    """Diameter, in pixels, of the uniform disk with the same effective area as the probe.

    Parameters
    ----------
    probe : (M, N, N) complex array
        Its intensity ``I`` has the effective area ``(sum I)^2 / sum I^2``, which is exact for a
        uniform disk and insensitive to faint tails.
    """
    intensity = np.sum(np.abs(probe.astype(np.complex128)) ** 2, axis=0)
    area = float(intensity.sum()) ** 2 / float((intensity**2).sum())
    return 2 * math.sqrt(area / math.pi)


def lit_diameter(probe: NDArray[np.complexfloating]) -> float:
    """Diameter, in pixels, of the circle that holds most of the light of a probe.

    Its centre is that of the light. It is never smaller than `probe_diameter`, which counts lit
    pixels alone: of a ring, their area is small though it reaches far.

    Parameters
    ----------
    probe : (M, N, N) complex array
    """
    intensity = np.sum(np.abs(probe.astype(np.complex128)) ** 2, axis=0)
    y, x = np.indices(intensity.shape)
    total = intensity.sum()
    middle = [float((axis * intensity).sum() / total) for axis in (x, y)]
    radius = np.hypot(x - middle[0], y - middle[1]).ravel()
    outward = np.argsort(radius, kind="stable")
    inside = np.cumsum(intensity.ravel()[outward])
    edge = radius[outward[np.searchsorted(inside, MOST_LIGHT * total)]]
    return max(2 * float(edge), probe_diameter(probe))


@frozen(kw_only=True)
class Overlap:
    """Overlap of neighbouring places; repeated exposures at one place count once.

    Attributes
    ----------
    step : float
        Smallest distance whose links join nearly all places, pixels: see
        `ptycho_core.analysis.placement.Placement`. Between rows that are far apart, the distance of
        rows.
    diameter : float
        Diameter of the probe, pixels; see `probe_diameter`.
    fraction : float
        ``1 - step / diameter``, at least 0.
    neighbours : float
        Median number of other places within one probe diameter.
    places : int
        Number of distinct places.
    lit : float
        Diameter of the circle that holds most of the light, pixels; see `lit_diameter`.
    parts : int
        Number of parts of the scan that share no light, outliers left out.
    gap : float
        Longest distance that must be bridged to join all places, outliers left out, pixels.
    """

    step: float
    diameter: float
    fraction: float
    neighbours: float
    places: int
    lit: float
    parts: int
    gap: float


def overlap(scan: Scan, placement: Placement | None = None) -> Overlap | None:
    """Measure the overlap of neighbouring places of a scan.

    Parameters
    ----------
    scan : Scan
        Of several (`scan_index`), the one that overlaps least is measured.
    placement : Placement, optional
        Its places, if they are known.

    Returns
    -------
    Overlap or None
        None for patterns at a single place, and if the probe was made from the mean pattern: its
        size says nothing then.
    """
    if scan.probe_made:
        return None
    if placement is None and len(scan.scan_numbers) > 1:
        found = [measured for part in scan.scans() if (measured := overlap(part)) is not None]
        return min(found, key=lambda measured: measured.fraction, default=None)
    where = Placement(scan.positions) if placement is None else placement
    if len(where.points) < 2:
        return None
    diameter, lit = probe_diameter(scan.probe), lit_diameter(scan.probe)
    sampled = where.points[:: max(1, len(where.points) // SAMPLED_POSITIONS)]
    counts = cKDTree(where.points).query_ball_point(sampled, r=diameter, return_length=True)
    return Overlap(
        step=where.step,
        diameter=diameter,
        fraction=max(0.0, 1 - where.step / diameter),
        neighbours=float(np.median(counts)) - 1,
        places=len(where.points),
        lit=lit,
        parts=len(np.unique(where.parts(lit)[where.main])),
        gap=where.gap,
    )
