"""Mutations of NPZ files: of their members, and of the archive around them."""

import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Random = np.random.Generator
Members = dict[str, bytes]

TYPES = ["?", "i1", "u8", ">i4", "f2", "f8", "g", "c8", "c16", "S4", "U3", "M8[ns]", "V8",
         [("a", "<f4"), ("b", "<u2")]]  # fmt: skip
NAMES = ["{}.npy", "sub/{}", "../{}", "/{}", "{} ", "", "é", "{}\x00", "DIFFRACTION", "diff3d",
         "xcoords", "{}_start", "patterns", "\\{}", "C:{}"]  # fmt: skip
NUMBERS = [np.nan, np.inf, -np.inf, -1, 0, 1e38, 1e300, 1e-300, 2**31, 2**63 - 1]


class Planted:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def encode(array: Any, *, pickles: bool = False) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=pickles)
    return stream.getvalue()


def decode(data: bytes) -> np.ndarray[Any, Any]:
    return np.lib.format.read_array(io.BytesIO(data))


def one_of(members: Members, rng: Random) -> str:
    """A key; half of the time one that every scan has."""
    names = list(members)
    return names[int(rng.integers(0, 4 if rng.random() < 0.5 else len(names)))]


def retype(members: Members, rng: Random, _: Path) -> None:
    name = one_of(members, rng)
    array = decode(members[name])
    kind = np.dtype(TYPES[int(rng.integers(len(TYPES)))])
    try:
        with np.errstate(all="ignore"):
            members[name] = encode(array.real.astype(kind))
    except (TypeError, ValueError):
        members[name] = encode(np.zeros(array.shape, kind))


def reshape(members: Members, rng: Random, _: Path) -> None:
    name = one_of(members, rng)
    array = decode(members[name])
    ways: list[Callable[[], Any]] = [
        array.ravel, lambda: array[np.newaxis], lambda: array[..., np.newaxis], lambda: array.T,
        lambda: array[:0], lambda: array[:-1], lambda: array[0], lambda: array[..., :-1],
        lambda: np.concatenate([array, array]), lambda: np.resize(array, (3, 5)),
        lambda: array.reshape((1,) * 12 + array.shape), lambda: np.asfortranarray(array),
        lambda: array[..., :0], lambda: array.ravel()[:1].reshape(()),
    ]  # fmt: skip
    try:
        members[name] = encode(ways[int(rng.integers(len(ways)))]())
    except (IndexError, ValueError):
        members[name] = encode(np.zeros((0, 0)))


def revalue(members: Members, rng: Random, _: Path) -> None:
    name = one_of(members, rng)
    array = decode(members[name])
    if array.dtype.kind not in "iufc":
        members[name] = encode(
            np.array(str(rng.choice(["", "neither", "{", "[1]", '{"domain": 3}'])))
        )
        return
    number = NUMBERS[int(rng.integers(len(NUMBERS)))]
    with np.errstate(all="ignore"):
        value = np.array(number).astype(array.dtype)
    array = array.copy()
    array[... if rng.random() < 0.5 or not array.ndim else -1] = value
    members[name] = encode(array)


def drop(members: Members, rng: Random, _: Path) -> None:
    del members[one_of(members, rng)]


def rename(members: Members, rng: Random, _: Path) -> None:
    name = one_of(members, rng)
    new = NAMES[int(rng.integers(len(NAMES)))].format(name)
    members[new] = members.pop(name)


