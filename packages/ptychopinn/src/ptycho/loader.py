"""From grouped patterns to what a model is given."""

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray
from ptycho_config import InvalidValueError
from ptycho_data import Scan

from ptycho.grouped import GroupedData, Selection
from ptycho.probe import get_probe_guess

__all__ = ["DataContainer", "Patterns", "PtychoDataContainer", "load"]


@attrs.frozen(eq=False)
class Patterns:
    """The input of a model: patterns of a scan, in groups, times a factor.

    Reconstruction reads the patterns in pieces from the scan; only who wants to look at them as an
    array, ``numpy.asarray(patterns)``, has them all in memory.

    Attributes
    ----------
    grouped : GroupedData
        The patterns and their groups.
    scan : Scan
        Their scan, with the probe to reconstruct with.
    factor : float
        What the normalised amplitudes are multiplied by.
    """

    # A NumPy number on the left leaves the multiplication to this class.
    __array_ufunc__ = None

    grouped: GroupedData
    scan: Scan
    factor: float = 1.0

    @property
    def selection(self) -> Selection:
        """Which groups of the scan."""
        return self.grouped.selection

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (B, N, N, C) as an array."""
        B, C = self.grouped["nn_indices"].shape
        return B, self.scan.N, self.scan.N, C

    def __mul__(self, factor: float) -> "Patterns":
        """Multiply, and compute nothing."""
        return attrs.evolve(self, factor=self.factor * float(factor))

    __rmul__ = __mul__

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return normalised amplitudes (B, N, N, C) times the factor."""
        if copy is False:
            raise ValueError("the array is computed: it cannot be had without a copy")
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


PtychoDataContainer = DataContainer  # its historical name


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
        Function without arguments that returns what `RawData.generate_grouped_data` made.
    probeGuess : (N, N) or (M, N, N) complex array, optional
        Probe to reconstruct with. Default: the one of `ptycho.probe.set_probe_guess`, else that
        of the scan.
    which
        Of no use.
    create_split
        Splits into training and test data are not made here; must be False.

    Raises
    ------
    TypeError
        If the callback returns something else.
    ValueError
        If a split is asked for, or the probe does not fit the patterns.
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
    return DataContainer(
        X=Patterns(grouped, scan if probe is None else attrs.evolve(scan, probe=probe)),
        local_offsets=grouped["coords_relative"],
        global_offsets=grouped["coords_offsets"],
    )
