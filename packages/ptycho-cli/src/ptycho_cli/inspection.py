"""Figures about a scan: dose, saturation, overlap, and the settings they suggest.

Diffraction is read in pieces: a scan larger than memory is inspected in constant memory.
"""

import math
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config import ModelConfig, option_specs
from ptycho_data import Scan, chunk_rows
from ptycho_physics.memory import machine_memory, object_memory
from scipy.spatial import cKDTree

from ptycho_cli.centring import Light, corner_remark
from ptycho_cli.console import plain

__all__ = [
    "Dose",
    "Overlap",
    "Saturation",
    "dose",
    "network_sizes",
    "overlap",
    "probe_diameter",
    "problems",
    "saturation",
    "suggestions",
]

#: A largest value reached by this many pixels of a scan looks like a detector's limit.
PLATEAU_PIXELS = 10
#: Overlap of neighbours below which a scan is poor, and from which groups of them pay off.
USUAL_OVERLAP = 0.6
GOOD_OVERLAP = 0.7
#: Fewest patterns to make groups of.
GROUPING_PATTERNS = 64
#: Largest value from which on many pixels do not share it by chance.
LARGE_COUNT = 100


@frozen(kw_only=True)
class Dose:
    """Photons per pattern: smallest, median, mean and largest over the scan."""

    minimum: float
    median: float
    mean: float
    maximum: float


def dose(scan: Scan, nphotons: float | None = None) -> Dose | None:
    """Count the photons of each pattern.

    Parameters
    ----------
    scan
        The scan.
    nphotons
        Mean photons per pattern of an amplitude scan that does not state it.

    Returns
    -------
    Dose or None
        None where the absolute scale is unknown.
    """
    totals = scan.intensity_totals
    if scan.domain == "amplitude":
        stated = scan.nphotons if scan.nphotons is not None else nphotons
        if stated is None:
            return None
        totals = totals * (stated / float(totals.mean()))
    return Dose(
        minimum=float(totals.min()),
        median=float(np.median(totals)),
        mean=float(totals.mean()),
        maximum=float(totals.max()),
    )


@frozen(kw_only=True)
class Saturation:
    """How much of a scan sits at the largest value.

    Attributes
    ----------
    largest
        Largest value of all patterns.
    pixels
        How many pixels have it.
    patterns
        How many patterns have such a pixel.
    suspected
        Whether this looks like the limit of the detector or of the dtype.
    """

    largest: float
    pixels: int
    patterns: int
    suspected: bool


def saturation(scan: Scan) -> Saturation:
    """Look for a plateau at the largest value, which a clipped detector leaves behind."""
    largest, pixels, patterns = -math.inf, 0, 0
    for piece in chunk_rows(scan.diffraction):
        values = np.asarray(scan.diffraction[piece])
        top = float(values.max())
        if top < largest:
            continue
        if top > largest:
            largest, pixels, patterns = top, 0, 0
        hits = values == values.max()
        pixels += int(hits.sum())
        patterns += int(hits.any(axis=(1, 2)).sum())
    kind = np.dtype(scan.diffraction.dtype)
    at_limit = kind.kind in "iu" and largest >= np.iinfo(kind).max
    # Small numbers repeat by chance: a scan of few photons has many pixels with 3 counts.
    plateau = pixels >= PLATEAU_PIXELS and (largest >= LARGE_COUNT or scan.domain == "amplitude")
    return Saturation(
        largest=largest, pixels=pixels, patterns=patterns, suspected=bool(at_limit or plateau)
    )


def probe_diameter(probe: NDArray[np.complexfloating]) -> float:
    """Diameter in pixels of the uniform disk that is as concentrated as the probe.

    Parameters
    ----------
    probe : (M, N, N) complex array
        Its intensity ``I`` covers the area ``(sum I)^2 / sum I^2``: exact for a uniform disk,
        insensitive to faint tails.
    """
    light = np.sum(np.abs(probe.astype(np.complex128)) ** 2, axis=0)
    area = float(light.sum()) ** 2 / float((light**2).sum())
    return 2 * math.sqrt(area / math.pi)


@frozen(kw_only=True)
class Overlap:
    """Geometry of a scan.

    Attributes
    ----------
    step
        Median distance to the nearest neighbour, pixels.
    diameter
        Diameter of the probe, pixels.
    fraction
        ``1 - step / diameter``, at least 0.
    neighbours
        Median number of other positions within one probe diameter.
    """

    step: float
    diameter: float
    fraction: float
    neighbours: float


