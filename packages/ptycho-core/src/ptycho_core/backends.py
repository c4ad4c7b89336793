"""The registry of backends: what trains and runs the networks.

A package registers its backend under the entry point group ``ptycho.backends``::

    [project.entry-points."ptycho.backends"]
    pytorch = "ptycho_torch.backend:BACKEND"

The object is a `Backend`, or of a class derived from it, in a module that imports no framework: a
backend can be listed, and its features asked for, where its framework is missing. Selecting one
backend never imports another one.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from attrs import frozen
from ptycho_config.errors import InvalidValueError, MissingPackageError, describe

if TYPE_CHECKING:  # light: listing the backends needs no data
    from ptycho_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig

    from ptycho_core.results import InferenceResult, TrainingResult

__all__ = ["GROUP", "Backend", "backend_names", "find_backend", "register", "require"]

#: Entry point group that backends are registered under.
GROUP = "ptycho.backends"


@frozen(kw_only=True)
class Backend:
    """A backend: what it is made of, what it can do, and the calls it answers.

    The methods call functions of `package`, which is imported then: ``training.train``,
    ``reconstruction.reconstruct``, ``settings.check_training``, ``settings.check_inference`` and
    ``settings.recommended_rate``. A backend in one file overrides the methods instead.

    Attributes
    ----------
    name
        Name on the command line and in bundles.
    package
        Import name of the package that holds it.
    framework
        Import name of the framework.
    extra
        Extra of ptycho-cli that installs both; empty where pip knows the package by its own name.
    several_scans
        Whether one training takes several scans.
    moving_positions
        Whether training refines scan positions (``positions_trainable``).
    several_devices
        Whether a reconstruction is shared by several devices.
    live_reconstruction
        Whether patterns can be added batch by batch while the scan is running.
    """

    name: str
    package: str
    framework: str
    extra: str = ""
    several_scans: bool = False
    moving_positions: bool = False
    several_devices: bool = False
    live_reconstruction: bool = False

    @property
    def pip_command(self) -> str:
        """Command that installs the backend."""
        wanted = f"ptycho-cli[{self.extra}]" if self.extra else self.package.replace("_", "-")
        return f'pip install "{wanted}"'

    @property
    def features(self) -> dict[str, bool]:
        """What the backend can do besides training and reconstructing, by name."""
        return {
            "several scans": self.several_scans,
            "moving positions": self.moving_positions,
            "several devices": self.several_devices,
            "live reconstruction": self.live_reconstruction,
        }

    def missing(self) -> list[str]:
        """Import names that are not installed (nothing is imported to find out)."""
        return [name for name in (self.package, self.framework) if find_spec(name) is None]

    def check_training(
        self, config: "TrainingConfig", execution: "PyTorchExecutionConfig", scans: int = 1
    ) -> None:
        """Refuse settings that cannot work with this backend, before any work is done.

        Raises
        ------
        InvalidValueError
            Naming the setting.
        MissingPackageError
            The backend is missing or broken, or something that the settings need.
        """
        if scans != 1 and not self.several_scans:
            self._refuse("scans", "one", str(scans), "several_scans")
        if config.positions_trainable and not self.moving_positions:
            self._refuse("positions_trainable", "false", "true", "moving_positions")
        self._call("settings", "check_training")(config, execution, scans)

    def check_inference(
        self, config: "InferenceConfig", execution: "PyTorchExecutionConfig"
    ) -> None:
        """Refuse settings of a reconstruction, as `check_training` does those of a training."""
        del config  # for backends that override this
        if execution.devices * execution.num_nodes != 1 and not self.several_devices:
            number = str(execution.devices * execution.num_nodes)
            self._refuse("devices", "1 to reconstruct", number, "several_devices")
        self._call("settings", "check_inference")(execution)

    def recommended_rate(self, model: "ModelConfig") -> float:
        """Return the learning rate that the network of a model recommends."""
        rate: float = self._call("settings", "recommended_rate")(model)
        return rate

    def train(self, *scans: Any, **arguments: Any) -> "TrainingResult":
        """Train: ``train(scans, config, execution, *, output, probe=None, test_scan=None, ...)``.

        Parameters and errors are those of ``ptycho_torch.training.train``.
        """
        result: TrainingResult = self._call("training", "train")(*scans, **arguments)
        return result

    def reconstruct(self, *what: Any, **arguments: Any) -> "InferenceResult":
        """Reconstruct: ``reconstruct(bundle, scan, config, execution, *, probe, progress)``.

        Parameters and errors are those of ``ptycho_torch.reconstruction.reconstruct``.
        """
        result: InferenceResult = self._call("reconstruction", "reconstruct")(*what, **arguments)
        return result

    def devices(self) -> list[str]:
        """Names of the devices that the framework sees here."""
        found: list[str] = self._call("devices", "device_names")()
        return found

    def _refuse(self, name: str, rule: str, got: str, feature: str) -> None:
        able = [other for other in backend_names() if _has(other, feature)]
        advice = f"use {' or '.join(able)}" if able else ""
        raise InvalidValueError(name, f"{rule} with backend {self.name}", got, advice)

    def _call(self, module: str, attribute: str) -> Callable[..., Any]:
        path = f"{self.package}.{module}"
        try:
            found = import_module(path)
        except ImportError as error:
            raise MissingPackageError(
                f"backend {self.name} is installed but does not load ({error}); "
                f"repair it with: {self.pip_command} --force-reinstall"
            ) from error
        entry: Callable[..., Any] = getattr(found, attribute)
        return entry


#: How to get the backends that are ours, where their package is not installed.
_OURS: Mapping[str, Backend] = {
    "pytorch": Backend(name="pytorch", package="ptycho_torch", framework="torch", extra="torch"),
    "tensorflow": Backend(
        name="tensorflow", package="ptycho_tf", framework="tensorflow", extra="tf"
    ),
}

#: Backends of this process alone, registered by a call; they win over installed ones.
_REGISTERED: dict[str, Backend] = {}


@cache
def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def register(backend: Backend) -> None:
    """Make a backend known to this process by its name, without installing it."""
    _REGISTERED[backend.name] = backend


def backend_names() -> list[str]:
    """Names of all known backends, ours first, whether or not they are installed."""
    others = {*_installed(), *_REGISTERED} - set(_OURS)
    return [*_OURS, *sorted(others)]


def find_backend(name: str) -> Backend:
    """Return the backend called ``name``; its framework is neither needed nor imported.

    Raises
    ------
    InvalidValueError
        No backend has that name.
    MissingPackageError
        It is registered, but what it is registered by does not load.
    """
    if name in _REGISTERED:
        return _REGISTERED[name]
    entry = _installed().get(name)
    if entry is None:
        if name in _OURS:
            return _OURS[name]
        raise InvalidValueError("backend", f"one of {', '.join(backend_names())}", describe(name))
    try:
        backend = entry.load()
    except Exception as error:  # foreign code may raise anything while it is imported
        message = f"backend {name} is registered by {entry.value}, which does not load: {error}"
        raise MissingPackageError(message) from error
    if not isinstance(backend, Backend):
        message = f"backend {name} is registered by {entry.value}, which is not a Backend"
        raise MissingPackageError(message)
    return backend


def require(name: str) -> Backend:
    """Return the backend called ``name``, known to be installed.

    Raises
    ------
    InvalidValueError
        No backend has that name.
    MissingPackageError
        It is not installed; the message has the pip command.
    """
    backend = find_backend(name)
    missing = backend.missing()
    if missing:
        msg = (
            f"backend {name} is not installed ({', '.join(missing)} missing); "
            f"install it with: {backend.pip_command}"
        )
        raise MissingPackageError(msg)
    return backend


def _has(name: str, feature: str) -> bool:
    try:
        return bool(getattr(find_backend(name), feature))
    except MissingPackageError:
        return False
