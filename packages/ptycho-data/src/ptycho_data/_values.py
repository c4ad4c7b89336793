"""The values of a scan: finite, non-negative, not empty, and in a known domain."""

import zlib
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_data._contract import STACK_KEYS, Findings, Layout, mode_axis_first
from ptycho_data._stack import Stack, chunk_rows

Domain = Literal["counts", "amplitude"]
"""What the diffraction values are: photons, or square roots of (scaled) photons."""
DOMAINS: tuple[str, ...] = get_args(Domain)
#: Positions that spread less than this, in pixels, are in metres.
SMALLEST_SPAN = 1e-3
_DAMAGED = ("an undamaged array", "bytes that differ from the archive's CRC-32")


@frozen(kw_only=True, eq=False)
class StackStatistics:
    """One pass over a stack.

    Attributes
    ----------
    minimum, maximum
        Over all pixels that are not masked (NaN ignored).
    totals : ndarray, (n,) float64
        Sum of each pattern; not finite where a pixel is not finite.
    square_totals : ndarray, (n,) float64, or None
        Sum of squares of each pattern, if asked for.
    crc
        CRC-32 of the bytes in storage order, if asked for.
    """

    minimum: float
    maximum: float
    totals: NDArray[np.float64]
    square_totals: NDArray[np.float64] | None
    crc: int | None


@frozen(kw_only=True)
class Checksum:
    """Where the CRC-32 of a mapped array starts and what it must become."""

    start: int
    target: int


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
                "objectGuess", "scan_index"):  # fmt: skip
        values = arrays.get(key)
        if values is not None and not np.isfinite(values).all():
            bad = int(np.size(values) - np.isfinite(values).sum())
            findings.add(key, "finite", f"{bad} NaN or infinite values")
    probe = arrays.get("probeGuess")
    if probe is not None and not np.any(probe):
        findings.add("probeGuess", "nonzero somewhere", "zeros only")
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
    bad_pixels = arrays.get("bad_pixels")
    if bad_pixels is not None and bad_pixels.size and np.all(bad_pixels):
        findings.add("bad_pixels", "True for bad pixels only", "every pixel masked")


def check_diffraction(
    stack: Stack,
    domain: str | None,
    bad_pixels: NDArray[np.bool_] | None,
    checksum: Checksum | None,
    findings: Findings,
) -> tuple[Domain | None, StackStatistics]:
    """Check all patterns in one pass of flat memory and settle their domain.

    Parameters
    ----------
    stack : (n, N, N)
        Patterns, in memory or mapped.
    domain
        Stated domain, if any. Otherwise integers are counts, floats of at most 1 (to rounding)
        are amplitudes, and anything else is a violation.
    bad_pixels : (N, N) bool, optional
        Pixels whose values do not matter.
    checksum
        Of a mapped stack, to find damage that the values do not show.
    findings
        Receives every violation.

    Returns
    -------
    domain : {"counts", "amplitude"} or None
        The domain; None if it cannot be known.
    statistics : StackStatistics
        Extremes and sums of the patterns.
    """
    is_float = stack.dtype.kind == "f"
    squares = domain == "amplitude" or (domain is None and is_float)
    start = None if checksum is None else checksum.start
    statistics = measure(stack, bad_pixels=bad_pixels, squares=squares, crc=start)
    if checksum is not None and statistics.crc != checksum.target:
        findings.add("diffraction", *_DAMAGED)
    broken = np.flatnonzero(~np.isfinite(statistics.totals))
    if len(broken):
        got = f"NaN or infinity in {len(broken)} patterns, first in pattern {broken[0]}"
        findings.add("diffraction", "finite", got, "mark dead pixels in bad_pixels")
    if statistics.minimum < 0:
        got = f"negative values down to {statistics.minimum:g}"
        findings.add("diffraction", "counts or amplitudes >= 0", got)
    if statistics.minimum == 0 == statistics.maximum:
        findings.add("diffraction", "patterns with photons", "zeros only")
    if domain is None and is_float and not statistics.maximum <= 1 + 1e-6:
        got = f"{stack.dtype} up to {statistics.maximum:g} without a domain"
        advice = "pass --domain counts or --domain amplitude (or add a key 'domain' to the file)"
        findings.add("diffraction", "of a known domain", got, advice)
        return None, statistics
    return _as_domain(domain or ("amplitude" if is_float else "counts")), statistics


