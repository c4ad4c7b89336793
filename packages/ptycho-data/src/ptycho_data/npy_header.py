"""The ``.npy`` header, parsed with limits and without evaluating anything."""

import ast
import math
import re
import warnings
from typing import IO, Any

import numpy as np
from attrs import frozen

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4}
_MAX_LENGTH = 10_000
_MAX_AXES = 8
_MAX_EXTENT = 1 << 62
# Numbers, booleans and strings; no objects (pickle), no records, no sub-arrays.
_PLAIN_DTYPE = re.compile(r"[<>|=]?[?biufcSU][0-9]*")


class NpyHeaderError(Exception):
    """A header that cannot be accepted.

    Parameters
    ----------
    found, expected
        The two halves of the complaint.
    """

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"found {found}, expected {expected}")
        self.found = found
        self.expected = expected


@frozen(kw_only=True)
class NpyHeader:
    """What a ``.npy`` header declares.

    Attributes
    ----------
    shape, dtype
        Of the array.
    fortran
        Whether the first axis varies fastest.
    size
        Bytes before the first array element.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    size: int

    @property
    def nbytes(self) -> int:
        """Bytes of the array, as an integer without overflow."""
        return math.prod(self.shape) * self.dtype.itemsize

    def describe(self) -> str:
        """Return dtype and shape in words for a message."""
        return f"{self.dtype} {self.shape}"


def read_header(stream: IO[bytes]) -> NpyHeader:
    """Read the header at the start of a ``.npy`` stream (format versions 1.0 and 2.0).

    Parameters
    ----------
    stream
        Positioned at the first byte; at most 10 kB are read.

    Returns
    -------
    NpyHeader
        What it declares; only numbers, booleans and strings are accepted.

    Raises
    ------
    NpyHeaderError
        If it is no such header.
    """
    magic = stream.read(8)
    width = _LENGTH_BYTES.get(magic[6:])
    if magic[:6] != _MAGIC or width is None:
        raise NpyHeaderError("no .npy header", "an array written by numpy.savez")
    length = int.from_bytes(stream.read(width), "little")
    if length > _MAX_LENGTH:
        raise NpyHeaderError(f"a .npy header of {length} bytes", f"at most {_MAX_LENGTH}")
    shape, descr, fortran = _parse(stream.read(length))
    size = len(magic) + width + length
    return NpyHeader(shape=shape, dtype=_plain_dtype(descr), fortran=fortran, size=size)


def _parse(text: bytes) -> tuple[tuple[int, ...], object, bool]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged text may hold invalid escapes
            content = ast.literal_eval(text.decode("latin-1").strip())
        shape, descr, fortran = content["shape"], content["descr"], content["fortran_order"]
    except (ValueError, TypeError, KeyError, SyntaxError, MemoryError, RecursionError):
        raise NpyHeaderError(
            "an unreadable .npy header", "shape, descr and fortran_order"
        ) from None
    plain = (
        isinstance(shape, tuple)
        and len(shape) <= _MAX_AXES
        and all(type(extent) is int and 0 <= extent <= _MAX_EXTENT for extent in shape)
        and isinstance(fortran, bool)
    )
    if not plain:
        raise NpyHeaderError("an impossible shape or order in the .npy header", "a real shape")
    return shape, descr, fortran


def _plain_dtype(descr: object) -> np.dtype[Any]:
    if isinstance(descr, str) and _PLAIN_DTYPE.fullmatch(descr):
        try:
            return np.dtype(descr)
        except (TypeError, ValueError):
            pass
    shown = repr(descr)[:60]
    hint = " (pickled objects are never loaded)" if "O" in shown else ""
    raise NpyHeaderError(f"dtype {shown}{hint}", "plain numbers or strings")
