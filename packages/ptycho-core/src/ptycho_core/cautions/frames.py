"""Checks of single patterns: those without light, with too much of it, or recorded twice."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from ptycho_data import read_patterns
from scipy.spatial import cKDTree

from ptycho_core.analysis.scan_statistics import probe_diameter
from ptycho_core.cautions._caution import Caution
from ptycho_core.cautions._facts import ScanFacts

__all__ = ["bright_frames", "dim_frames", "frozen_frames", "unsteady_light"]

#: Part of the usual light below which a frame is as good as empty.
DIM = 1e-2
#: Times the usual light, and times that of nine in ten frames, that no sample explains.
BRIGHT, BRIGHTER_THAN_MANY = 8.0, 4.0
#: Frames of fewer photons are not judged by their sums: noise explains much.
FEWEST_PHOTONS = 30.0
#: Frames that are compared with the one before, at most, and named in a message.
COMPARED, NAMED = 32, 5
#: Two frames with more photons than this, in so many pixels, are never equal by chance.
NEVER_EQUAL, NEVER_EQUAL_PIXELS = 100.0, 16
#: Scatter of the beam from frame to frame that is told, relative to its mean.
UNSTEADY = 0.1
#: Neighbours must share this much of the probe, measured as below, to see the same sample.
SHARED = 0.5
#: Where more of the light falls on the edge of the detector, or on bad pixels, sums say little.
LOST_LIGHT = 0.05
#: Positions whose neighbours are looked up, at most, and fewest of them.
SAMPLED_POSITIONS, FEWEST_POSITIONS = 2000, 16


def _ordinary(facts: ScanFacts) -> NDArray[np.bool_]:
    """Frames (n,) with neither far too little nor far too much light."""
    return ~(_dim(facts) | _bright(facts))


def _dim(facts: ScanFacts) -> NDArray[np.bool_]:
    """Frames (n,) with hardly any light; without any, where noise is strong."""
    totals, usual = facts.scan.intensity_totals, facts.usual_light
    return np.asarray(totals < DIM * usual if _judged(facts) else totals == 0)


def _bright(facts: ScanFacts) -> NDArray[np.bool_]:
    totals, usual = facts.scan.intensity_totals, facts.usual_light
    many = BRIGHTER_THAN_MANY * float(np.quantile(totals, 0.9, method="lower"))
    return np.asarray(totals > max(BRIGHT * usual, many) if _judged(facts) else totals < 0)


def _judged(facts: ScanFacts) -> bool:
    few = facts.scan.domain == "counts" and facts.usual_light < FEWEST_PHOTONS
    return facts.usual_light > 0 and not few


def dim_frames(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt frames with hardly any light, as with the beam off."""
    dim = _dim(facts)
    if not dim.any():
        return
    light = float(facts.scan.intensity_totals[dim].max())
    most = light / facts.usual_light if light else 0.0  # the usual may be none
    amount = f"at most {most:.1g} of the usual photons" if most else "no photons"
    yield Caution(
        code="dim-frames",
        text=f"{_named(dim)} of {len(dim)} patterns have {amount}; "
        "if the beam was off, leave them out",
        measured={"patterns": int(dim.sum()), "first": _first(dim), "largest_part": most},
    )