def check_patches(patches: Stack, checksum: Checksum | None, findings: Findings) -> None:
    """Check the ground-truth patches in one pass of flat memory."""
    finite, crc = all_finite(patches, None if checksum is None else checksum.start)
    if checksum is not None and crc != checksum.target:
        findings.add("Y", *_DAMAGED)
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


def _as_domain(name: str) -> Domain:
    return "counts" if name == "counts" else "amplitude"


def measure(
    stack: Stack,
    *,
    bad_pixels: NDArray[np.bool_] | None = None,
    squares: bool = False,
    crc: int | None = None,
) -> StackStatistics:
    """Measure a stack of patterns piece by piece, in the order of its bytes.

    Parameters
    ----------
    stack : ndarray, memmap or LazyStack, (n, N, N)
        Real numbers, any memory order (a transposed view is followed in storage order, so a
        mapped file is read once from front to back).
    bad_pixels : ndarray, (N, N) bool, optional
        Pixels that count as zero.
    squares
        Also sum the squares.
    crc
        CRC-32 to continue over the bytes; None to leave it out.

    Returns
    -------
    StackStatistics
        Extremes and sums in float64.
    """
    order, stored = _in_storage_order(stack)
    mask = None if bad_pixels is None else np.broadcast_to(bad_pixels, stack.shape).transpose(order)
    pixel_axes = tuple(axis for axis, source in enumerate(order) if source != 0)
    totals, square_totals = np.zeros(len(stack)), np.zeros(len(stack))
    minimum, maximum = np.inf, -np.inf
    for rows in chunk_rows(stored):
        chunk = stored[rows]
        if crc is not None:
            crc = _crc(chunk, crc)
        values = chunk if mask is None else np.where(mask[rows], 0, chunk)
        patterns = rows if order[0] == 0 else slice(None)
        with np.errstate(invalid="ignore", over="ignore"):
            totals[patterns] += values.sum(axis=pixel_axes, dtype=np.float64)
            if squares:
                wide = values.astype(np.float64)  # small integers would overflow when squared
                square_totals[patterns] += (wide * wide).sum(axis=pixel_axes)
            minimum = float(np.fmin(minimum, np.fmin.reduce(values, axis=None)))
            maximum = float(np.fmax(maximum, np.fmax.reduce(values, axis=None)))
    return StackStatistics(
        minimum=minimum,
        maximum=maximum,
        totals=totals,
        square_totals=square_totals if squares else None,
        crc=crc,
    )


def all_finite(stack: Stack, crc: int | None = None) -> tuple[bool, int | None]:
    """Tell whether a stack of any dtype is finite, piece by piece.

    Parameters
    ----------
    stack : ndarray, memmap or LazyStack
        Any shape with at least one axis.
    crc
        CRC-32 to continue over the bytes in storage order; None to leave it out.

    Returns
    -------
    finite : bool
        Whether there is neither NaN nor infinity.
    crc : int or None
        The continued CRC-32.
    """
    _, stored = _in_storage_order(stack)
    finite = True
    for rows in chunk_rows(stored):
        chunk = stored[rows]
        if crc is not None:
            crc = _crc(chunk, crc)
        finite = finite and bool(np.isfinite(chunk).all())
    return finite, crc


def _in_storage_order(stack: Stack) -> tuple[tuple[int, ...], Stack]:
    """Return the axes from the slowest to the fastest varying, and the stack turned that way."""
    if not isinstance(stack, np.ndarray):
        return tuple(range(stack.ndim)), stack
    order = tuple(sorted(range(stack.ndim), key=lambda axis: -abs(stack.strides[axis])))
    return order, stack.transpose(order)


def _crc(chunk: NDArray[Any], crc: int) -> int:
    return zlib.crc32(np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).data, crc)
