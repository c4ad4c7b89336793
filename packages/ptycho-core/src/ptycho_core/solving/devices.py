"""The devices that the solver is asked to work on."""

from attrs import frozen
from ptycho_config.errors import InvalidValueError, describe

from ptycho_core.backends import require

__all__ = ["ACCELERATORS", "BACKEND", "Devices"]

#: Values of ``accelerator``; ``cpu``, ``gpu`` and ``cuda`` are devices of PyTorch.
ACCELERATORS = ("auto", "numpy", "cpu", "gpu", "cuda")
#: Backend whose arrays the solver accepts.
BACKEND = "pytorch"


@frozen(kw_only=True)
class Devices:
    """The devices that are asked for.

    Attributes
    ----------
    accelerator
        One of `ACCELERATORS`. ``auto`` is a GPU where NVIDIA's driver finds one, PyTorch is
        installed and can use it, and work and memory are enough, otherwise NumPy, which is faster
        than PyTorch on a CPU. Of several devices it is whatever kind this machine has.
    devices, num_nodes
        Number of devices of each node, and of nodes.
    """

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1

    @property
    def number(self) -> int:
        """Number of devices of all nodes, each of which has a process."""
        return self.devices * self.num_nodes

    def check(self) -> None:
        """Refuse what cannot work, before any work is done.

        Raises
        ------
        InvalidValueError
            If the accelerator is unknown, or NumPy is asked for several devices.
        MissingPackageError
            If PyTorch is asked for and not installed.
        """
        if self.accelerator not in ACCELERATORS:
            rule = f"one of {', '.join(ACCELERATORS)}"
            raise InvalidValueError("accelerator", rule, describe(self.accelerator))
        for name in ("devices", "num_nodes"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InvalidValueError(name, "a whole number >= 1", describe(value))
        if self.number > 1 and self.accelerator == "numpy":
            raise InvalidValueError("devices", "1 with accelerator numpy", f"{self.number}")
        if self.number > 1 or self.accelerator not in ("auto", "numpy"):
            require(BACKEND)
