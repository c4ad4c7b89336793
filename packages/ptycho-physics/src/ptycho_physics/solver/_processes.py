"""Processes that solve a scan together, each with its own device and its share of the patterns.

Every process has the whole object, the probe and the positions. The step of a batch is a sum over
its patterns, so each process sums over its own and the sums are added up: the result is that of one
process with the same batches, up to rounding. What belongs to a pattern alone is fitted where the
pattern is, and exchanged after each epoch.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, describe

from ptycho_physics._namespace import Array, as_like


def _unchanged(values: Array) -> Array:
    return values


@frozen
class Processes:
    """Processes that solve a scan together, seen from one of them; the default is one alone.

    Attributes
    ----------
    rank : int
        Number of this process, from 0.
    number : int
        Of processes.
    total : callable
        Returns the sum of an array over all processes, the same bits in each. It is called in all
        of them in the same order, with NumPy arrays and with those of the solver's library, which
        it may overwrite.

    Raises
    ------
    InvalidValueError
        If the rank is not below the number.
    """

    rank: int = 0
    number: int = 1
    total: Callable[[Array], Array] = field(default=_unchanged, repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse a rank that there is not."""
        if not 0 <= self.rank < self.number:
            rule = f"from 0 to {self.number - 1}, for {self.number} processes"
            raise InvalidValueError("rank", rule, describe(self.rank))

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.number == 1

    def share(self, patterns: int) -> NDArray[np.int64]:
        """Return the patterns of this process, ascending: every so many, all over the scan."""
        return np.arange(self.rank, patterns, self.number)

    def mine(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some patterns that are in the share of this process, in their order."""
        return which if self.alone else which[which % self.number == self.rank]

    def rows(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where patterns of this process are in its share."""
        return which if self.alone else which // self.number

    def joined(self, values: Array, xp: Any) -> Array:
        """Return values (n, ...) of all patterns; each process knows those of its share."""
        if self.alone:
            return values
        known = np.zeros(len(values), dtype=bool)
        known[self.share(len(values))] = True
        known = known.reshape(-1, *(1 for _ in values.shape[1:]))
        if not isinstance(values, np.ndarray):
            known = as_like(xp.asarray(known), values, xp)
        return self.total(values * known)

    def largest(self, value: float) -> float:
        """Return the largest of the processes' values."""
        if self.alone:
            return value
        slots = np.zeros(self.number)
        slots[self.rank] = value
        return float(np.max(self.total(slots)))

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        return self.largest(float(flag)) > 0


ALONE = Processes()
"""One process."""