def overlap(scan: Scan) -> Overlap | None:
    """Measure how much neighbouring patterns see of the same object; None for one pattern."""
    if scan.n < 2:
        return None
    diameter = probe_diameter(scan.probe)
    tree = cKDTree(scan.positions)
    distances = np.asarray(tree.query(scan.positions, k=2)[0])
    step = float(np.median(distances[:, 1]))
    some = scan.positions[:: max(1, scan.n // 2000)]
    counts = tree.query_ball_point(some, r=diameter, return_length=True)
    return Overlap(
        step=step,
        diameter=diameter,
        fraction=max(0.0, 1 - step / diameter),
        neighbours=float(np.median(counts)) - 1,
    )


def problems(scan: Scan, seen: Overlap | None) -> list[str]:
    """Say why a scan that keeps the contract cannot be reconstructed by itself; empty where it can.

    Parameters
    ----------
    scan
        The scan.
    seen
        From :func:`overlap`.
    """
    if seen is None:
        return [
            "one pattern alone can be neither trained on nor solved: that needs neighbours which "
            "see the same part of the object; a model of another scan can do it (ptycho infer)"
        ]
    found = []
    if seen.fraction == 0:
        found.append(
            "neighbouring patterns must overlap to be trained on or solved, found none that do: "
            f"positions are {seen.step:.6g} pixels apart, the probe is {seen.diameter:.1f} wide; "
            "are xcoords and ycoords in object pixels? If they are, a model of a denser scan can "
            "reconstruct them (ptycho infer)"
        )
    needed, present = object_memory(scan.positions, scan.N), machine_memory()
    if needed > present:
        width, height = (np.ptp(scan.positions, axis=0) + scan.N).tolist()
        found.append(
            f"the object must fit into the {present / 2**30:.3g} GiB of this machine, found "
            f"{width:.6g} x {height:.6g} pixels, which take {needed / 2**30:.3g} GiB; give xcoords "
            "and ycoords in object pixels, and look for outliers"
        )
    return found


def suggestions(
    scan: Scan,
    seen: Overlap | None,
    light: Dose | None,
    full: Saturation,
    where: Light | None = None,
) -> dict[str, Any]:
    """Suggest a command and its settings, with remarks on what limits the result.

    Parameters
    ----------
    scan
        The scan.
    seen, light, full, where
        From :func:`overlap`, :func:`dose`, :func:`saturation` and
        :func:`ptycho_cli.centring.light_of`.

    Returns
    -------
    dict
        ``command`` (``train``, ``reconstruct`` for patterns of a size that no network takes, or
        None),
        ``options`` (option name -> value), ``N`` (size of patterns to train with: that of the scan,
        or the nearest that a network takes), ``problems`` (see :func:`problems`: no command is
        suggested where there are any) and ``remarks`` (list of sentences).
    """
    remarks: list[str] = []
    if where is not None and where.corner_centred:
        remarks.append(corner_remark(scan.N))
    command, options = "train", _training_options(scan, seen)
    sizes = network_sizes()
    if scan.N not in sizes:
        command, options = "reconstruct", {}
        remarks += _size_remarks(scan.N, sizes)
    if seen is not None and 0 < seen.fraction < USUAL_OVERLAP:
        remarks.append(
            f"neighbouring patterns overlap by {seen.fraction:.0%} only; "
            f"{USUAL_OVERLAP:.0%} and more is usual"
        )
    if "n_groups" in options:
        remarks.append("training needs a part of the patterns; inference uses all of them")
    if light is None:
        remarks.append("the absolute dose is unknown: state it with --nphotons")
    elif light.mean < 1e4:
        remarks.append(f"{plain(light.mean)} photons per pattern are few: expect a noisy picture")
    if full.suspected:
        remarks.append(
            f"{full.pixels} pixels in {full.patterns} patterns have the largest value "
            f"{full.largest:g}: the detector may be saturated; mark them in bad_pixels"
        )
    nearest = min(sizes, key=lambda size: abs(math.log(size / scan.N)))
    found = problems(scan, seen)
    return {
        "command": None if found else command,
        "options": {} if found else options,
        "N": nearest,
        "problems": found,
        "remarks": remarks,
    }


def network_sizes() -> tuple[int, ...]:
    """Pattern sizes N that a network can be built for, in pixels, ascending."""
    return tuple(
        sorted(
            size
            for spec in option_specs(ModelConfig)
            if spec.name == "N"
            for size in spec.choices
            if isinstance(size, int)
        )
    )


def _training_options(scan: Scan, seen: Overlap | None) -> dict[str, Any]:
    """Single patterns; groups of four where neighbours see much of the same object."""
    grouping = seen is not None and seen.fraction >= GOOD_OVERLAP and scan.n >= GROUPING_PATTERNS
    gridsize = 2 if grouping else 1
    patterns = 16 if scan.N <= 128 else 8  # in a step, whatever the size of a group
    options: dict[str, Any] = {"gridsize": gridsize, "batch_size": patterns // gridsize**2}
    if grouping:
        options["neighbor_count"] = 7
    if scan.n > 2048:
        options["n_groups"] = 2048
    return options


def _size_remarks(N: int, sizes: tuple[int, ...]) -> list[str]:
    """Say how patterns of another size become patterns that a network takes."""
    larger, smaller = (
        min((size for size in sizes if size > N), default=None),
        max((size for size in sizes if size < N), default=None),
    )
    ways = [f"pad them with zeros to {larger} x {larger}"] if larger else []
    ways += [f"crop them to {smaller} x {smaller}"] if smaller else []
    names = ", ".join(map(str, sizes[:-1]))
    return [
        f"`ptycho train` takes patterns of {names} or {sizes[-1]} pixels, not of {N}: "
        f"{' or '.join(ways)}, so that pixel [{N // 2}, {N // 2}] becomes the new [M//2, M//2]",
        f"with M pixels instead of {N} the object pixel is {N}/M of the old one: multiply xcoords "
        f"and ycoords by M/{N}, pixel_size_m by {N}/M, pad or crop the Fourier transform of the "
        "probe like the patterns, and leave objectGuess out",
    ]
