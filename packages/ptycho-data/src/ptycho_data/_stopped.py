"""Fewer patterns than positions: the acquisition was stopped."""

from collections.abc import Mapping
from typing import Any

from ptycho_data._contract import Described
from ptycho_data._untrusted import Header

__all__ = ["PER_POSITION", "cut_positions"]

#: Arrays with one entry per position.
PER_POSITION = ("xcoords", "ycoords", "xcoords_start", "ycoords_start", "scan_index", "Y")


def _patterns_taken(headers: Mapping[str, Described]) -> int | None:
    """Return the number of patterns if there are fewer than positions, else None.

    Parameters
    ----------
    headers
        Contract key to anything with shape and dtype.

    Returns
    -------
    int or None
        None also where shapes do not tell which axis counts the patterns.
    """
    stack, x = (headers.get(key) for key in ("diffraction", "xcoords"))
    if stack is None or x is None or len(stack.shape) != 3 or len(x.shape) != 1:
        return None
    first, middle, last = stack.shape
    n = x.shape[0]
    if first == n or (last == n and first == middle):
        return None
    found = [size for size, square in ((first, middle == last), (last, first == middle)) if square]
    return found[0] if found and 0 < found[0] < n else None


def cut_positions(headers: Mapping[str, Described]) -> tuple[dict[str, Any], str]:
    """Leave out the positions after the last pattern.

    Parameters
    ----------
    headers
        Contract key to header.

    Returns
    -------
    headers : dict
        With as many positions as patterns.
    caution : str
        What was left out; empty where nothing was.
    """
    out: dict[str, Any] = dict(headers)
    taken = _patterns_taken(headers)
    if taken is None:
        return out, ""
    n = headers["xcoords"].shape[0]
    for key in PER_POSITION:
        if key in out and out[key].shape[:1] == (n,):
            shape = (taken, *out[key].shape[1:])
            out[key] = Header(shape=shape, dtype=out[key].dtype)
    return out, (
        f"{n} positions and {taken} patterns, as of a stopped acquisition: the first {taken} "
        "positions were used, in the order of the file"
    )
