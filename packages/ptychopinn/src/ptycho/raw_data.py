"""Scans in the form in which an application passes them.

Half a pixel
------------
An application such as ptychodus gives the object coordinate of the *middle* of a patch, which has
index ``(N - 1) / 2``; the packages below give that of patch pixel ``[N//2, N//2]``. For even N they
are half a pixel apart, and this is the place that adds it, as `ptycho_data.save_product`
takes it off.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray
from ptycho_config import InvalidValueError
from ptycho_core.cautions import report, scan_cautions
from ptycho_data import Scan, half_pixel, list_arrays, load_scan, scan_from_arrays

from ptycho import params
from ptycho.grouped import GroupedData, Selection

__all__ = ["RawData"]

log = logging.getLogger(__name__)

#: States that patterns come first, even if there are as many of them as rows in a pattern.
_PATTERNS_FIRST = json.dumps({"axes": "nyx"})


@contextmanager
def _warnings_in_log() -> Iterator[None]:
    """Send warnings to the log, which an application shows, unlike its child's stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        log.warning("%s", warning.message)


def _log_doubts(scan: Scan) -> None:
    """Log what the commands would warn about; an application decides itself what to refuse."""
    report(scan_cautions(scan), f"{scan.label}: ")


@attrs.frozen(eq=False)
class RawData:
    """A scan, made by `from_file` or `from_coords_without_pc`.

    Attributes
    ----------
    scan : Scan
        The scan in the conventions of `ptycho_data`.
    offset : float
        Offset that was added to the positions given, in pixels.
    """

    scan: Scan
    offset: float = 0.0

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> "RawData":
        """Read an NPZ file.

        An array ``diffraction`` makes it a file of the contract of `ptycho_data`, read as
        `ptycho_data.load_scan` reads it. With ``diff3d`` alone it is a file as ptychodus exports
        it: counts of any number type, and positions of the middle of the patches.

        Parameters
        ----------
        path
            The file; uncompressed patterns remain on disk.

        Raises
        ------
        ScanFormatError
            A ValueError: every violation of the contract, with file, array and rule.
        """
        names = {name for name, _ in list_arrays(path)}
        exported = "diff3d" in names and "diffraction" not in names
        with _warnings_in_log():
            scan = load_scan(path, domain="counts" if exported else None)
        _log_doubts(scan)
        return cls._centred(scan) if exported else cls(scan)

    @classmethod
    def from_coords_without_pc(
        cls,
        xcoords: ArrayLike,
        ycoords: ArrayLike,
        diff3d: ArrayLike,
        probeGuess: ArrayLike,
        scan_index: ArrayLike | None = None,
        objectGuess: ArrayLike | None = None,
    ) -> "RawData":
        """Make a scan from the arrays of an application.

        Parameters
        ----------
        xcoords, ycoords : (n,) float array
            Column and row of the middle of each patch, in pixels of `objectGuess`.
        diff3d : (n, N, N) array
            Counts, of any number type and memory layout, zero frequency in the centre.
        probeGuess : (N, N) or (M, N, N) complex array
            Probe, or its modes.
        scan_index : (n,) int array, optional
            Number of the scan that each pattern belongs to.
        objectGuess : (H, W) complex array, optional
            Fixes the canvas of the result; ground truth of supervised training.

        Raises
        ------
        ScanFormatError
            A ValueError: every violation of the contract of `ptycho_data`.
        """
        patterns = np.asarray(diff3d)
        candidates = {
            "xcoords": xcoords,
            "ycoords": ycoords,
            # boolean counts are valid
            "diffraction": patterns.view(np.uint8) if patterns.dtype == np.bool_ else patterns,
            "probeGuess": probeGuess,
            "scan_index": scan_index,
            "objectGuess": objectGuess,
            "_metadata": _PATTERNS_FIRST,
        }
        arrays = {name: value for name, value in candidates.items() if value is not None}
        with _warnings_in_log():
            scan = scan_from_arrays(arrays, domain="counts", name="the data")
        _log_doubts(scan)
        return cls._centred(scan)

    @classmethod
    def _centred(cls, scan: Scan) -> "RawData":
        """Convert positions of the middle of patches to those of pixel ``N//2``."""
        offset = half_pixel(scan.N)
        names = ("xcoords", "ycoords", "xcoords_start", "ycoords_start")
        present = {name: getattr(scan, name) for name in names}
        moved = {name: x + offset for name, x in present.items() if x is not None}
        return cls(attrs.evolve(scan, **moved), offset)

    @property
    def diff3d(self) -> Any:
        """Patterns (n, N, N), as they were given: an array, in memory or mapped."""
        return self.scan.diffraction

    @property
    def probeGuess(self) -> NDArray[np.complex64]:  # noqa: N802  the callers' name
        """Probe modes (M, N, N)."""
        return self.scan.probe

    @property
    def objectGuess(self) -> NDArray[np.complex64] | None:  # noqa: N802  the callers' name
        """Object (H, W), or None."""
        return self.scan.object_guess

    @property
    def xcoords(self) -> NDArray[np.float64]:
        """Columns (n,), as they were given."""
        return self.scan.xcoords - self.offset

    @property
    def ycoords(self) -> NDArray[np.float64]:
        """Rows (n,), as they were given."""
        return self.scan.ycoords - self.offset

    def generate_grouped_data(
        self, N: int, K: int = 7, nsamples: int = 1, gridsize: int | None = None
    ) -> GroupedData:
        """Group neighbouring patterns; the groups cover the whole scan.

        Parameters
        ----------
        N
            Side of the patterns.
        K
            Number of nearest positions, including the pattern's own, from which its groups are
            drawn; increased to the size of a group if smaller.
        nsamples
            Number of groups around each pattern; with gridsize 1 there is only one.
        gridsize
            Side of a group; None takes it from `ptycho.params.cfg`, as older callers expect.

        Returns
        -------
        GroupedData
            The dictionary that `ptycho.loader.load` takes.

        Raises
        ------
        ValueError
            If N is not that of the patterns, or the scan is too small for such groups.
        """
        if self.scan.N != N:
            found = self.scan.N
            raise InvalidValueError("N", f"that of the patterns, {found}", str(N))
        if nsamples < 1:
            raise InvalidValueError("nsamples", "at least 1", str(nsamples))
        side = params.get("gridsize") if gridsize is None else gridsize
        selection = Selection(
            gridsize=side, neighbor_count=max(K, side**2, 1), samples=nsamples if side > 1 else 1
        )
        return GroupedData(self.scan, selection, self.offset)
