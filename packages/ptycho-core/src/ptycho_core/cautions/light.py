"""Checks of the light: how much there is, and where it falls."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from ptycho_data import read_patterns
from scipy.spatial import cKDTree

from ptycho_core.analysis.centring import corner_centring_advice
from ptycho_core.analysis.scan_statistics import photon_statistics
from ptycho_core.cautions._caution import Caution
from ptycho_core.cautions._facts import ScanFacts
from ptycho_core.cautions._light_shape import (
    Floor,
    Movement,
    Offset,
    bunching,
    edge_brightness,
    floor_of,
    movement,
    offset,
)
from ptycho_core.formatting import format_number

__all__ = ["background", "corner_centred", "few_photons", "near_field", "off_centre"]

#: Code of the caution of near-field patterns.
NEAR_FIELD = "near-field"
#: Mean photons per pattern below which the result is noisy.
FEW_PHOTONS = 1e4
#: Pixels off the middle that are told, and the misfit that they must leave at most, with the empty
#: beam as the reference and with the light's own symmetry.
OFF, OFF_MISFIT = 1.2, 0.6
OFF_OF_SYMMETRY, SYMMETRY_MISFIT = 2.0, 0.3
#: An empty beam that fits worse is no reference.
RIGHT_PROBE = 0.8
#: Least part of all light in an even background; above the second, there is nothing else.
BACKGROUND, NOTHING_ELSE = 0.02, 0.8
#: A background is as even as this, and as steady.
EVEN, STEADY = 1.3, 1.5
#: More of it than this is the tail of the empty beam.
EMPTY_PART = 0.5
#: A mask of most pixels leaves nothing to judge the light by.
LEAST_CLEAN = 0.5
#: Light at the edges, relative to that of all, that far-field patterns seldom have.
BRIGHT_EDGE = 0.3
#: Bunching of light that all comes from the sample, in far fields, less some incoherence.
SPECKLE = 1.7
#: Patterns compared with one of a neighbour, and fewest patterns of a scan for it.
PAIRS, FEWEST_PATTERNS = 32, 12
#: Least correlation of patterns that move with the sample, also in standard deviations.
ALIKE, SIGNIFICANT = 0.03, 8.0


def corner_centred(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt patterns whose zero frequency seems to lie in the corner."""
    regions = facts.regions
    if regions is not None and regions.corner_centred:
        yield Caution(
            code="corner-centred",
            text=corner_centring_advice(facts.scan.N),
            measured={"centre": regions.centre, "corners": regions.corners},
        )


