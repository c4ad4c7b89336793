"""Where the solver works: on arrays of NumPy, or of PyTorch on a CPU or on one or several GPUs."""

import ctypes
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_physics import Processes

from ptycho_core.backends import find_backend, require
from ptycho_core.solving.arrays import SolverArrays
from ptycho_core.solving.devices import BACKEND, Devices

__all__ = ["Place", "solver_place"]

log = logging.getLogger(__name__)

#: Pixels of all patterns in all epochs from which a GPU is worth its start: NumPy needs 12 s for
#: them on one core (``bench_solver.py``); below, the import of PyTorch would not be made up for.
_WORTH_A_GPU = 3e8


@frozen(kw_only=True, eq=False)
class Place:
    """The arrays that the solver works on.

    Attributes
    ----------
    backend : str
        ``numpy`` or ``pytorch``.
    device : str
        ``cpu`` or ``cuda``.
    put : callable
        Brings a NumPy array there.
    put_counts : callable
        The same, or leaves the patterns in main memory if they are too large.
    at_once : int or None
        Patterns of a batch that fit into its memory at a time; None: all.
    processes : Processes
        That share the patterns, each on a device of its own.
    """

    backend: str
    device: str
    put: Callable[[NDArray[Any]], Any]
    put_counts: Callable[[NDArray[Any]], Any]
    at_once: int | None = None
    processes: Processes = Processes()

    @property
    def name(self) -> str:
        """In words."""
        if self.backend == "numpy":
            return "NumPy"
        number = self.processes.number
        return f"PyTorch on {self.device}" + ("" if number == 1 else f", {number} devices")

    @property
    def first(self) -> bool:
        """Whether this is the process that reports and writes."""
        return self.processes.rank == 0

    def alone(self) -> "Place":
        """Return this device without those of the other processes."""
        return evolve(self, processes=Processes())


_NUMPY = Place(backend="numpy", device="cpu", put=np.asarray, put_counts=np.asarray)


def solver_place(
    asked: Devices, work: float, memory: Mapping[str, float], batch_size: int = 16
) -> Place:
    """Choose where to solve, and start the processes of several devices.

    Parameters
    ----------
    asked
        What the user asks for.
    work
        Pixels of all patterns, times epochs.
    memory
        Bytes of ``counts``, ``batch`` and ``object``: see `ptycho_core.memory.of_solver`.
    batch_size
        Patterns of a batch.

    Raises
    ------
    InvalidValueError
        If it is none of these, or this machine has no such device, or that has too little memory.
    MissingPackageError
        If PyTorch is asked for and not installed.
    """
    asked.check()
    auto = asked.accelerator == "auto" and asked.number == 1
    if asked.accelerator == "numpy" or (auto and not _worth_a_gpu(work)):
        return _NUMPY
    try:
        kind = "gpu" if auto else asked.accelerator
        arrays = require(BACKEND).arrays(kind, asked.devices, asked.num_nodes)
    except InvalidValueError:
        if not auto:
            raise
        log.info("solving with NumPy: there is a GPU, but this PyTorch cannot use it")
        return _NUMPY
    place = _fitting(arrays, memory, batch_size)
    if place is None:
        got = f"{memory['object'] / 2**30:.3g} GiB where {arrays.free / 2**30:.3g} GiB are free"
        if auto:
            log.info("solving with NumPy: too large an object for the memory of the GPU, %s", got)
            return _NUMPY
        rule, advice = "small enough for the memory of the GPU", "solve with --accelerator numpy"
        raise InvalidValueError("object", rule, got, advice)
    log.info("solving with %s", place.name)
    return place


def _fitting(arrays: SolverArrays, memory: Mapping[str, float], batch_size: int) -> Place | None:
    """Return what fits into the memory of a device; None if not even the object does.

    First the patterns stay in main memory, then a batch is taken in pieces.
    """
    free, number = arrays.free - memory["object"], arrays.processes.number
    place = Place(
        backend=BACKEND,
        device=arrays.device,
        put=arrays.put,
        put_counts=arrays.put,
        processes=arrays.processes,
    )
    if memory["counts"] / number + memory["batch"] / number <= free:
        return place
    log.info("the patterns stay in main memory: there is not enough on the GPU")
    place = evolve(place, put_counts=np.asarray)
    if memory["batch"] / number <= free:
        return place
    at_once = int(batch_size * free / memory["batch"])
    if at_once < 1:
        return None
    log.info("a batch is taken in pieces of %d patterns", at_once)
    return evolve(place, at_once=at_once)


def _worth_a_gpu(work: float) -> bool:
    return work >= _WORTH_A_GPU and not find_backend(BACKEND).missing() and _has_gpu()


def _has_gpu() -> bool:
    """Ask NVIDIA's driver for a GPU: importing PyTorch to find none would take seconds."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    number = ctypes.c_int(0)
    return bool(driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(number)) == 0) and (
        number.value > 0
    )
