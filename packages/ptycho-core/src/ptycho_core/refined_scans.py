"""Probes and positions that were refined in or before a training, written beside the bundle.

One NPZ per scan holds ``probe`` (M, N, N), a file for ``--probe-file``, and, where positions were
refined, ``xcoords`` and ``ycoords`` (n,) with the ``offsets`` (n, 2) that were added to them.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ptycho_data import Scan, write_npz

__all__ = ["write_refined"]

FOLDER = "refined"


def write_refined(
    folder: Path,
    refined: Iterable[tuple[Scan, NDArray[np.complex64], NDArray[np.floating] | None]],
) -> list[Path]:
    """Write the refined parameters of each scan, and return the files.

    A bundle holds the probe of one scan, and no positions.

    Parameters
    ----------
    folder
        Folder of the bundle; the files are written to ``refined`` in it.
    refined
        For each scan: the scan, its probe, and the offsets (n, 2) of its positions, if any.
    """
    written = []
    for number, (scan, probe, offsets) in enumerate(refined, 1):
        arrays: dict[str, NDArray[np.generic]] = {"probe": probe}
        if offsets is not None:
            # a common shift of all positions only moves the object
            shifts = offsets.astype(np.float64)
            shifts -= shifts.mean(axis=0)
            x, y = (scan.positions + shifts).T
            arrays |= {"xcoords": x, "ycoords": y, "offsets": shifts}
        stem = scan.source.stem if scan.source is not None else "scan"
        path = folder / FOLDER / f"{number}-{stem}.npz"
        written.append(write_npz(path, arrays, overwrite=True))
    return written
