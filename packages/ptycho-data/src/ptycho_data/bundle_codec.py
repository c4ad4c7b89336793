"""Each member of a bundle from and to bytes: JSON, NPY, safetensors; nothing that runs code."""

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_data.atomic import write_npy
from ptycho_data.bundle_zip import BundleError, Members
from ptycho_data.npy_header import NpyHeaderError, read_header

__all__ = [
    "decode_history",
    "decode_probe",
    "decode_weights",
    "encode_probe",
    "encode_weights",
    "refuse_nonfinite",
]


def refuse_nonfinite(where: str, value: object) -> None:
    """Refuse NaN and inf: JSON has none, and a setting must come back as it was.

    Raises
    ------
    ValueError
        Naming the place, as a dotted path that begins with `where`.
    """
    if isinstance(value, float | np.floating) and not math.isfinite(value):
        raise ValueError(f"{where}: must be finite to be saved, found {value}")
    if isinstance(value, Mapping):
        for key, item in value.items():
            refuse_nonfinite(f"{where}.{key}", item)
    elif isinstance(value, list | tuple | np.ndarray):
        for index, item in enumerate(value):
            refuse_nonfinite(f"{where}[{index}]", item)


def encode_probe(probe: npt.NDArray[np.complex64]) -> bytes:
    """Write the probe as NPY."""
    stream = io.BytesIO()
    write_npy(stream, probe)
    return stream.getvalue()


def decode_probe(members: Members, data: bytes) -> npt.NDArray[np.complex64]:
    """Read the NPY; its stated shape is held against the bytes before anything is allocated.

    Raises
    ------
    BundleError
        Not NPY, not complex64, or not as many bytes as the shape says.
    """
    try:
        header = read_header(io.BytesIO(data))
    except NpyHeaderError as error:
        raise BundleError(members.path, f"member 'probe.npy' is not NPY ({error})") from error
    payload = memoryview(data)[header.size :]
    if header.dtype.newbyteorder("=") != np.complex64 or header.nbytes != len(payload):
        found = f"{header.describe()} in {len(payload)} bytes"
        raise BundleError(members.path, f"member 'probe.npy' must be complex64, found {found}")
    flat = np.frombuffer(payload, header.dtype).astype(np.complex64)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def encode_weights(weights: dict[str, npt.NDArray[Any]]) -> bytes:
    """Write named arrays as safetensors."""
    data: bytes = _safetensors().save(weights)
    return data


def decode_weights(members: Members, data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Read named arrays from safetensors.

    Raises
    ------
    BundleError
        The bytes are something else.
    """
    safetensors = _safetensors()
    try:
        return dict(safetensors.load(data))
    except Exception as error:  # its error type comes from an extension; all mean the same here
        problem = f"member 'weights.safetensors' cannot be read ({error})"
        raise BundleError(members.path, problem) from error


def decode_history(members: Members, table: Mapping[str, Any]) -> dict[str, list[float]]:
    """Read lists of numbers, with null for NaN.

    Raises
    ------
    BundleError
        There is something else in them.
    """
    try:
        return {
            name: [math.nan if value is None else float(value) for value in values]
            for name, values in table.items()
        }
    except (TypeError, ValueError) as error:
        problem = f"member 'history.json' must hold lists of numbers ({error})"
        raise BundleError(members.path, problem) from error


def _safetensors() -> Any:
    """Import late: a scan is read, checked and grouped without it."""
    try:
        import safetensors.numpy
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "bundles need the package safetensors: pip install 'ptycho-data[bundle]'"
        ) from error
    return safetensors.numpy