def nest(members: Members, rng: Random, _: Path) -> None:
    """An archive within the archive, or an array within an array's bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as inner:
        for key, data in members.items():
            inner.writestr(f"{key}.npy", data)
    name = one_of(members, rng)
    members[name] = stream.getvalue() if rng.random() < 0.5 else encode(stream.getvalue())


def plant(members: Members, rng: Random, trap: Path) -> None:
    bait = np.empty(int(rng.integers(1, 4)), object)
    bait[:] = Planted(trap)
    name = one_of(members, rng)
    content = encode(bait, pickles=True)
    if rng.random() < 0.3:  # the pickle, under a header that speaks of numbers
        content = content.replace(b"'|O'", b"'|u1'")
    members[name] = content


def boast(members: Members, rng: Random, trap: Path) -> None:
    """A header that declares what is not there, or wants to be run."""
    name = one_of(members, rng)
    array = decode(members[name])
    shape: Any = tuple(int(k) << int(rng.integers(10, 62)) for k in (array.shape or (1,)))
    texts = [
        {"descr": "<f8", "fortran_order": False, "shape": shape},
        {"descr": "<f8", "fortran_order": False, "shape": (-1, 8, 8)},
        {"descr": "<f8", "fortran_order": False, "shape": (2**70,)},
        {"descr": "|O", "fortran_order": True, "shape": array.shape},
        {"descr": [("a", "|O")], "fortran_order": True, "shape": array.shape},
        f"open({str(trap)!r}, 'w')",
        "(" * 5000,
        "{'shape': " * 300,
        "",
    ]
    header = str(texts[int(rng.integers(len(texts)))]).encode()
    version = bytes([int(rng.choice([1, 1, 1, 2, 3, 9])), 0])
    length = struct.pack("<H", len(header) & 0xFFFF)
    if rng.random() < 0.2:
        version, length = b"\x02\x00", struct.pack("<I", 2**32 - 1)
    members[name] = b"\x93NUMPY" + version + length + header + array.tobytes()


MEMBERS = [retype, reshape, revalue, drop, rename, nest, plant, boast, retype, reshape]


def _pack(path: Path, members: Members, method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for key, data in members.items():
            archive.writestr(f"{key}.npy", data)


def odd_method(path: Path, members: Members, rng: Random) -> None:
    _pack(path, members, int(rng.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])))


def duplicate(path: Path, members: Members, rng: Random) -> None:
    _pack(path, members)
    name = one_of(members, rng)
    entry = zipfile.ZipInfo(f"{name}.npy")
    with zipfile.ZipFile(path, "a") as archive:
        # The writer warns of a second entry of one name unless it does not know of the first.
        archive.NameToInfo.pop(entry.filename)
        archive.writestr(entry, encode(np.zeros(3)))


def edit_entries(path: Path, members: Members, rng: Random) -> None:
    """Sizes, checksum, method or flags of the list at the end of the archive."""
    _pack(path, members, int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))
    data = bytearray(path.read_bytes())
    places = [k for k in range(len(data) - 46) if data[k : k + 4] == b"PK\x01\x02"]
    start = int(rng.choice(places))
    offset, size = [(8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (42, 4)][
        int(rng.integers(7))
    ]
    old = int.from_bytes(data[start + offset : start + offset + size], "little")
    most = 2 ** (8 * size) - 1
    new = int(rng.choice([0, 1, old ^ 1, min(old * 4, most), most, most // 2]))
    data[start + offset : start + offset + size] = new.to_bytes(size, "little")
    path.write_bytes(data)


@functools.cache
def _zeros(size: int) -> tuple[bytes, int]:
    """Zeros, deflated, and their checksum; some hundred megabytes take a second."""
    packer, crc, block = zlib.compressobj(9, zlib.DEFLATED, -15), 0, bytes(1 << 20)
    packed = []
    for _ in range(size >> 20):
        crc = zlib.crc32(block, crc)
        packed.append(packer.compress(block))
    return b"".join(packed) + packer.flush(), crc


def bomb(path: Path, members: Members, rng: Random) -> None:
    """A member of a few hundred kilobytes that inflates to half a gigabyte."""
    _pack(path, members)
    size = 1 << int(rng.choice([26, 29]))
    data, crc = _zeros(size)
    head = np.lib.format.magic(1, 0)
    text = str({"descr": "|u1", "fortran_order": False, "shape": (size // 64, 8, 8)}).encode()
    head += struct.pack("<H", len(text)) + text
    # A stored block with the header of the array, and then the zeros.
    stream = b"\x00" + struct.pack("<HH", len(head), len(head) ^ 0xFFFF) + head + data
    info = zipfile.ZipInfo(f"{one_of(members, rng)}.npy")
    with zipfile.ZipFile(path, "a") as archive:
        archive.NameToInfo.pop(info.filename)
        archive.filelist = [entry for entry in archive.filelist if entry.filename != info.filename]
        archive.writestr(info, stream)
        entry = archive.getinfo(info.filename)
        entry.compress_type, entry.file_size = zipfile.ZIP_DEFLATED, size + len(head)
        entry.CRC = zlib.crc32(bytes(8), zlib.crc32(head)) if rng.random() < 0.5 else crc


def crowd(path: Path, members: Members, rng: Random) -> None:
    small = encode(np.zeros(1))
    _pack(path, members | {f"k{k}": small for k in range(int(rng.integers(500, 3000)))})


ARCHIVES = [edit_entries, odd_method, duplicate, edit_entries, bomb, crowd, edit_entries]


def mutate(path: Path, kind: Callable[..., None], rng: Random, trap: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {i.filename.removesuffix(".npy"): archive.read(i) for i in archive.infolist()}
        method = archive.infolist()[0].compress_type
    if kind in ARCHIVES:
        kind(path, members, rng)
        return
    kind(members, rng, trap)
    _pack(path, members, method)
