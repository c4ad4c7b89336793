"""The dictionary of grouped patterns for older callers."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data import Scan, group_positions, read_patterns
from ptycho_physics import extract_patches

__all__ = ["GroupedData", "Selection"]


@frozen(kw_only=True)
class Selection:
    """Parameters of the grouping of a scan.

    Attributes
    ----------
    gridsize
        Side of a group, which has ``C = gridsize**2`` patterns.
    neighbor_count
        Number of nearest positions from which a group is drawn.
    samples
        Number of groups around each pattern.
    """

    gridsize: int
    neighbor_count: int
    samples: int = 1

    def groups(self, scan: Scan) -> NDArray[np.int64]:
        """Draw the groups (B, C) of pattern indices, one or more around every pattern."""
        return group_positions(
            scan.positions,
            self.gridsize,
            n_groups=scan.n * self.samples,
            neighbor_count=min(self.neighbor_count, max(scan.n, self.gridsize**2)),
            oversample=self.samples > 1,
        )


class GroupedData(Mapping[str, Any]):
    """Groups of patterns under the keys of older callers; arrays are computed when read.

    With B groups of C patterns, positions as (x, y) in pixels, as they were given:

    - ``diffraction`` (B, N, N, C) float32: amplitudes, the square roots of counts;
    - ``X_full`` (B, N, N, C) float32: the same over their scale, order one;
    - ``nn_indices`` (B, C) int64: indices of the patterns;
    - ``coords_nn`` (B, 1, 2, C): their positions; ``coords_offsets`` (B, 1, 2, 1): the mean of
      each group; ``coords_relative`` (B, 1, 2, C): mean minus position, in this sign;
    - ``coords_start_nn``, ``coords_start_offsets``, ``coords_start_relative``: the same of the
      nominal positions;
    - ``Y`` (B, N, N, C) complex64: ground truth, or None;
    - ``objectGuess`` (H, W) complex64 or None.

    Parameters
    ----------
    scan
        The scan.
    selection
        Parameters of its grouping.
    offset
        Offset to subtract from the positions of the scan.
    """

    def __init__(self, scan: Scan, selection: Selection, offset: float = 0.0) -> None:
        self.scan = scan
        self.selection = selection
        groups = selection.groups(scan)
        self._values: dict[str, Any] = {"nn_indices": groups, "objectGuess": scan.object_guess}
        for start, positions in (("", scan.positions), ("start_", scan.start_positions)):
            nn = np.moveaxis(positions[groups] - offset, 1, 2)[:, np.newaxis]
            mean = nn.mean(axis=-1, keepdims=True)
            self._values[f"coords_{start}nn"] = nn
            self._values[f"coords_{start}offsets"] = mean
            self._values[f"coords_{start}relative"] = mean - nn
        self._later: dict[str, Callable[[], Any]] = {
            "diffraction": partial(_amplitudes, scan, groups),
            "X_full": self._normalised,
            "Y": partial(_truth, scan, groups),
        }

    def __getitem__(self, key: str) -> Any:
        """Return the array under `key`; large arrays are computed now."""
        if key in self._later:
            self._values[key] = self._later.pop(key)()
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys."""
        return iter((*self._values, *self._later))

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._values) + len(self._later)

    def _normalised(self) -> NDArray[np.float32]:
        """Amplitudes whose squares sum to ``(N/2)**2`` in the mean pattern."""
        rms = np.sqrt(self.scan.intensity_totals.mean())
        amplitudes: NDArray[np.float32] = self["diffraction"]
        return amplitudes * np.float32(self.scan.N / 2 / rms)


def _in_groups(stack: NDArray[Any], groups: NDArray[np.int64]) -> NDArray[Any]:
    """Sort patterns (B * C, N, N) into groups, channels last: (B, N, N, C)."""
    return np.moveaxis(stack.reshape(*groups.shape, *stack.shape[1:]), 1, -1)


def _amplitudes(scan: Scan, groups: NDArray[np.int64]) -> NDArray[np.float32]:
    if scan.domain == "amplitude":
        return _in_groups(read_patterns(scan.diffraction, groups.ravel(), np.float32), groups)
    return _in_groups(np.sqrt(scan.counts(groups.ravel())), groups)


def _truth(scan: Scan, groups: NDArray[np.int64]) -> NDArray[np.complex64] | None:
    if scan.patches is not None:
        return _in_groups(read_patterns(scan.patches, groups.ravel()), groups)
    if scan.object_guess is None:
        return None
    patches = extract_patches(scan.object_guess, scan.positions[groups.ravel()], scan.N)
    return _in_groups(patches, groups)
