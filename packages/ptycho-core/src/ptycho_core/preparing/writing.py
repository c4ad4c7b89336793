"""A prepared scan as a file, with the record of what it was made of.

The frames are read once, and the next ones are made while some are written, so that memory stays
flat whatever the size of the files.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, evolve
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import LazyStack, Scan, atomic_path, load_arrays, save_scan
from ptycho_data.raw import BRIGHTEST, Watched

from ptycho_core.batch.finished import Request, made_as_asked
from ptycho_core.preparing.preparation import SAMPLED, Prepared
from ptycho_core.preparing.recipe import Recipe
from ptycho_core.read_ahead import read_ahead

__all__ = ["is_prepared", "request_of", "write_prepared"]


def write_prepared(
    prepared: Prepared,
    path: Path,
    *,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
    run: Mapping[str, Any] | None = None,
) -> Scan:
    """Write a prepared scan as NPZ, in one pass over the frames.

    Counts are written as uint8 or uint16 if some of the patterns fit easily. If others do not, or
    if a pixel holds the largest value of its type in a frame that was not looked at before, so that
    it becomes a bad pixel, the frames are read once more.

    Parameters
    ----------
    prepared
        The scan.
    path
        File to write.
    overwrite
        Replace an existing file.
    progress
        Called with the number of patterns written.
    run
        What it was made of, see `is_prepared`.

    Returns
    -------
    Scan
        The same scan; the sums of its patterns are known, unless more pixels became bad.

    Raises
    ------
    OutputExistsError
        The file exists, and ``overwrite`` is not set; it stays as it is.
    InvalidValueError
        All patterns are zero.
    """
    scan = prepared.scan
    with atomic_path(path, overwrite=overwrite) as temporary:
        stack = scan.diffraction
        assert isinstance(stack, LazyStack)  # noqa: S101 - made so by `prepare`
        bad = scan.bad_pixels
        types = [*_narrow_types(stack), stack.dtype]
        while True:
            watched = Watched(stack, scan.domain, dtype=types[0])
            try:
                with closing(_Ahead(LazyStack(watched), progress)) as ahead:
                    written = evolve(scan, diffraction=LazyStack(ahead), bad_pixels=bad)
                    save_scan(temporary, written, overwrite=True, run=run)
            except OverflowError:
                if len(types) == 1:
                    raise
                del types[0]
                continue
            known = np.zeros_like(watched.without_value) if bad is None else bad
            late = watched.without_value & ~known
            if not late.any():
                break
            bad = known | late
            prepared.remarks.append(f"{int(late.sum())} more pixels without a value in some frames")
        if watched.highest < BRIGHTEST[0]:  # known now; nothing is left of the file
            got = f"no value above {watched.highest:g}" if watched.highest > 0 else "zeros only"
            raise InvalidValueError(f"{path}", "patterns with photons", got)
    # sums of patterns count a pixel that became bad late: they are made again when needed
    known_totals = watched.totals if bad is scan.bad_pixels else None
    return evolve(scan, bad_pixels=bad, known_totals=known_totals)


class _Ahead:
    """Patterns read once, from the first to the last: a thread reads some while others are written.

    A source for a `LazyStack`, to be closed.
    """

    def __init__(self, stack: LazyStack, progress: Callable[[int], None] | None) -> None:
        self.shape, self.dtype = stack.shape, stack.dtype
        self.block_rows = stack.source.block_rows
        self._progress = progress
        self._blocks = read_ahead(lambda rows: stack[rows], stack.blocks(), workers=1, per_worker=1)

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the next block, whose rows these must be."""
        block = next(self._blocks)
        if self._progress is not None:
            self._progress(int(rows[-1]) + 1)
        return block

    def close(self) -> None:
        """Wait until the thread has ended."""
        self._blocks.close()


def _narrow_types(stack: LazyStack) -> list[np.dtype[Any]]:
    """Return the narrowest type that patterns will fit in, if it is narrower than theirs."""
    if stack.dtype.kind not in "iu":
        return []
    spread = np.unique(np.linspace(0, len(stack) - 1, SAMPLED).astype(np.int64))
    highest = max(int(stack[some].max()) for some in np.array_split(spread, len(spread) // 8 + 1))
    types = (np.dtype(np.uint8), np.dtype(np.uint16))
    fit = (t for t in types if t.itemsize < stack.dtype.itemsize and 2 * highest < np.iinfo(t).max)
    return list(fit)[:1]


def request_of(paths: Sequence[Path], recipe: Recipe) -> Request:
    """Say what a prepared scan is made of, for `is_prepared` and for its own record."""
    asked = {name: value for name, value in asdict(recipe).items() if value is not None}
    inputs = {f"file {number}": path for number, path in enumerate(paths, 1)}
    return Request(command="prepare", inputs=inputs, settings=asked)


def is_prepared(path: Path, request: Request, *, overwrite: bool = False) -> bool:
    """Tell whether a scan file exists and was prepared as asked, by the record in it.

    Parameters and errors are those of `ptycho_core.batch.is_done`; a ScanFormatError for a file
    that is no NPZ file.
    """
    if not path.exists():
        return False
    arrays = load_arrays(path, (), optional=("_metadata",))
    try:
        metadata = json.loads(str(arrays["_metadata"]))
    except (KeyError, ValueError, RecursionError):
        metadata = None
    run = metadata.get("run") if isinstance(metadata, dict) else None
    return made_as_asked(path, run if isinstance(run, dict) else {}, request, overwrite=overwrite)
