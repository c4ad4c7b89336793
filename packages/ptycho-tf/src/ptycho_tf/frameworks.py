"""Import TensorFlow and Keras for all modules that compute with them.

Keras must run on TensorFlow here; it reads this choice from the environment at its first import.
Messages of TensorFlow's libraries about the machine are suppressed unless ``TF_CPP_MIN_LOG_LEVEL``
is set; failures raise exceptions.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ptycho_config.errors import MissingPackageError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

__all__ = ["keras", "tf"]

_LEVEL, _FAILURES = "TF_CPP_MIN_LOG_LEVEL", "3"


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Suppress what compiled code writes to standard error."""
    if os.environ.setdefault(_LEVEL, _FAILURES) != _FAILURES:
        yield
        return
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)


def _require_keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    library = import_module("keras")
    found = library.backend.backend()
    if found != "tensorflow":
        msg = (
            f"the TensorFlow backend needs Keras on TensorFlow, found it on {found}: set "
            "KERAS_BACKEND=tensorflow before Keras is loaded"
        )
        raise MissingPackageError(msg)
    return library


if not TYPE_CHECKING:
    with _without_remarks():
        tf = import_module("tensorflow")
        keras = _require_keras()
