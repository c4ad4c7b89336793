"""Which command and settings suit a scan."""

import math
from typing import Any

from attrs import frozen
from ptycho_config import ModelConfig, option_specs
from ptycho_data import Scan

from ptycho_core.analysis.inspection import Inspection
from ptycho_core.analysis.scan_statistics import Overlap
from ptycho_core.cautions import Caution

__all__ = ["Recommendation", "network_sizes", "recommend"]

#: Cautions about scans that neither training nor the solver can reconstruct on their own.
NO_COMMAND = ("single-pattern", "one-place", "position-unit", "no-overlap")
#: Overlap above which groups of neighbours improve training.
GOOD_OVERLAP = 0.7
#: Fewest patterns for which groups are recommended.
GROUPING_PATTERNS = 64
#: Most groups recommended for training.
TRAINING_GROUPS = 2048


@frozen(kw_only=True)
class Recommendation:
    """How to process a scan.

    Attributes
    ----------
    command : str or None
        ``train``; ``reconstruct`` for patterns of a size that no network accepts, and where the
        probe is a guess; None if there are ``problems``.
    options : dict
        Settings of the command that differ from its defaults; True for a switch.
    N : int
        Pattern size for training: that of the scan, or the nearest that a network accepts.
    problems : list of str
        Cautions that leave no command to recommend.
    remarks : list of str
        What to know about the command and its settings.
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
        From `ptycho_core.analysis.inspection.inspect_scan`.
    """
    sizes = network_sizes()
    problems = [c.text for c in inspection.cautions if _prohibitive(c, inspection.overlap)]
    trainable = scan.N in sizes and not scan.probe_made  # a network needs a good probe
    options = _training_options(scan, inspection.overlap) if trainable else {}
    if scan.probe_made:
        options = {"update_probe": True}
    remarks = [] if scan.N in sizes else _size_remarks(scan.N, sizes)
    if inspection.photons is None:
        remarks.append("the number of photons per pattern is unknown: set it with --nphotons")
    if "n_groups" in options:
        remarks.append("training needs only some of the patterns; inference uses all of them")
    return Recommendation(
        command=None if problems else ("train" if trainable else "reconstruct"),
        options={} if problems else options,
        N=min(sizes, key=lambda size: abs(math.log(size / scan.N))),
        problems=problems,
        remarks=remarks,
    )


def _prohibitive(caution: Caution, measured: Overlap | None) -> bool:
    """Whether a caution leaves no command to recommend."""
    if caution.code == "disconnected":  # unless some small part is apart
        return measured is not None and measured.fraction == 0
    return caution.fatal or caution.code in NO_COMMAND


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
