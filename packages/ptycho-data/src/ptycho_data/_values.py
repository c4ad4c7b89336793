"""The values of a scan but for its patterns: finite, not empty, stated in known words."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_data._contract import STACK_KEYS, STRENGTH, Layout, mode_axis_first, strength_problem
from ptycho_data._measure import DAMAGED, Checksum, all_finite
from ptycho_data._stack import Stack
from ptycho_data._violations import Findings

#: Positions that spread less than this, in pixels, are in metres.
SMALLEST_SPAN = 1e-3
#: Positions beyond this, in pixels, are in another unit, or wrong.
LARGEST_POSITION = 2**31
#: No detector pixel has a dark level beyond this, in counts.
LARGEST_LEVEL = 1e12


def _span(x: NDArray[Any] | None, y: NDArray[Any] | None) -> float | None:
    """Larger extent of the positions; None for a single one, and where they are not known."""
    if x is None or y is None or min(len(x), len(y)) < 2:
        return None
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    # Python's numbers do not warn of overflow where positions are absurd.
    return float(max(values.max().item() - values.min().item() for values in (x, y)))


def check_small(arrays: Mapping[str, NDArray[Any]], findings: Findings) -> None:
    """Check the values of everything but the stacks.

    Parameters
    ----------
    arrays
        Contract key to array, layouts already checked.
    findings
        Receives every violation.
    """
    for key in ("xcoords", "ycoords", "xcoords_start", "ycoords_start", "probeGuess",
                "objectGuess", "scan_index", "background", "subtracted"):  # fmt: skip
        values = arrays.get(key)
        if values is not None and not np.isfinite(values).all():
            broken = np.flatnonzero(~np.isfinite(values))
            got = f"{len(broken)} NaN or infinite values, the first at index {broken[0]}"
            findings.add(key, "finite", got)
    for key in ("xcoords", "ycoords"):
        values = arrays.get(key)
        if values is not None and len(values) and np.isfinite(values).all():
            far = int(np.argmax(np.abs(values)))
            if abs(float(values[far])) > LARGEST_POSITION:
                got = f"{values[far]:.6g} at index {far}"
                advice = "check the unit, and leave out positions that are wrong"
                findings.add(key, f"within {LARGEST_POSITION:.3g} object pixels", got, advice)
    probe = arrays.get("probeGuess")
    if probe is not None and not np.any(probe):
        findings.add("probeGuess", "nonzero somewhere", "zeros only")
    for key, weakest in (("probeGuess", STRENGTH[0]), ("objectGuess", 0.0)):
        values = arrays.get(key)
        if values is not None and np.isfinite(values).all():
            problem = strength_problem(values, weakest=weakest)
            if problem is not None:
                findings.add(key, *problem)
    x, y = arrays.get("xcoords"), arrays.get("ycoords")
    span = _span(x, y)
    if span == 0:
        findings.add("xcoords", "different positions", "all positions equal (in ycoords too)")
    elif span is not None and span < SMALLEST_SPAN:
        got = f"positions within {span:.1e} pixels"
        findings.add("xcoords", "in pixels of the object", got, "divide metres by the pixel size")
    index = arrays.get("scan_index")
    if index is not None and index.dtype.kind == "f" and not np.array_equal(index, np.rint(index)):
        findings.add("scan_index", "integers", "fractions")
    for key in ("background", "subtracted"):
        values = arrays.get(key)
        if values is not None and values.size and np.isfinite(values).all():
            low, high = float(values.min()), float(values.max())
            if low < 0 or high > LARGEST_LEVEL:
                findings.add(key, f"from 0 to {LARGEST_LEVEL:g} counts", f"{low:.6g} to {high:.6g}")
    bad_pixels = arrays.get("bad_pixels")
    if bad_pixels is not None and bad_pixels.size and np.all(bad_pixels):
        findings.add("bad_pixels", "True for bad pixels only", "every pixel masked")


def check_patches(patches: Stack, checksum: Checksum | None, findings: Findings) -> None:
    """Check the ground-truth patches in one pass of flat memory."""
    finite, crc = all_finite(patches, None if checksum is None else checksum.start)
    if checksum is not None and crc != checksum.target:
        findings.add("Y", *DAMAGED)
    if not finite:
        findings.add("Y", "finite", "NaN or infinite values")


def arrange(arrays: Mapping[str, NDArray[Any]], layout: Layout) -> dict[str, NDArray[Any]]:
    """Bring accepted layouts to the contract's own, as views where possible.

    Parameters
    ----------
    arrays
        Contract key to array.
    layout
        From `check_layout`.

    Returns
    -------
    dict
        Stacks as (n, N, N), the probe as (M, N, N), masks as bool, scalars as they were.
    """
    out = dict(arrays)
    for key in STACK_KEYS:
        if key in out:
            stack = out[key][..., 0] if out[key].ndim == 4 else out[key]
            out[key] = np.moveaxis(stack, 2, 0) if key in layout.transposed else stack
    if "probeGuess" in out:
        out["probeGuess"] = mode_axis_first(out["probeGuess"])
    if "bad_pixels" in out:
        mask = out["bad_pixels"]
        # A bool array from a file may hold bytes other than 0 and 1.
        out["bad_pixels"] = (mask.view(np.uint8) if mask.dtype == np.bool_ else mask) != 0
    return out
