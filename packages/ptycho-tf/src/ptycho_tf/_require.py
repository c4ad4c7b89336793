"""The way into TensorFlow: imported at the first use, named clearly where it is missing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ptycho_config.errors import MissingPackageError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["require_tensorflow"]


def require_tensorflow() -> ModuleType:
    """Import TensorFlow.

    `import ptycho_tf` itself loads no framework, so that a program can look at this package, and
    offer it, on a machine without TensorFlow.

    Returns
    -------
    ModuleType
        The module `tensorflow`.

    Raises
    ------
    MissingPackageError
        If TensorFlow is not installed; the message gives the command that installs it.
    ImportError
        If TensorFlow is installed but does not import: its own error, untouched.
    """
    try:
        return import_module("tensorflow")
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise  # installed but broken: "install it" would mislead
        message = (
            "the TensorFlow backend needs TensorFlow, which is not installed: "
            "run `pip install 'ptycho-tf[cpu]'`, or 'ptycho-tf[gpu]' for NVIDIA GPUs"
        )
        raise MissingPackageError(message) from None
