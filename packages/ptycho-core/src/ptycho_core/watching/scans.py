"""Make a scan of the files that arrived, where they are not one already."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ptycho_data import ScanFormatError, format_of

from ptycho_core.preparing.preparation import prepare
from ptycho_core.preparing.recipe import Recipe
from ptycho_core.preparing.start import find_start
from ptycho_core.preparing.writing import write_prepared

__all__ = ["SCAN_SUFFIX", "scan_of"]

log = logging.getLogger(__name__)

#: A prepared scan has the name of the folder of its results, and this: none of them has it.
SCAN_SUFFIX = ".scan.npz"


def scan_of(files: Sequence[Path], folder: Path, recipe: Recipe | None = None) -> Path:
    """Return the file of a scan, which is prepared first where that is needed.

    Parameters
    ----------
    files
        The files that arrived; the first has the frames.
    folder
        Where a prepared scan is written, as ``FOLDER.scan.npz``; an earlier one is replaced.
    recipe
        How to prepare the files. Without it, a file that is a scan is taken as it is, and others
        are prepared as far as they say how.

    Returns
    -------
    Path
        The first of the files, or the prepared scan.

    Raises
    ------
    ScanFormatError, InvalidValueError
        As `ptycho_core.preparing.preparation.prepare`.
    """
    if recipe is None and _is_scan(files[0]):
        return files[0]
    prepared = prepare(files, recipe)
    find_start(prepared)
    target = folder / (folder.name + SCAN_SUFFIX)
    scan = write_prepared(prepared, target, overwrite=True)
    for line in prepared.remarks:
        log.debug("%s", line)
    for line in prepared.cautions:
        log.warning("%s: %s", files[0].name, line)
    log.info("%s: %d patterns of %d x %d, %s", target, scan.n, scan.N, scan.N, scan.domain)
    return target


def _is_scan(path: Path) -> bool:
    try:
        format_of(path)
    except ScanFormatError:
        return False
    return True
