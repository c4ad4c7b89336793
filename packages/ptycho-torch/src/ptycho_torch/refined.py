"""What training refined of the scans themselves, beside the bundle.

One NPZ per scan holds ``probe`` (M, N, N), a file for ``--probe-file``, and, where positions were
refined, ``xcoords`` and ``ycoords`` (n,) with the ``offsets`` (n, 2) that were added to them.
"""

from pathlib import Path

import numpy as np
from ptycho_data import Scan, write_npz

from ptycho_torch.model import PtychoModel

FOLDER = "refined"


def write_refined(folder: Path, model: PtychoModel, scans: list[Scan]) -> list[Path]:
    """Write what was refined of each scan, and return the files.

    A bundle has room for the probe of one scan, and for no positions.

    Parameters
    ----------
    folder
        Of the bundle; the files go into ``refined`` in it.
    model
        Trained.
    scans
        Trained on, in the order of ``model.scans``.
    """
    moved = bool(model.position_shifts())
    if not moved and not (model.probe_changes() and len(scans) > 1):
        return []
    written = []
    for number, scan in enumerate(scans):
        lit = model.scans[number]
        arrays = {"probe": lit.probe.detach().cpu().numpy()}
        if lit.offsets is not None:
            offsets = lit.offsets.detach().cpu().numpy().astype(np.float64)
            # the same shift of all positions moves the object, and means nothing
            offsets -= offsets.mean(axis=0)
            x, y = (scan.positions + offsets).T
            arrays |= {"xcoords": x, "ycoords": y, "offsets": offsets}
        stem = scan.source.stem if scan.source is not None else "scan"
        path = folder / FOLDER / f"{number + 1}-{stem}.npz"
        written.append(write_npz(path, arrays, overwrite=True))
    return written
