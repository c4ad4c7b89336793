"""Which command and settings suit a scan, and what limits the result."""

import math
from typing import Any

import numpy as np
from attrs import frozen
from ptycho_config import ModelConfig, option_specs
from ptycho_data import Scan
from ptycho_physics.memory import machine_memory, object_memory

from ptycho_core.centring import corner_centring_advice
from ptycho_core.formatting import format_number
from ptycho_core.inspection import Inspection, Overlap

__all__ = ["Recommendation", "network_sizes", "obstacles", "recommend"]

#: Overlap below which a scan is poor, and above which groups of neighbours improve training.
USUAL_OVERLAP = 0.6
GOOD_OVERLAP = 0.7
#: Fewest patterns for which groups are recommended.
GROUPING_PATTERNS = 64
#: Most groups recommended for training.
TRAINING_GROUPS = 2048
#: Mean photons per pattern below which the result is noisy.
FEW_PHOTONS = 1e4


@frozen(kw_only=True)
class Recommendation:
    """How to process a scan.

    Attributes
    ----------
    command : str or None
        ``train``; ``reconstruct`` for patterns of a size that no network accepts; None if there are
        ``problems``.
    options : dict
        Settings of the command that differ from its defaults.
    N : int
        Pattern size for training: that of the scan, or the nearest that a network accepts.
    problems : list of str
        What prevents a reconstruction; see `obstacles`.
    remarks : list of str
        What limits the result.
    """

    command: str | None
    options: dict[str, Any]
    N: int
    problems: list[str]
    remarks: list[str]


def recommend(scan: Scan, inspection: Inspection) -> Recommendation:
    """Recommend a command and its settings.

    Parameters
    ----------
    scan : Scan
    inspection : Inspection
        From `ptycho_core.inspection.inspect_scan`.
    """
    sizes = network_sizes()
    problems = obstacles(scan, inspection.overlap)
    trainable = scan.N in sizes
    options = _training_options(scan, inspection.overlap) if trainable else {}
    remarks = [] if trainable else _size_remarks(scan.N, sizes)
    if inspection.regions is not None and inspection.regions.corner_centred:
        remarks.insert(0, corner_centring_advice(scan.N))
    remarks += _quality_remarks(inspection)
    if "n_groups" in options:
        remarks.append("training needs only some of the patterns; inference uses all of them")
    return Recommendation(
        command=None if problems else ("train" if trainable else "reconstruct"),
        options={} if problems else options,
        N=min(sizes, key=lambda size: abs(math.log(size / scan.N))),
        problems=problems,
        remarks=remarks,
    )


def obstacles(scan: Scan, measured: Overlap | None) -> list[str]:
    """List what prevents a valid scan from being reconstructed on its own.

    Parameters
    ----------
    scan : Scan
    measured : Overlap or None
        From `ptycho_core.inspection.overlap`.

    Returns
    -------
    list of str
        Empty if the scan can be reconstructed.
    """
    if measured is None:
        return [
            "training and solving need overlapping patterns, and this scan has only one; a model "
            "trained on another scan can reconstruct it (ptycho infer)"
        ]
    problems = []
    if measured.fraction == 0:
        problems.append(
            "neighbouring patterns must overlap for training and solving, but positions are "
            f"{measured.step:.6g} pixels apart and the probe is {measured.diameter:.1f} pixels "
            "wide; check that xcoords and ycoords are in object pixels. If they are, a model "
            "trained on a denser scan can reconstruct this one (ptycho infer)"
        )
    needed, present = object_memory(scan.positions, scan.N), machine_memory()
    if needed > present:
        width, height = (np.ptp(scan.positions, axis=0) + scan.N).tolist()
        problems.append(
            f"the object of {width:.6g} x {height:.6g} pixels needs {needed / 2**30:.3g} GiB, but "
            f"this machine has {present / 2**30:.3g} GiB; check that xcoords and ycoords are in "
            "object pixels and have no outliers"
        )
    return problems


def network_sizes() -> tuple[int, ...]:
    """Pattern sizes N that the networks accept, in pixels, ascending."""
    return tuple(
        sorted(
            size
            for spec in option_specs(ModelConfig)
            if spec.name == "N"
            for size in spec.choices
            if isinstance(size, int)
        )
    )


def _training_options(scan: Scan, measured: Overlap | None) -> dict[str, Any]:
    """Recommend groups of four patterns where the overlap is large, else single patterns."""
    grouping = (
        measured is not None and measured.fraction >= GOOD_OVERLAP and scan.n >= GROUPING_PATTERNS
    )
    gridsize = 2 if grouping else 1
    patterns = 16 if scan.N <= 128 else 8  # per training step, for any group size
    options: dict[str, Any] = {"gridsize": gridsize, "batch_size": patterns // gridsize**2}
    if grouping:
        options["neighbor_count"] = 7
    if scan.n > TRAINING_GROUPS:
        options["n_groups"] = TRAINING_GROUPS
    return options


def _quality_remarks(inspection: Inspection) -> list[str]:
    """Describe what overlap, photons and saturation mean for the result."""
    remarks = []
    measured, photons, saturation = inspection.overlap, inspection.photons, inspection.saturation
    if measured is not None and 0 < measured.fraction < USUAL_OVERLAP:
        remarks.append(
            f"neighbouring patterns overlap by only {measured.fraction:.0%}; "
            f"{USUAL_OVERLAP:.0%} or more is usual"
        )
    if photons is None:
        remarks.append("the number of photons per pattern is unknown: set it with --nphotons")
    elif photons.mean < FEW_PHOTONS:
        remarks.append(
            f"{format_number(photons.mean)} photons per pattern are few: expect a noisy result"
        )
    if saturation.suspected:
        remarks.append(
            f"{saturation.pixels} pixels in {saturation.patterns} patterns have the largest value "
            f"{saturation.largest:g}: the detector may be saturated; mark these pixels in "
            "bad_pixels"
        )
    return remarks


def _size_remarks(N: int, sizes: tuple[int, ...]) -> list[str]:
    """Explain how to convert patterns to a size that a network accepts."""
    larger, smaller = (
        min((size for size in sizes if size > N), default=None),
        max((size for size in sizes if size < N), default=None),
    )
    ways = [f"pad them with zeros to {larger} x {larger}"] if larger else []
    ways += [f"crop them to {smaller} x {smaller}"] if smaller else []
    names = ", ".join(map(str, sizes[:-1]))
    return [
        f"`ptycho train` accepts patterns of {names} or {sizes[-1]} pixels, not of {N}: "
        f"{' or '.join(ways)}, so that pixel [{N // 2}, {N // 2}] becomes [M//2, M//2]",
        f"with M pixels instead of {N} the object pixel is {N}/M of the old one: multiply xcoords "
        f"and ycoords by M/{N}, pixel_size_m by {N}/M, pad or crop the Fourier transform of the "
        "probe like the patterns, and omit objectGuess",
    ]
