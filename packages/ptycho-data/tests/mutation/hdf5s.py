"""Mutations of HDF5 files: of datasets, attributes and links."""

import functools
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Random = np.random.Generator

#: Fills a file that no reader may look into.
DECOY = 31337
NUMBERS = [np.nan, np.inf, -1, 0, 1e38, 1e300, 1e-300, 2**31, 2**63 - 1]
TYPES = ["?", "i1", "u8", ">i4", "f2", "f8", "g", "c16", "S4", [("a", "<f4"), ("b", "<u2")],
         [("r", "<f4"), ("i", "<f4")]]  # fmt: skip


def _datasets(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visititems(
        lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None
    )
    return found


def _one_of(file: h5py.File, rng: Random) -> str:
    names = _datasets(file)
    return names[int(rng.integers(len(names)))]


def _replace(file: h5py.File, name: str, values: Any, **options: Any) -> None:
    attributes = dict(file[name].attrs)
    del file[name]
    made = file.create_dataset(name, data=values, **options)
    made.attrs.update(attributes)


def drop(file: h5py.File, rng: Random) -> None:
    del file[_one_of(file, rng)]


def rename(file: h5py.File, rng: Random) -> None:
    name = _one_of(file, rng)
    new = ["x{}", "deep/er/{}", "é", "PATTERNS", "pp", "entry_2/data", "..", "{}.", "{} "]
    file.move(name, new[int(rng.integers(len(new)))].format(name))
    if rng.random() < 0.3:
        file[name] = np.zeros(())


def retype(file: h5py.File, rng: Random) -> None:
    name = _one_of(file, rng)
    old, kind = file[name][()], np.dtype(TYPES[int(rng.integers(len(TYPES)))])
    try:
        with np.errstate(all="ignore"):
            _replace(file, name, np.real(old).astype(kind))
    except (TypeError, ValueError):
        _replace(file, name, np.zeros(np.shape(old), kind))


def odd_type(file: h5py.File, rng: Random) -> None:
    """What HDF5 can say and no scan does: text, references, lists, names for numbers, nothing."""
    name = _one_of(file, rng)
    shape = file[name].shape
    kinds: list[Any] = [
        h5py.string_dtype(), h5py.ref_dtype, h5py.regionref_dtype, h5py.vlen_dtype(np.float32),
        h5py.enum_dtype({"a": 0, "b": 1}), h5py.opaque_dtype(np.dtype("M8[ns]")), h5py.Empty("f4"),
    ]  # fmt: skip
    kind = kinds[int(rng.integers(len(kinds)))]
    del file[name]
    if isinstance(kind, h5py.Empty):
        file[name] = kind
    else:
        file.create_dataset(name, shape, kind)


def reshape(file: h5py.File, rng: Random) -> None:
    name = _one_of(file, rng)
    array = np.asarray(file[name][()])
    ways: list[Callable[[], Any]] = [
        array.ravel, lambda: array[np.newaxis], lambda: array[..., np.newaxis], lambda: array.T,
        lambda: array[:0], lambda: array[:-1], lambda: array[0], lambda: array[..., :-1],
        lambda: np.concatenate([array, array]), lambda: np.resize(array, (3, 5)),
        lambda: array.reshape((1,) * 12 + array.shape), lambda: array.ravel()[:1].reshape(()),
    ]  # fmt: skip
    try:
        values = ways[int(rng.integers(len(ways)))]()
    except (IndexError, ValueError):
        values = np.zeros((0, 0))
    _replace(file, name, values)


def revalue(file: h5py.File, rng: Random) -> None:
    name = _one_of(file, rng)
    array = np.array(file[name][()])
    with np.errstate(all="ignore"):
        value = np.array(NUMBERS[int(rng.integers(len(NUMBERS)))]).astype(array.dtype)
    if array.size:
        array[... if rng.random() < 0.5 or not array.ndim else -1] = value
    _replace(file, name, array)


def attribute(file: h5py.File, rng: Random) -> None:
    """Attributes that are missing, of another type, or of no use."""
    owners = [file, *(file[name] for name in _datasets(file))]
    owners = [item for item in owners if len(item.attrs)]
    if not owners:
        revalue(file, rng)
        return
    item = owners[int(rng.integers(len(owners)))]
    name = list(item.attrs)[int(rng.integers(len(item.attrs)))]
    number = NUMBERS[int(rng.integers(len(NUMBERS)))]
    values: list[Any] = [number, float(number), "text", np.zeros(0), np.ones(5), h5py.Empty("f4"),
                         np.ones((2, 2), np.complex64), "x" * 60_000, b"\xff\xfe", 1j]  # fmt: skip
    del item.attrs[name]
    if rng.random() < 0.85:
        item.attrs[name] = values[int(rng.integers(len(values)))]


def link(file: h5py.File, rng: Random) -> None:
    """Links in a circle, into nothing, to somewhere else in the file, and a group in between."""
    name = _one_of(file, rng)
    del file[name]
    way = int(rng.integers(5))
    if way == 0:
        file[name] = h5py.SoftLink("/" + name)
    elif way == 1:
        file[name] = h5py.SoftLink("/nowhere")
    elif way == 2:
        file[name] = h5py.SoftLink("/" + (_datasets(file) or ["x"])[0])
    elif way == 3:
        file.create_group(name)["inside"] = np.zeros(3)
    else:
        group = file.create_group(name)
        for _ in range(300):
            group = group.create_group("d")
        group["up"] = file["/"]  # a circle of hard links


def elsewhere(file: h5py.File, rng: Random) -> None:
    """Values that lie in another file: an external link, raw bytes, or a virtual dataset."""
    name = _one_of(file, rng)
    old = file[name]
    shape, kind = old.shape, old.dtype
    decoy = Path(file.filename).parent / "decoy" / "decoy.h5"
    decoy.parent.mkdir()
    with h5py.File(decoy, "w") as other:
        other.create_dataset("values", data=np.full(shape, DECOY).astype(kind))
        place = other["values"].id.get_offset() or 0
    del file[name]
    target = str(rng.choice([str(decoy), "decoy/decoy.h5", "/proc/self/environ", "/dev/zero"]))
    way = int(rng.integers(4)) if shape else 0
    if way == 0:
        file[name] = h5py.ExternalLink(target, "/values")
    elif way == 1:
        size = max(1, int(np.prod(shape)) * kind.itemsize)
        file.create_dataset(name, shape, kind, external=[(target, place, size)])
    elif way == 2:
        layout = h5py.VirtualLayout(shape, kind)
        layout[...] = h5py.VirtualSource(str(decoy), "values", shape, kind)
        file.create_virtual_dataset(name, layout)
    else:  # a group that is a link: everything below it lies elsewhere
        top = name.split("/")[0]
        if top in file:
            del file[top]
        file[top] = h5py.ExternalLink(target, "/")


@functools.cache
def _packed_zeros(size: int) -> bytes:
    return zlib.compress(bytes(size))


def inflate(file: h5py.File, rng: Random) -> None:
    """Terabytes declared and never written, or zeros that pack well."""
    name = _one_of(file, rng)
    shape, kind = file[name].shape, file[name].dtype
    del file[name]
    way = int(rng.integers(5))
    if way == 0:
        file.create_dataset(name, (2**20, 2**10, 2**10), kind, chunks=(1, 64, 64))
    elif way == 1:  # in one piece, of which nothing is stored
        file.create_dataset(name, (2**14, 2**13, 2**13), kind)
    elif way == 2:  # half a gigabyte of zeros, packed into half a megabyte
        made = file.create_dataset(name, (1024, 512, 512), "u2", chunks=(8, 512, 512),
                                   compression="gzip")  # fmt: skip
        for start in range(0, 1024, 8):
            made.id.write_direct_chunk((start, 0, 0), _packed_zeros(8 * 512 * 512 * 2))
    elif way == 3:  # one chunk of it is more than anybody wants
        file.create_dataset(name, (12, 2**14, 2**14), "f4", chunks=(8, 2**13, 2**12))
    else:
        big = tuple(k * 10**6 for k in shape) or (10**12,)
        file.create_dataset(name, big, kind, chunks=True, maxshape=(None,) * len(big))


def filtered(file: h5py.File, rng: Random) -> None:
    """A filter that nobody has, or one that does not fit its bytes."""
    name = _one_of(file, rng)
    values = np.asarray(file[name][()])
    if not values.ndim or not values.size:
        values = np.zeros((4, 4))
    if rng.random() < 0.5:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk(values.shape)
        plan.set_filter(32_123, h5py.h5z.FLAG_OPTIONAL)
        space, kind = h5py.h5s.create_simple(values.shape), h5py.h5t.py_create(values.dtype)
        del file[name]
        made = h5py.Dataset(h5py.h5d.create(file.id, name.encode(), kind, space, plan))
        made.id.write_direct_chunk((0,) * values.ndim, values.tobytes())
    else:
        _replace(file, name, values, chunks=values.shape, compression="gzip")
        file[name].id.write_direct_chunk((0,) * values.ndim, rng.bytes(int(rng.integers(1, 200))))


def crowd(file: h5py.File, rng: Random) -> None:
    for k in range(int(rng.integers(200, 1500))):
        file[f"extra/{k % 7}/{k}"] = k


MUTATIONS: list[Callable[[h5py.File, Random], None]] = [
    drop, rename, retype, odd_type, reshape, revalue, attribute, link, elsewhere, inflate, filtered,
    elsewhere, attribute, crowd,
]  # fmt: skip


def mutate(path: Path, kind: Callable[[h5py.File, Random], None], rng: Random) -> None:
    with h5py.File(path, "r+") as file:
        kind(file, rng)
