"""Positions of a scan from those of its motors: counts, axes, signs, turned, in object pixels."""

import math

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data.raw import RawScan

from ptycho_core.preparing.recipe import Recipe

__all__ = ["matched_rows", "stage_positions"]


def matched_rows(raw: RawScan, recipe: Recipe) -> tuple[slice, slice, list[str]]:
    """Return which frames and which positions belong together.

    Returns
    -------
    frames, positions : slice
        Of equal length.
    remarks : list of str
        What is left out.

    Raises
    ------
    InvalidValueError
        Their numbers differ, and the recipe does not say what to leave out.
    """
    n, p = len(raw.frames), len(raw.x_m)
    if n == p:
        return slice(None), slice(None), []
    fewer, more = min(n, p), max(n, p)
    what = "frames" if n > p else "positions"
    if recipe.drop_last:
        kept, ends = slice(0, fewer), "last"
    elif recipe.drop_first:
        kept, ends = slice(more - fewer, more), "first"
    else:
        advice = f"--drop-last leaves out the last {more - fewer} {what}, --drop-first the first"
        raise InvalidValueError(
            f"{raw.places.get('x', 'positions')}",
            f"as many positions as there are frames, {n}",
            f"{p}",
            "; ".join([advice, *raw.cautions]),  # numbers that a series of files lacks, for one
        )
    text = f"the {ends} {more - fewer} of {more} {what} left out"
    return (kept, slice(None), [text]) if n > p else (slice(None), kept, [text])


def stage_positions(raw: RawScan, recipe: Recipe) -> NDArray[np.float64]:
    """Return positions (p, 2) in metres, as (x, y): axes, signs, turn and matrix applied."""
    x, y = (raw.y_m, raw.x_m) if recipe.swap_xy else (raw.x_m, raw.y_m)
    places = np.stack([-x if recipe.flip_x else x, -y if recipe.flip_y else y], axis=1)
    if recipe.degrees:
        turn = math.radians(recipe.degrees)
        cos, sin = math.cos(turn), math.sin(turn)
        places = places @ np.array([[cos, sin], [-sin, cos]])
    if recipe.matrix is not None:
        a, b, c, d = recipe.matrix
        places = places @ np.array([[a, c], [b, d]])
    return places
