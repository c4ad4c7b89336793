"""TensorFlow and Keras, for every module that computes with them: one way in.

Keras must run on TensorFlow here; it takes the word for it from the environment, before its first
import. What TensorFlow's libraries write to the terminal about the machine is kept off it, unless
somebody has set ``TF_CPP_MIN_LOG_LEVEL``; failures are exceptions.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ptycho_config.errors import MissingPackageError

from ptycho_tf._require import require_tensorflow

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

__all__ = ["keras", "tf"]

_LEVEL, _FAILURES = "TF_CPP_MIN_LOG_LEVEL", "3"


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Keep what compiled code writes on standard error off the terminal."""
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
        tf = require_tensorflow()
        keras = _require_keras()
