"""The registry of backends, which train and run the networks.

A package registers its backend under the entry point group ``ptycho.backends``::

    [project.entry-points."ptycho.backends"]
    pytorch = "ptycho_torch.backend:BACKEND"

The object is a `Backend`, or an instance of a derived class, in a module that imports no framework:
a backend and its features can be listed even if its framework is missing. Selecting one backend
never imports another one.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from attrs import frozen
from ptycho_config.errors import InvalidValueError, MissingPackageError, describe
from ptycho_config.install import SOURCE, install_command

if TYPE_CHECKING:  # listing the backends should not import the data package
    from pathlib import Path

    from ptycho_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
    from ptycho_data import Bundle

    from ptycho_core.networks import Networks
    from ptycho_core.results import InferenceResult, TrainingResult
    from ptycho_core.solving.arrays import SolverArrays
    from ptycho_core.streaming.live import LiveObject

__all__ = ["GROUP", "Backend", "backend_names", "find_backend", "register", "require"]

#: Entry point group that backends are registered under.
GROUP = "ptycho.backends"


@frozen(kw_only=True)
class Backend:
    """A backend: its packages, its features and its calls.

    The methods use what is in `package`, which is imported then: ``training.train``,
    ``reconstruction.reconstruct``, ``settings.check_training``, ``settings.check_inference`` and
    ``networks.NETWORKS``. A backend in one file overrides the methods instead.

    Attributes
    ----------
    name
        Name on the command line and in bundles.
    package
        Import name of the package that holds it.
    framework
        Import name of the framework.
    companions
        Import names of further packages that it cannot do without.
    extra
        Extra of ptycho-cli that installs both; empty if the package is installed by its own name.
    several_scans
        Whether a training can use several scans.
    moving_positions
        Whether training refines scan positions (``positions_trainable``).
    several_devices
        Whether a reconstruction can be shared by several devices.
    one_process
        Whether one process drives all devices of a run; otherwise each device has its own.
    live_reconstruction
        Whether patterns can be added batch by batch while the scan is running.
    solver_arrays
        Whether the iterative solver works on its arrays.
    live_page
        Whether `train` takes a page to show the training on, ``page=``.
    exported_kinds
        Kinds of files that `export` writes.
    """

    name: str
    package: str
    framework: str
    companions: tuple[str, ...] = ()
    extra: str = ""
    several_scans: bool = False
    moving_positions: bool = False
    several_devices: bool = False
    one_process: bool = False
    live_reconstruction: bool = False
    solver_arrays: bool = False
    live_page: bool = False
    exported_kinds: tuple[str, ...] = ()

    @property
    def pip_command(self) -> str:
        """Command that installs the backend, from its `source`."""
        if self.extra:
            return install_command(f"ptycho-cli[{self.extra}]")
        return f'pip install "{self.package.replace("_", "-")}"'

    @property
    def source(self) -> str:
        """Where `pip_command` takes the backend from."""
        return SOURCE if self.extra else "from the package index"

    @property
    def features(self) -> dict[str, bool]:
        """Names of the optional features that the backend has."""
        return {
            "several scans": self.several_scans,
            "moving positions": self.moving_positions,
            "several devices": self.several_devices,
            "live reconstruction": self.live_reconstruction,
            "iterative solver": self.solver_arrays,
            "live page": self.live_page,
        }

    def processes(self, execution: "PyTorchExecutionConfig") -> int:
        """Return the number of processes that do the work of one run together."""
        return 1 if self.one_process else execution.device_count

    def missing(self) -> list[str]:
        """Import names that are not installed (nothing is imported to find out)."""
        needed = (self.package, self.framework, *self.companions)
        return [name for name in needed if find_spec(name) is None]

    def check_training(
        self, config: "TrainingConfig", execution: "PyTorchExecutionConfig", scans: int = 1
    ) -> None:
        """Refuse settings that cannot work with this backend, before any work is done.

        Raises
        ------
        InvalidValueError
            If a setting is invalid; the message names it.
        MissingPackageError
            If the backend, or a package that the settings need, is missing or broken.
        """
        if scans != 1 and not self.several_scans:
            self._refuse("scans", "one", str(scans), "several_scans")
        if config.positions_trainable and not self.moving_positions:
            self._refuse("positions_trainable", "false", "true", "moving_positions")
        self._attribute("settings", "check_training")(config, execution, scans)

    def check_inference(
        self, config: "InferenceConfig", execution: "PyTorchExecutionConfig"
    ) -> None:
        """Refuse settings of a reconstruction that cannot work, like `check_training`."""
        del config  # for backends that override this
        if execution.device_count != 1 and not self.several_devices:
            number = str(execution.device_count)
            self._refuse("devices", "1 to reconstruct", number, "several_devices")
        self._attribute("settings", "check_inference")(execution)

    def check_start(self, start: "Bundle", model: "ModelConfig") -> None:
        """Refuse to train a network from the weights of another one.

        Raises
        ------
        InvalidValueError
            Naming the first setting that differs: see `ptycho_core.fine_tuning`.
        """
        from ptycho_core.fine_tuning import check_start  # imports the data package

        check_start(start, model, self._networks.find(model.architecture))

    def recommended_rate(self, model: "ModelConfig") -> float:
        """Return the learning rate that the network of a model recommends."""
        rate: float = self._networks.to_train(model).recommended_rate
        return rate

    @property
    def _networks(self) -> "Networks[Any]":
        found: Networks[Any] = self._attribute("networks", "NETWORKS")
        return found

    def train(self, *scans: Any, **arguments: Any) -> "TrainingResult":
        """Train: ``train(scans, config, execution, *, output, probe=None, test_scan=None, ...)``.

        Parameters and errors are those of ``ptycho_torch.training.train``.
        """
        result: TrainingResult = self._attribute("training", "train")(*scans, **arguments)
        return result

    def reconstruct(self, *what: Any, **arguments: Any) -> "InferenceResult":
        """Reconstruct: ``reconstruct(bundle, scan, config, execution, *, probe, progress)``.

        Parameters and errors are those of ``ptycho_torch.reconstruction.reconstruct``.
        """
        result: InferenceResult = self._attribute("reconstruction", "reconstruct")(
            *what, **arguments
        )
        return result

    def live(self, bundle: "Bundle", **arguments: Any) -> "LiveObject":
        """Return an object that patterns are added to while the scan is running.

        Parameters and errors are those of ``ptycho_torch.Reconstructor``.

        Raises
        ------
        InvalidValueError
            The backend has no live reconstruction.
        """
        if not self.live_reconstruction:
            self._refuse(
                "backend", "one with live reconstruction", self.name, "live_reconstruction"
            )
        found: LiveObject = self._attribute("reconstructor", "Reconstructor")(bundle, **arguments)
        return found

    def arrays(self, accelerator: str, devices: int = 1, num_nodes: int = 1) -> "SolverArrays":
        """Return the device of this process for the iterative solver.

        With several ``devices`` of each of ``num_nodes`` nodes, the processes that drive the others
        are started, or found where a launcher has started them.

        Raises
        ------
        InvalidValueError
            If this machine has no such device, or the solver does not work on these arrays.
        """
        if not self.solver_arrays:
            self._refuse("accelerator", "numpy", accelerator, "solver_arrays")
        found: SolverArrays
        found = self._attribute("devices", "solver_arrays")(accelerator, devices, num_nodes)
        return found

    def export(
        self, bundle: "Bundle", path: "Path", kind: str, **options: Any
    ) -> dict[str, dict[str, tuple[int | str, ...]]]:
        """Write the network of a bundle for other programs: see ``ptycho_torch.exporting``.

        Returns
        -------
        dict
            ``inputs`` and ``outputs``, each name to shape.

        Raises
        ------
        InvalidValueError
            The backend writes no such files, or the network cannot be one.
        """
        if kind not in self.exported_kinds:
            rule = f"one of {', '.join(self.exported_kinds) or 'none'} with backend {self.name}"
            raise InvalidValueError("kind", rule, describe(kind))
        made: dict[str, dict[str, tuple[int | str, ...]]]
        made = self._attribute("exporting", "export")(bundle, path, kind, **options)
        return made

    def devices(self) -> list[str]:
        """Names of the devices that the framework finds on this machine."""
        found: list[str] = self._attribute("devices", "device_names")()
        return found

    def _refuse(self, name: str, rule: str, got: str, feature: str) -> None:
        able = [other for other in backend_names() if _has(other, feature)]
        advice = f"use {' or '.join(able)}" if able else ""
        raise InvalidValueError(name, f"{rule} with backend {self.name}", got, advice)

    def _attribute(self, module: str, attribute: str) -> Any:
        path = f"{self.package}.{module}"
        try:
            found = import_module(path)
        except ImportError as error:
            raise MissingPackageError(
                f"backend {self.name} is installed but cannot be imported ({error}); "
                f"repair it {self.source}: {self.pip_command} --force-reinstall"
            ) from error
        return getattr(found, attribute)


#: Our own backends, so that they can be listed and installed if their package is missing.
_OURS: Mapping[str, Backend] = {
    "pytorch": Backend(
        name="pytorch",
        package="ptycho_torch",
        framework="torch",
        companions=("lightning",),
        extra="torch",
    ),
    "tensorflow": Backend(
        name="tensorflow", package="ptycho_tf", framework="tensorflow", extra="tf"
    ),
}

#: Backends registered by a call, for this process only; they take precedence over installed ones.
_REGISTERED: dict[str, Backend] = {}


@cache
def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def register(backend: Backend) -> None:
    """Register a backend for this process, without installing it."""
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
        It is registered, but its entry point cannot be imported.
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
        message = (
            f"backend {name} is registered by {entry.value}, which cannot be imported: {error}"
        )
        raise MissingPackageError(message) from error
    if not isinstance(backend, Backend):
        message = f"backend {name} is registered by {entry.value}, which is not a Backend"
        raise MissingPackageError(message)
    return backend


def require(name: str) -> Backend:
    """Return the backend called ``name`` after checking that it is installed.

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
            f"install it {backend.source}: {backend.pip_command}"
        )
        raise MissingPackageError(msg)
    return backend


def _has(name: str, feature: str) -> bool:
    try:
        return bool(getattr(find_backend(name), feature))
    except MissingPackageError:
        return False