def few_photons(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt a scan of so few photons that the result is noisy."""
    photons = photon_statistics(facts.scan)
    if photons is not None and photons.mean < FEW_PHOTONS:
        yield Caution(
            code="few-photons",
            text=f"{format_number(photons.mean)} photons per pattern are few: expect a noisy "
            "result",
            measured={"mean": photons.mean},
        )


def off_centre(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt light that is off the middle: off the empty beam, or off its own symmetry."""
    if not _judged(facts) or any(corner_centred(facts)):
        return
    found = _off_beam(facts)
    if found is None:
        return
    middle = facts.scan.N // 2
    yield Caution(
        code="off-centre",
        text=f"the light is {found.x:+.3g} columns and {found.y:+.3g} rows off pixel "
        f"[{middle}, {middle}], where zero frequency must be: cut the patterns out around "
        f"[{middle + found.y:.3g}, {middle + found.x:.3g}]; as they are, the phase gets a ramp",
        measured={"x": found.x, "y": found.y, "misfit": found.misfit},
    )


def _off_beam(facts: ScanFacts) -> Offset | None:
    """Return by how much the light is off the empty beam or, if that fits worse, its symmetry."""
    found = None
    if facts.empty_beam is not None:
        found = offset(facts.mean_pattern, facts.clean, facts.empty_beam)
        right = found.correlation > RIGHT_PROBE
        if right and found.distance > OFF and found.misfit < OFF_MISFIT:
            return found
    own = offset(facts.mean_pattern, facts.clean, None)
    if found is not None and found.correlation > own.correlation:
        return None
    return own if own.distance >= OFF_OF_SYMMETRY and own.misfit < SYMMETRY_MISFIT else None


def background(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt an even and steady light in all pixels: dark counts, stray light, or nothing else."""
    floor = _even_floor(facts)
    if floor is None or any(near_field(facts)):
        return
    photons = photon_statistics(facts.scan)
    level = None if photons is None else photons.mean * floor.share / int(facts.good.sum())
    measured = {"level": level, "share": floor.share}
    if floor.share > NOTHING_ELSE:
        yield Caution(
            code="no-structure",
            text="all pixels of all patterns are equally bright but for noise: no diffraction is "
            "seen; are these dark frames?",
            measured=measured,
        )
        return
    yield Caution(
        code="background",
        text="an even background"
        + ("" if level is None else f" of {level:.2g} photons per pixel")
        + f", {floor.share:.0%} of all light, does not come from the sample: subtract dark frames, "
        "or stray light measured without it",
        measured=measured,
    )


def near_field(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt light up to the edges that moves over the detector as the sample does.

    Neighbouring positions give nearly the same far-field pattern in the same place; a near-field
    pattern is a shadow that moves with the sample. The far-field speckle of a curved probe moves as
    well, but reaches the edges only if the sample scatters all light, which bunches it.
    """
    scan = facts.scan
    if not _judged(facts) or edge_brightness(facts.mean_pattern, facts.clean) < BRIGHT_EDGE:
        return
    if scan.n < FEWEST_PATTERNS or bunching(_photons(facts), facts.clean) > SPECKLE:
        return
    found = [each for each in _movements(facts) if each is not None]
    best = max(found, key=lambda each: each.significance, default=None)
    if best is None or best.significance < SIGNIFICANT or best.correlation < ALIKE:
        return
    if best.correlation < best.at_rest:
        return
    yield Caution(
        code=NEAR_FIELD,
        text="light reaches the edges of the patterns, and moves with the sample by "
        f"{abs(best.factor):.2g} pixels for each pixel of the positions: these seem to be "
        "near-field (Fresnel) patterns: ptycho reconstruct --near-field",
        measured={"magnification": best.factor, "correlation": best.correlation},
    )


def _judged(facts: ScanFacts) -> bool:
    enough = facts.clean.mean() > LEAST_CLEAN
    return bool(enough and facts.mean_pattern[facts.clean].any())


def _photons(facts: ScanFacts) -> NDArray[np.float32]:
    """Return the patterns in photons, as far as can be told: one is the smallest value of all.

    Counts may be scaled by a gain, and amplitudes to a largest value of one. Where values are no
    multiples of a photon's, the smallest is tiny; noise then counts as change of the light, so that
    less is doubted.
    """
    values = facts.intensities[:, facts.clean]
    smallest = float(values.min(initial=np.inf, where=values > 0))
    return np.asarray(facts.intensities / np.float32(smallest))


def _even_floor(facts: ScanFacts) -> Floor | None:
    """Return the darkest pixels if they are as light, even and steady as a background."""
    if not _judged(facts):
        return None
    photons = _photons(facts)
    mean = np.asarray(photons.mean(axis=0, dtype=np.float64))
    floor = floor_of(photons, mean, facts.clean)
    if floor is None or floor.share < BACKGROUND or floor.bunching > STEADY:
        return None
    noise = 1 / np.sqrt(len(facts.rows) * floor.level)
    if floor.rise > EVEN * (1 + 1.5 * noise):
        return None
    dark = facts.clean & (mean <= floor.rise * floor.level)
    beam = facts.empty_beam
    if beam is not None:
        part = float(np.median(beam[dark]) / np.median(facts.mean_pattern[dark]))
        if part > EMPTY_PART:
            return None
    return floor


def _movements(facts: ScanFacts) -> list[Movement | None]:
    """Return how patterns of neighbouring positions move: what changes, and where it changes.

    A sample in even light moves the changes of the light; one in structured light moves the places
    that change, by this or that sign.
    """
    scan, clean = facts.scan, facts.clean
    first = np.unique(np.linspace(0, scan.n - 1, PAIRS).astype(np.int64))
    near = np.asarray(cKDTree(scan.positions).query(scan.positions[first], k=min(9, scan.n))[1])
    distance = np.hypot(*(scan.positions[near] - scan.positions[first][:, None]).transpose(2, 0, 1))
    apart = distance > 0.7 * distance[:, -1:]  # far enough for a shift to be seen
    second = near[np.arange(len(first)), apart.argmax(axis=1)]
    mean = np.maximum(facts.mean_pattern, 0.05 * facts.mean_pattern[clean].mean())
    usual = np.abs(facts.intensities / mean - 1).mean(axis=0, dtype=np.float64)
    pairs = []
    for rows in (first, second):
        patterns = read_patterns(scan.diffraction, rows, np.float64)
        if scan.domain == "amplitude":
            patterns **= 2
        pairs.append(np.where(clean, patterns / mean - 1, 0))
    moved = scan.positions[second] - scan.positions[first]
    sizes = [np.where(clean, np.abs(change) - usual, 0) for change in pairs]
    return [movement(pairs[0], pairs[1], moved), movement(sizes[0], sizes[1], moved)]
