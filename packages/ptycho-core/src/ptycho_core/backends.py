"""The one door to the deep-learning backends: imported by name, when work needs them.

Selecting one backend never imports the other; a missing one is named with the pip command.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from attrs import frozen
from ptycho_config.errors import InvalidValueError, MissingPackageError

if TYPE_CHECKING:  # light: whoever lists the backends needs no data
    from ptycho_core.results import InferenceResult, TrainingResult

__all__ = ["BACKENDS", "Backend", "check_settings", "reconstructor", "require", "trainer"]


@frozen(kw_only=True)
class Backend:
    """What a backend is made of.

    Attributes
    ----------
    name
        Name on the command line and in bundles.
    package
        Our package that holds it.
    framework
        The framework's import name.
    extra
        Extra of this package that installs both.
    """

    name: str
    package: str
    framework: str
    extra: str

    @property
    def pip_command(self) -> str:
        """Command that installs the backend."""
        return f'pip install "ptycho-cli[{self.extra}]"'

    def missing(self) -> list[str]:
        """Import names that are not installed (nothing is imported to find out)."""
        return [name for name in (self.package, self.framework) if find_spec(name) is None]


BACKENDS = {
    "pytorch": Backend(name="pytorch", package="ptycho_torch", framework="torch", extra="torch"),
    "tensorflow": Backend(
        name="tensorflow", package="ptycho_tf", framework="tensorflow", extra="tf"
    ),
}


def require(name: str) -> Backend:
    """Return the backend called ``name``, known to be installed.

    Raises
    ------
    InvalidValueError
        No backend has that name.
    MissingPackageError
        It is not installed; the message has the pip command.
    """
    if name not in BACKENDS:
        raise InvalidValueError("backend", f"one of {', '.join(BACKENDS)}", repr(name))
    backend = BACKENDS[name]
    missing = backend.missing()
    if missing:
        msg = (
            f"backend {name} is not installed ({', '.join(missing)} missing); "
            f"install it with: {backend.pip_command}"
        )
        raise MissingPackageError(msg)
    return backend


def _entry(name: str, module: str, attribute: str) -> Callable[..., Any]:
    backend = require(name)
    path = f"{backend.package}.{module}"
    try:
        found = import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise _broken(backend, error) from error
        msg = f"backend {name} cannot do this yet in the installed version of {backend.package}"
        raise MissingPackageError(msg) from error
    except ImportError as error:
        raise _broken(backend, error) from error
    entry: Callable[..., Any] = getattr(found, attribute)
    return entry


def _broken(backend: Backend, error: ImportError) -> MissingPackageError:
    return MissingPackageError(
        f"backend {backend.name} is installed but does not load ({error}); "
        f"repair it with: {backend.pip_command} --force-reinstall"
    )


def check_settings(name: str, work: str, *settings: Any) -> None:
    """Let a backend refuse settings that cannot work with it, before any work is done.

    Parameters
    ----------
    name
        Of the backend.
    work
        ``"training"`` or ``"inference"``.
    settings
        Configurations that the backend's check of this work takes.

    Raises
    ------
    InvalidValueError
        With the backend's words.
    MissingPackageError
        The backend is missing or broken, or something that the settings need.
    """
    backend = require(name)
    if find_spec(f"{backend.package}.settings") is None:
        return  # nothing that a backend must have
    _entry(name, "settings", f"check_{work}")(*settings)


def trainer(name: str) -> "Callable[..., TrainingResult]":
    """Return ``train(scan, config, execution, ...)`` of a backend.

    Raises
    ------
    MissingPackageError
        The backend is missing or broken.
    """
    return _entry(name, "training", "train")


def reconstructor(name: str) -> "Callable[..., InferenceResult]":
    """Return ``reconstruct(bundle, scan, config, execution)`` of a backend.

    Raises
    ------
    MissingPackageError
        The backend is missing or broken.
    """
    return _entry(name, "reconstruction", "reconstruct")
