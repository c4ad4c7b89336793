"""Convert grouped patterns to the input of a model."""

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray
from ptycho_config import InvalidValueError
from ptycho_data import Scan

from ptycho._moved import MOVED
from ptycho.grouped import GroupedData, Selection
from ptycho.probe import get_probe_guess

__all__ = ["DataContainer", "Patterns", "load"]


@attrs.frozen(eq=False)
class Patterns:
    """The input of a model: patterns of a scan, in groups, times a factor.

    Reconstruction reads the patterns in pieces from the scan; only conversion to an array,
    ``numpy.asarray(patterns)``, loads all of them into memory.

    Attributes
    ----------
    grouped : GroupedData
        The patterns and their groups.
    scan : Scan
        Their scan, with the probe to reconstruct with.
    factor : float
        Factor on the normalised amplitudes.
    """

    # Makes a NumPy number on the left use the multiplication of this class.
    __array_ufunc__ = None

    grouped: GroupedData
    scan: Scan
    factor: float = 1.0

    @property
    def selection(self) -> Selection:
        """Parameters of the grouping of the scan."""
        return self.grouped.selection

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (B, N, N, C) as an array."""
        B, C = self.grouped["nn_indices"].shape
        return B, self.scan.N, self.scan.N, C

    def __mul__(self, factor: float) -> "Patterns":
        """Multiply the factor, without any computation on patterns."""
        return attrs.evolve(self, factor=self.factor * float(factor))

    __rmul__ = __mul__

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return normalised amplitudes (B, N, N, C) times the factor."""
        if copy is False:
            raise ValueError("the array is computed, so it cannot be returned without a copy")
        normalised: NDArray[np.float32] = self.grouped["X_full"]
        values = normalised * np.float32(self.factor)
        return values if dtype is None else values.astype(dtype)


@attrs.frozen(eq=False)
class DataContainer:
    """Data of a scan, ready for a model.

    Attributes
    ----------
    X : Patterns
        Patterns of B groups of C: as an array, (B, N, N, C).
    local_offsets : (B, 1, 2, C) float64
        Positions within the groups: the mean of the group minus the position, (x, y).
    global_offsets : (B, 1, 2, 1) float64
        Mean position of each group, (x, y).
    """

    X: Patterns
    local_offsets: NDArray[np.float64]
    global_offsets: NDArray[np.float64]


def load(
    cb: Callable[[], GroupedData],
    probeGuess: ArrayLike | None = None,
    which: str | None = None,  # noqa: ARG001  of older callers
    create_split: bool = False,
) -> DataContainer:
    """Make the input of a model.

    Parameters
    ----------
    cb
        Function without arguments that returns the result of `RawData.generate_grouped_data`.
    probeGuess : (N, N) or (M, N, N) complex array, optional
        Probe to reconstruct with. Default: the one of `ptycho.probe.set_probe_guess`, else that
        of the scan.
    which
        Ignored.
    create_split
        Must be False: splitting into training and test data is not supported.

    Raises
    ------
    TypeError
        If the callback returns something else.
    ValueError
        If a split is requested, or the probe does not match the patterns.
    """
    if create_split:
        raise InvalidValueError(
            "create_split", "False", "True", "load training and test data separately"
        )
    grouped = cb()
    if not isinstance(grouped, GroupedData):
        found = type(grouped).__name__
        raise TypeError(f"callback: must return RawData.generate_grouped_data(...), got a {found}")
    scan, probe = grouped.scan, get_probe_guess() if probeGuess is None else probeGuess
    if probe is not None:
        scan = attrs.evolve(scan, probe=probe, probe_made=False)
    return DataContainer(
        X=Patterns(grouped, scan),
        local_offsets=grouped["coords_relative"],
        global_offsets=grouped["coords_offsets"],
    )


__getattr__ = MOVED.in_module(__name__)
