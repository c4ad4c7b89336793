"""Corrections of a scan whose file has other conventions: axes, signs, corner-centred patterns."""

from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import CentredSource, LazyStack, Scan, load_arrays

from ptycho_core.file_arrays import position_array

__all__ = ["correct_positions", "shift_patterns", "with_positions_from"]


def with_positions_from(scan: Scan, path: Path) -> Scan:
    """Return the scan with the positions of a file; its own become the nominal positions.

    Parameters
    ----------
    scan : Scan
    path
        NPZ with ``xcoords`` and ``ycoords`` of all patterns: refined positions of a training, or a
        reconstruction.

    Raises
    ------
    InvalidValueError
        If they are not the positions of all patterns in their order.
    """
    arrays = load_arrays(path, ("xcoords", "ycoords"), optional=("origin", "indices"))
    positions = position_array(arrays["xcoords"], arrays["ycoords"], path)
    order = arrays.get("indices", np.arange(len(positions)))
    if len(positions) != scan.n or not np.array_equal(order, np.arange(scan.n)):
        raise InvalidValueError(
            f"xcoords and ycoords of {path}",
            f"those of all {scan.n} patterns of the scan, in their order",
            f"{len(positions)} positions" + (", in another order" * (len(positions) == scan.n)),
        )
    # A reconstruction measures positions from the first pixel of its object, which is at origin.
    positions = positions + np.asarray(arrays.get("origin", (0, 0)))
    start_x, start_y = scan.start_positions.T
    return attrs.evolve(
        scan,
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        xcoords_start=start_x,
        ycoords_start=start_y,
    )


def shift_patterns(scan: Scan) -> Scan:
    """Move zero frequency from the corner of patterns and bad pixels to their centre."""
    return attrs.evolve(
        scan,
        diffraction=LazyStack(CentredSource(scan.diffraction)),
        bad_pixels=_centred(scan.bad_pixels),
        background=_centred(scan.background),
        subtracted=_centred(scan.subtracted),
    )


def _centred(image: NDArray[Any] | None) -> NDArray[Any] | None:
    return None if image is None else np.fft.fftshift(image)


def correct_positions(
    scan: Scan, *, swap_xy: bool = False, flip_x: bool = False, flip_y: bool = False
) -> tuple[Scan, list[str]]:
    """Swap the axes of the positions, then change their signs.

    Parameters
    ----------
    scan : Scan
    swap_xy
        Exchange x and y.
    flip_x, flip_y
        Change the sign of x or y.

    Returns
    -------
    corrected : Scan
    omitted : list of str
        Arrays that belong to the uncorrected positions and are no longer in the scan.
    """
    if not (swap_xy or flip_x or flip_y):
        return scan, []
    x, y = (scan.ycoords, scan.xcoords) if swap_xy else (scan.xcoords, scan.ycoords)
    dependent = {
        "objectGuess": scan.object_guess,
        "xcoords_start": scan.xcoords_start,
        "ycoords_start": scan.ycoords_start,
    }
    corrected = attrs.evolve(
        scan,
        origin_m=_corrected_place(scan.origin_m, swap_xy, (flip_x, flip_y)),
        xcoords=-x if flip_x else x,
        ycoords=-y if flip_y else y,
        object_guess=None,
        xcoords_start=None,
        ycoords_start=None,
    )
    return corrected, [name for name, values in dependent.items() if values is not None]


def _corrected_place(
    origin_m: tuple[float, float] | None, swap_xy: bool, flips: tuple[bool, bool]
) -> tuple[float, float] | None:
    """Correct the origin of the grid as the positions, so that their metres are corrected too."""
    if origin_m is None:
        return None
    first, second = reversed(origin_m) if swap_xy else origin_m
    return -first if flips[0] else first, -second if flips[1] else second
