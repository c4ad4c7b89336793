"""Device of inference, and the share of the work that this process takes.

Lightning is imported only for several processes: importing it takes longer than reconstructing a
small scan.
"""

import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_config import InvalidValueError, PyTorchExecutionConfig
from ptycho_core.solving.arrays import SolverArrays
from ptycho_physics import Processes
from torch import Tensor

from ptycho_torch.memory import keep_freed_memory

_HALF = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}


@frozen(eq=False)
class Runner:
    """The device of this process and its rank among all processes.

    Attributes
    ----------
    device : torch.device
    precision : str
        As in the execution settings.
    fabric : Fabric or None
        Communication between processes; None for a single process.
    """

    device: torch.device
    precision: str = "32-true"
    fabric: Any = field(default=None, repr=False)

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return 1 if self.fabric is None else int(self.fabric.world_size)

    @property
    def main(self) -> bool:
        """Whether this is the process that reports and writes."""
        return self.fabric is None or bool(self.fabric.is_global_zero)

    def autocast(self) -> AbstractContextManager[Any]:
        """Context in which the network may use half precision, if requested."""
        half = _HALF.get(self.precision)
        return nullcontext() if half is None else torch.autocast(self.device.type, half)

    def share(self, batches: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
        """Return the batches of this process: a contiguous range, so that they are neighbours."""
        if self.fabric is None:
            return batches
        size = math.ceil(len(batches) / self.world_size)
        first = size * int(self.fabric.global_rank)
        return batches[first : first + size]

    def sum(self, values: Tensor) -> Tensor:
        """Sum a tensor over all processes; it may be overwritten."""
        if self.fabric is None:
            return values
        values = values.contiguous()
        # Fabric's all_reduce waits for all processes before, which takes as long again
        torch.distributed.all_reduce(torch.view_as_real(values) if values.is_complex() else values)
        return values

    def gather(self, values: Tensor) -> Tensor:
        """Stack the tensors of all processes, of one shape, in the order of their ranks."""
        if self.fabric is None:
            return values.unsqueeze(0)
        # a sum in which each process fills its own slot: Fabric's all_gather raises a FutureWarning
        stacked = values.new_zeros((self.world_size, *values.shape))
        stacked[int(self.fabric.global_rank)] = values
        return self.sum(stacked)


def open_runner(execution: PyTorchExecutionConfig) -> Runner:
    """Choose the device of the execution settings, and connect to other processes if there are any.

    Raises
    ------
    InvalidValueError
        If this machine has no such device.
    """
    keep_freed_memory()
    if execution.device_count == 1:
        return Runner(check_device(execution.accelerator), execution.precision)
    from ptycho_torch.lightning_log import make_fabric, quiet_lightning

    with quiet_lightning():
        strategy = execution.strategy if execution.strategy != "auto" else "ddp"
        fabric = make_fabric(execution, strategy)
        fabric.launch()
    return Runner(fabric.device, execution.precision, fabric)


def check_device(accelerator: str) -> torch.device:
    """Return the device that an accelerator of the execution settings means.

    Raises
    ------
    InvalidValueError
        If this machine has no such device.
    """
    name = str(accelerator)
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    present_kinds = {"cpu": True, "cuda": cuda, "mps": mps}
    candidates = {"auto": ("cuda", "mps", "cpu"), "gpu": ("cuda", "mps")}.get(name, (name,))
    for kind in candidates:
        if present_kinds.get(kind):
            return torch.device(kind)
    available = ", ".join(kind for kind, present in present_kinds.items() if present)
    raise InvalidValueError("accelerator", f"one that this machine has ({available})", repr(name))


def solver_arrays(accelerator: str, devices: int = 1, num_nodes: int = 1) -> SolverArrays:
    """Return the device of this process for the solver: see `ptycho_core.backends.Backend.arrays`.

    Raises
    ------
    InvalidValueError
        If this machine has no such device, or it lacks the float64 of positions.
    """
    device = check_device(accelerator)
    if device.type == "mps":
        rule = "numpy, cpu or cuda for the solver"
        raise InvalidValueError("accelerator", rule, repr(accelerator))
    execution = PyTorchExecutionConfig(
        accelerator=device.type, devices=devices, num_nodes=num_nodes
    )
    runner = open_runner(execution)
    device = runner.device

    def put(values: NDArray[Any]) -> Tensor:
        # PyTorch shares the memory of arrays: it warns of read-only ones, and refuses some.
        flags = values.flags
        own = values if flags.writeable and flags.c_contiguous else values.copy()
        return torch.from_numpy(own).to(device)

    def total(values: Any) -> Any:
        if isinstance(values, Tensor):
            return runner.sum(values)
        return runner.sum(put(np.array(values))).cpu().numpy()

    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf
    processes = Processes()
    if runner.fabric is not None:
        processes = Processes(int(runner.fabric.global_rank), runner.world_size, total)
    return SolverArrays(device=device.type, free=free, put=put, processes=processes)


@contextmanager
def determinism(value: bool | str, device: torch.device) -> Iterator[None]:
    """Restrict torch to bit-reproducible operations if ``deterministic`` is set.

    On a CPU all operations of inference are; torch's switch would import its compiler needlessly.
    """
    if device.type == "cpu":
        yield
        return
    if value:  # required by matrix products up to torch 2.9
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(bool(value), warn_only=value == "warn")
    torch.utils.deterministic.fill_uninitialized_memory = False  # slow self-check of torch
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
        torch.utils.deterministic.fill_uninitialized_memory = filled


def device_names() -> list[str]:
    """Names of the devices that PyTorch sees on this machine."""
    cuda = torch.cuda
    gpus = [f"cuda:{k} {cuda.get_device_name(k)}" for k in range(cuda.device_count())]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]
