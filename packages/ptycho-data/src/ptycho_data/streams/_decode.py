"""Arrays in CBOR messages of detectors: typed arrays (RFC 8746) and DECTRIS compression."""

import math
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import MissingPackageError
from ptycho_config.install import install_command

from ptycho_data.streams._base import MOST_PIXELS

__all__ = ["MessageError", "as_array", "decode_message", "decompressed", "needed"]

#: Typed arrays of RFC 8746 that detectors send, by their tags: little endian, and single bytes.
_TYPES = {64: "u1", 69: "<u2", 70: "<u4", 71: "<u8", 72: "i1", 77: "<i2", 78: "<i4", 79: "<i8",
          84: "<f2", 85: "<f4", 86: "<f8"}  # fmt: skip
_MULTI_DIMENSIONAL, _COMPRESSED = 40, 56500
_MOST_BYTES = 8 * MOST_PIXELS
#: In front of compressed bytes: size of the data, size of a block; both big endian.
_HEADER = struct.Struct(">QI")
_BLOCK = struct.Struct(">I")


class MessageError(ValueError):
    """A message does not hold what its protocol says; it is left out and counted."""


@frozen(eq=False)
class _Compressed:
    """Bytes that are not decompressed yet: their type is known only with their array."""

    algorithm: str
    item_size: int
    data: bytes


def needed(package: str, module: str, extra: str = "stream") -> Any:
    """Import a package of an extra.

    Raises
    ------
    MissingPackageError
        It is not installed; the message has the command.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        command = install_command(f"ptycho-data[{extra}]")
        msg = f"{package} is needed for this source and is not installed; {command}"
        raise MissingPackageError(msg) from error


@cache
def _loads() -> Callable[[bytes], Any]:
    cbor2 = needed("cbor2", "cbor2")

    def load(data: bytes) -> Any:
        return cbor2.loads(data, tag_hook=_tag_hook)

    return load


def _tag_hook(*arguments: Any) -> Any:
    """Return the array of a tag; older versions of cbor2 give the decoder first."""
    tag = next(a for a in arguments if hasattr(a, "tag"))
    if tag.tag in _TYPES and isinstance(tag.value, bytes):
        return np.frombuffer(tag.value, _TYPES[tag.tag])
    if tag.tag == _COMPRESSED:
        algorithm, size, data = tag.value
        return _Compressed(str(algorithm), int(size), bytes(data))
    if tag.tag == _MULTI_DIMENSIONAL:
        shape, values = tag.value
        return as_array(values, tuple(int(k) for k in shape))
    return tag


def decode_message(data: bytes) -> dict[str, Any]:
    """Return the map in a CBOR message, its arrays as NumPy arrays.

    Raises
    ------
    MessageError
        It is no CBOR map, or an array in it is damaged.
    MissingPackageError
        cbor2, or the package for the compression, is not installed.
    """
    load = _loads()
    try:
        message = load(data)
    except MissingPackageError:
        raise
    except Exception as error:  # the bytes come from outside, and cbor2 wraps what a hook raises
        if isinstance(error.__cause__, MissingPackageError):
            raise error.__cause__ from None
        raise MessageError(f"no CBOR that can be read ({str(error)[:120]})") from error
    if not isinstance(message, dict):
        raise MessageError(f"a CBOR map expected, found {type(message).__name__}")
    return message


#: Types by their size that compressed bytes can have: detectors count.
_UNSIGNED: dict[int, np.dtype[Any]] = {1: np.dtype("u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4")}


def as_array(values: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return values, typed or compressed, as an array of a shape.

    Raises
    ------
    MessageError
        They are of another size, or too many.
    """
    count = math.prod(shape)
    if not shape or min(shape) < 1 or count > MOST_PIXELS:
        raise MessageError(f"an array of at most {MOST_PIXELS} pixels expected, found {shape}")
    if isinstance(values, _Compressed):
        dtype = _UNSIGNED.get(values.item_size)
        if dtype is None:
            raise MessageError(f"items of 1, 2 or 4 bytes expected, found {values.item_size}")
        return decompressed(values.algorithm, values.data, shape, dtype)
    flat = np.asarray(values)
    if flat.size != count or flat.dtype.kind not in "iuf":
        raise MessageError(f"{count} numbers expected for {shape}, found {flat.size} {flat.dtype}")
    return flat.reshape(shape)


def decompressed(
    algorithm: str, data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Decompress the bytes of an array: ``bslz4`` or ``lz4``, as in the HDF5 filters.

    Raises
    ------
    MessageError
        The bytes are damaged, of another size, or of an unknown algorithm.
    """
    size = math.prod(shape) * dtype.itemsize
    if len(data) < _HEADER.size:
        raise MessageError(f"compressed data of {len(data)} bytes")
    total, block = _HEADER.unpack_from(data)
    if total != size or size > _MOST_BYTES:
        raise MessageError(f"{size} bytes expected for {shape} {dtype}, {total} announced")
    try:
        if algorithm == "bslz4":
            items = block // dtype.itemsize
            _check_blocks(data, math.prod(shape), dtype.itemsize, items)
            bitshuffle = needed("bitshuffle", "bitshuffle")
            packed = np.frombuffer(data, np.uint8, offset=_HEADER.size)
            shuffled = bitshuffle.decompress_lz4(packed, shape, dtype, items)
            return np.asarray(shuffled)
        if algorithm == "lz4":
            return np.frombuffer(_lz4(data, size, block), dtype).reshape(shape)
    except MissingPackageError:
        raise
    except Exception as error:  # of the libraries, for damaged bytes
        raise MessageError(f"{algorithm} data that cannot be read ({str(error)[:120]})") from error
    raise MessageError(f"compression bslz4 or lz4 expected, found {algorithm[:20]!r}")


def _check_blocks(data: bytes, items: int, item_size: int, block: int) -> None:
    """Check that compressed blocks end where the data end: the library does not look.

    The last block has what is left, in eights; fewer than eight items follow as they are.
    """
    if block < 8 or block % 8:
        raise MessageError(f"blocks of {block} items")
    at = _HEADER.size
    for _ in range(items // block + (items % block >= 8)):
        if at + _BLOCK.size > len(data):
            raise MessageError("compressed data that end too early")
        at += _BLOCK.size + _BLOCK.unpack_from(data, at)[0]
    if at + items % 8 * item_size > len(data):
        raise MessageError("compressed data that end too early")


def _lz4(data: bytes, size: int, block: int) -> bytes:
    """Decompress the blocks of the HDF5 filter LZ4; one that did not shrink is stored as it is."""
    lz4 = needed("lz4", "lz4.block")
    parts: list[bytes] = []
    at, left = _HEADER.size, size
    while left > 0:
        want = min(block, left)
        (packed,) = _BLOCK.unpack_from(data, at)
        piece = data[at + _BLOCK.size : at + _BLOCK.size + packed]
        parts.append(piece if packed == want else lz4.decompress(piece, uncompressed_size=want))
        at, left = at + _BLOCK.size + packed, left - want
    return b"".join(parts)
