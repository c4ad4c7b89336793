"""Where the solver works: on arrays of NumPy, or of PyTorch on a CPU or GPU."""

import ctypes
import logging
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, describe

from ptycho_core.backends import find_backend, require

__all__ = ["ACCELERATORS", "Place", "solver_place"]

log = logging.getLogger(__name__)

#: Values of ``accelerator``; ``cpu``, ``gpu`` and ``cuda`` are devices of PyTorch.
ACCELERATORS = ("auto", "numpy", "cpu", "gpu", "cuda")
#: Backend whose arrays the solver accepts.
_BACKEND = "pytorch"
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
    """

    backend: str
    device: str
    put: Callable[[NDArray[Any]], Any]

    @property
    def name(self) -> str:
        """In words."""
        return "NumPy" if self.backend == "numpy" else f"PyTorch on {self.device}"


_NUMPY = Place(backend="numpy", device="cpu", put=np.asarray)


def solver_place(accelerator: str, work: float, needed: float) -> Place:
    """Choose where to solve.

    Parameters
    ----------
    accelerator
        One of `ACCELERATORS`. ``auto`` is a GPU where NVIDIA's driver finds one, PyTorch is
        installed and can use it, and work and memory are enough, otherwise NumPy, which is faster
        than PyTorch on a CPU.
    work
        Pixels of all patterns, times epochs.
    needed
        Bytes of counts, batch and object.

    Raises
    ------
    InvalidValueError
        If it is none of these, or this machine has no such device, or that has too little memory.
    MissingPackageError
        If PyTorch is asked for and not installed.
    """
    check_accelerator(accelerator)
    auto = accelerator == "auto"
    if accelerator == "numpy" or (auto and not _worth_a_gpu(work)):
        return _NUMPY
    try:
        device, free, put = require(_BACKEND).arrays("gpu" if auto else accelerator)
    except InvalidValueError:
        if not auto:
            raise
        log.info("solving with NumPy: there is a GPU, but this PyTorch cannot use it")
        return _NUMPY
    if needed > free:
        got = f"{needed / 2**30:.3g} GiB where {free / 2**30:.3g} GiB are free"
        if auto:
            log.info("solving with NumPy: too much for the memory of the GPU, %s", got)
            return _NUMPY
        rule = "small enough for the memory of the GPU"
        raise InvalidValueError("scan", rule, got, "solve with --accelerator numpy")
    place = Place(backend=_BACKEND, device=device, put=put)
    log.info("solving with %s", place.name)
    return place


def check_accelerator(accelerator: str) -> None:
    """Refuse what is none of `ACCELERATORS`, or needs PyTorch where it is not installed."""
    if accelerator not in ACCELERATORS:
        rule = f"one of {', '.join(ACCELERATORS)}"
        raise InvalidValueError("accelerator", rule, describe(accelerator))
    if accelerator not in ("auto", "numpy"):
        require(_BACKEND)


def _worth_a_gpu(work: float) -> bool:
    return work >= _WORTH_A_GPU and not find_backend(_BACKEND).missing() and _has_gpu()


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
