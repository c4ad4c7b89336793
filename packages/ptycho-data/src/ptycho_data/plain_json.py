"""What can be said in JSON, as bytes that any JSON reader takes."""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["json_bytes", "jsonable"]


def json_bytes(obj: object, *, sort_keys: bool = False) -> bytes:
    """Turn `obj` into the bytes :func:`write_json` writes."""
    text = json.dumps(
        jsonable(obj), indent=2, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False
    )
    # A file name that is not UTF-8 holds lone surrogates; written as \udcXX they are JSON, too.
    return (text + "\n").encode(errors="backslashreplace")


def jsonable(obj: object) -> Any:
    """Turn `obj` into the types JSON knows; see :func:`write_json` for what is accepted."""
    if obj is None or isinstance(obj, bool | int | str):
        return obj
    if isinstance(obj, float):
        return obj if np.isfinite(obj) else None
    if isinstance(obj, np.generic | np.ndarray):
        return _from_numpy(obj)
    if isinstance(obj, os.PathLike):
        return os.fspath(obj)
    if isinstance(obj, Mapping):
        return {str(key): jsonable(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [jsonable(value) for value in obj]
    if isinstance(obj, set | frozenset):
        return sorted(jsonable(value) for value in obj)
    raise TypeError(f"{type(obj).__name__} has no form in JSON; convert it before writing")


def _from_numpy(value: np.generic | npt.NDArray[Any]) -> Any:
    # By kind: tolist() would turn times into plain counts of nanoseconds, silently.
    if value.dtype.kind not in "biufU":
        raise TypeError(f"dtype {value.dtype} has no form in JSON; convert it before writing")
    return jsonable(value.tolist())
