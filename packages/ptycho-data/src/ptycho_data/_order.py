"""Which axis of a stack counts its patterns, where the shape does not tell (rule FORMAT-001).

With as many patterns as pixels along a side, (n, N, N) and (N, N, n) look alike. The middle axis is
an axis of pixels in both; of the other two, the patterns lie along the one on which light spreads
evenly, since the light of a pattern lies around the middle of its pixels, or around a dark middle,
or, with the zero frequency in the corner, around the ends.
"""

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from ptycho_data._contract import STACK_KEYS, Layout
from ptycho_data._stack import Stack, chunk_rows, read_patterns

__all__ = ["AXES", "patterns_last", "settle_order"]

AXES = "nyx"
"""Axis order written into our own files, so that n == N is no question for them."""

#: Cosines that describe how light is spread: finer structure comes from the scan, not the optics.
_HARMONICS = 4
#: An axis counts the patterns if light is spread so many times more evenly along it.
_FACTOR = 2.0
#: Spread that noise alone may cause.
_LEAST = 0.01
#: Rows of pixels that are looked at.
_ROWS = 64


def patterns_last(stack: Stack) -> bool | None:
    """Tell from the light whether the patterns of a stack lie along its last axis.

    Parameters
    ----------
    stack : (A, A, A)
        Counts or amplitudes, patterns along the first or the last axis.

    Returns
    -------
    bool or None
        None where the light does not tell: it is spread along both axes alike.
    """
    step = -(-stack.shape[1] // _ROWS)
    profiles = [np.zeros(length) for length in (stack.shape[0], len(range(0, stack.shape[1], step)),
                                                stack.shape[2])]  # fmt: skip
    for rows in chunk_rows(stack):
        # The logarithm keeps single hot pixels and the marks of bad ones from outweighing the rest.
        light = read_patterns(stack, rows)[:, ::step].astype(np.float64)
        values = np.log1p(np.maximum(np.nan_to_num(light), 0))
        profiles[0][rows] = values.sum(axis=(1, 2))
        profiles[1] += values.sum(axis=(0, 2))
        profiles[2] += values.sum(axis=(0, 1))
    first, middle, last = (_unevenness(profile) for profile in profiles)
    if max(first, last) < max(_LEAST, _FACTOR * min(first, last)):
        return None
    # A dose that changes during the scan is uneven, too, but not as the light of the middle axis.
    alike = [abs(np.log(max(value, _LEAST) / max(middle, _LEAST))) for value in (first, last)]
    if first > last and alike[0] > alike[1]:
        return None
    return first > last


def _unevenness(profile: NDArray[np.float64]) -> float:
    """Return how much a profile rises or falls around its middle.

    Cosines around pixel ``N // 2``: a drift of the beam from the first pattern to the last is odd
    about the middle and leaves no trace in them.
    """
    mean = float(profile.mean())
    if not mean > 0:
        return 0.0
    angle = 2 * np.pi * (np.arange(len(profile)) - len(profile) // 2) / len(profile)
    cosines = [np.mean(profile * np.cos(k * angle)) for k in range(1, _HARMONICS + 1)]
    return float(np.linalg.norm(cosines)) / mean


def settle_order(layout: Layout, patterns: Stack) -> tuple[Layout, str]:
    """Decide the order of the stacks of an ambiguous scan.

    Parameters
    ----------
    layout
        With as many patterns as pixels along a side.
    patterns : (n, N, N) or (N, N, n)
        The array ``diffraction`` as it is stored; ``Y`` is taken to have the same order.

    Returns
    -------
    layout : Layout
        With the stacks to be turned.
    note : str
        What was decided, for the user.
    """
    last = patterns_last(patterns)
    if last:
        layout = evolve(layout, transposed=layout.usable & frozenset(STACK_KEYS))
    order = "(N, N, n)" if last else "(n, N, N)"
    reason = "by where the light is"
    if last is None:
        reason = "since it is not known; the light is spread evenly, check the pictures"
    return layout, (
        f"FORMAT-001: {layout.n} patterns of {layout.N} pixels: both axis orders look alike; "
        f"read as {order} {reason}"
    )
