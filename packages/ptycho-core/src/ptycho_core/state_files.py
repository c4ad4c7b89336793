"""Checkpoints as NPZ files: arrays, and a JSON text with all other values; sealed, without code."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ptycho_data import load_arrays

from ptycho_core.checkpoints import write_sealed

__all__ = ["read_state", "write_state"]

_STATE = "state"


def write_state(path: Path, arrays: Mapping[str, ArrayLike], state: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically; it replaces the one before.

    Parameters
    ----------
    path
        The file.
    arrays
        By name; ``state`` is taken.
    state
        Values fit for JSON.

    Raises
    ------
    OSError
        Naming the file, if the disk is full, among others.
    """
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    members: dict[str, Any] = {**arrays, _STATE: text}
    content = io.BytesIO()
    np.savez(content, **members)
    write_sealed(path, content.getbuffer())


def read_state(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read arrays and state of a checkpoint.

    Raises
    ------
    LookupError, OSError, TypeError, ValueError
        If it is another file.
    """
    arrays = load_arrays(path)
    try:
        state = json.loads(arrays.pop(_STATE).tobytes())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return arrays, dict(state)
