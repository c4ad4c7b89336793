"""Import TensorFlow on first use; if it is missing, name the command that installs it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ptycho_config.errors import MissingPackageError
from ptycho_config.install import SOURCE, install_command

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["require_tensorflow"]


def require_tensorflow() -> ModuleType:
    """Import TensorFlow.

    `import ptycho_tf` itself imports no framework, so that a program can list this backend on a
    machine without TensorFlow.

    Returns
    -------
    ModuleType
        The module `tensorflow`.

    Raises
    ------
    MissingPackageError
        If TensorFlow is not installed; the message gives the command that installs it.
    ImportError
        If TensorFlow is installed but cannot be imported: its own error, unchanged.
    """
    try:
        return import_module("tensorflow")
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise  # installed but broken: "install it" would mislead
        message = (
            "the TensorFlow backend needs TensorFlow, which is not installed; install it "
            f"{SOURCE}: {install_command('ptycho-tf[cpu]')} (with [gpu] for NVIDIA GPUs)"
        )
        raise MissingPackageError(message) from None
