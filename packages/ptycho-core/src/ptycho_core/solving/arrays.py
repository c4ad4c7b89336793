"""The arrays of a framework that the solver works on, and the processes that share them."""

from collections.abc import Callable
from typing import Any

from attrs import frozen
from numpy.typing import NDArray
from ptycho_physics import Processes

__all__ = ["SolverArrays"]


@frozen(kw_only=True, eq=False)
class SolverArrays:
    """A device of a backend.

    Attributes
    ----------
    device : str
        ``cpu`` or ``cuda``.
    free : float
        Bytes of its own memory that are free; infinite for a CPU.
    put : callable
        Brings a NumPy array to it.
    processes : Processes
        That work together, each with a device of its own.
    """

    device: str
    free: float
    put: Callable[[NDArray[Any]], Any]
    processes: Processes = Processes()