def bright_frames(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt frames with far more light than all others."""
    bright = _bright(facts)
    if not bright.any():
        return
    totals = facts.scan.intensity_totals
    times = float(totals[bright].max() / facts.usual_light)
    share = float(totals[bright].sum() / totals.sum())
    yield Caution(
        code="bright-frames",
        text=f"{_named(bright)} of {len(bright)} patterns have up to {times:.3g} times the usual "
        f"photons, {share:.0%} of all: they set the scale of the others; leave them out",
        measured={"patterns": int(bright.sum()), "first": _first(bright), "times": times},
    )


def frozen_frames(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt frames that equal the one before bit by bit, which photon noise does not allow."""
    scan, totals = facts.scan, facts.scan.intensity_totals
    least = NEVER_EQUAL if scan.domain == "counts" else 0.0
    equal = 1 + np.flatnonzero((np.diff(totals) == 0) & (totals[1:] > least))
    if not len(equal):
        return
    looked = equal[np.unique(np.linspace(0, len(equal) - 1, COMPARED).astype(np.int64))]
    frozen = np.zeros(scan.n, bool)
    for index in looked:
        pair = read_patterns(scan.diffraction, np.array([index - 1, index]))[:, facts.good]
        many = np.count_nonzero(pair[0]) >= NEVER_EQUAL_PIXELS
        frozen[index] = many and np.array_equal(pair[0], pair[1])
    if not frozen.any():
        return
    number = round(len(equal) * int(frozen.sum()) / len(looked))
    yield Caution(
        code="frozen-frames",
        text=f"about {number} patterns equal the one before in every pixel (first {_first(frozen)})"
        ": photon noise never repeats; the detector delivered old frames, or these are simulated "
        "without noise",
        measured={"patterns": number, "first": _first(frozen)},
    )


def unsteady_light(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt sums of patterns that differ between neighbours more than the sample allows.

    The sum of a pattern is ``B sum |P|^2 |O|^2`` with the beam's intensity B. At a neighbouring
    position it has changed by B and by the new part of the sample. Of a sample whose transmission
    is independent from pixel to pixel, sums at a distance h correlate by ``rho(h)``, the
    autocorrelation of ``|P|^2``; those of a real sample correlate more. With the variance V of all
    sums and half the mean square difference G of neighbours, that of the beam is at least
    ``(G - (1 - rho) V) / rho``, from which photon noise is subtracted.
    """
    scan = facts.scan
    used = np.flatnonzero(_ordinary(facts))
    if len(used) < FEWEST_POSITIONS or not _judged(facts) or not _sums_are_transmissions(facts):
        return
    places, totals = scan.positions[used], scan.intensity_totals[used]
    chosen = np.unique(np.linspace(0, len(used) - 1, SAMPLED_POSITIONS).astype(np.int64))
    nearest = np.asarray(cKDTree(places).query(places[chosen], k=2)[1])
    other = np.where(nearest[:, 0] == chosen, nearest[:, 1], nearest[:, 0])
    shared = float(_shared_light(scan.probe, places[other] - places[chosen]).mean())
    if shared < SHARED:
        return
    mean, total = float(totals.mean()), float(totals.var())
    local = float(np.mean((totals[chosen] - totals[other]) ** 2)) / 2
    noise = mean if scan.domain == "counts" else 0.0
    beam = (local - (1 - shared) * total) / shared - noise
    scatter = float(np.sqrt(max(0.0, beam))) / mean
    if scatter < UNSTEADY:
        return
    yield Caution(
        code="unsteady-light",
        text=f"patterns of neighbouring positions differ in photons by {scatter:.0%}, which "
        "neither photon noise nor the sample explains: the beam or the exposure changed from frame "
        "to frame (divide by a monitor, if there is one), or the positions are not in the order of "
        "the patterns",
        measured={"scatter": scatter, "neighbours": float(np.sqrt(local)) / mean},
    )


def _sums_are_transmissions(facts: ScanFacts) -> bool:
    """Whether the detector catches all light that passes the sample, of a probe that is known."""
    beam, N = facts.empty_beam, facts.scan.N
    if beam is None or probe_diameter(facts.scan.probe) > 0.9 * N:
        return False
    edge = np.ones((N, N), bool)
    edge[N // 16 : N - N // 16, N // 16 : N - N // 16] = False
    light = np.where(facts.clean, facts.mean_pattern, 0)
    return bool(
        light[edge].sum() < LOST_LIGHT * light.sum()
        and beam[~facts.good].sum() < LOST_LIGHT * beam.sum()
    )


def _shared_light(
    probe: NDArray[np.complexfloating], shifts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Autocorrelation of the probe's intensity at shifts (k, 2) as (x, y); one at none."""
    from scipy.ndimage import map_coordinates  # takes long to import

    intensity = np.sum(np.abs(probe) ** 2, axis=0, dtype=np.float64)
    spectrum = np.abs(np.fft.fft2(intensity)) ** 2
    correlation = np.asarray(np.fft.fftshift(np.fft.ifft2(spectrum).real))
    middle = probe.shape[-1] // 2
    at = [middle + shifts[:, 1], middle + shifts[:, 0]]
    return np.asarray(map_coordinates(correlation / correlation.max(), at, order=1))


def _first(frames: NDArray[np.bool_]) -> list[int]:
    return [int(i) for i in np.flatnonzero(frames)[:NAMED]]


def _named(frames: NDArray[np.bool_]) -> str:
    """Return "2 (5, 17)" for a mask of frames."""
    number = int(frames.sum())
    names = ", ".join(map(str, _first(frames))) + ", ..." * (number > NAMED)
    return f"{number} ({names})"
