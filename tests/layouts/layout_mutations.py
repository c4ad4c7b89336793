"""Mutations of files of known layouts, each with what may become of the file.

A mutation changes one dataset of an HDF5 file and returns its effect:

- `SAME`: the file says the same in another way; it must be read as before.
- `OTHER`: what is taken from the dataset may be another value, unknown, or refused; all else must
  be as before.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Random = np.random.Generator
SAME, OTHER = "same", "other"

#: Units of one kind, with what they are of the first.
_UNITS = (
    {"m": 1.0, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "nm": 1e-9, "metre": 1.0, "micron": 1e-6,
     "Angstrom": 1e-10, "meters": 1.0, "cm": 1e-2},
    {"eV": 1.0, "keV": 1e3, "J": 1 / 1.602176634e-19, "electronvolt": 1.0},
)  # fmt: skip
_WRONG_UNITS = ["furlong", "", "  ", "K", "m/s", "deg", "1", "ångström²", "x" * 3000, "m\nm"]
_NUMBERS = [np.nan, np.inf, -np.inf, -1.0, 0.0, 1e38, 1e300, 1e-300, 5e-324, 2.0**31]
_TYPES = ["S4", "c16", "?", "i1", "u8", ">f8", "f2", "g", [("a", "<f4"), ("b", "<u2")]]


def datasets(file: h5py.File) -> list[str]:
    """Paths of the datasets, links to them not counted."""
    found: list[str] = []
    file.visititems(lambda n, item: found.append(n) if isinstance(item, h5py.Dataset) else None)
    return found


def replace(file: h5py.File, name: str, values: Any, **options: Any) -> None:
    """Give a dataset other values, and keep its attributes."""
    attributes = dict(file[name].attrs)
    del file[name]
    made = file.create_dataset(name, data=values, **options)
    made.attrs.update(attributes)


def _is_text(file: h5py.File, name: str) -> bool:
    return file[name].dtype.kind not in "biufc"


def drop(file: h5py.File, name: str, rng: Random) -> str:
    del rng
    del file[name]
    return OTHER


def move(file: h5py.File, name: str, rng: Random) -> str:
    file.move(name, str(rng.choice(["elsewhere", "entry_9/é/data", f"{name}_old", "a.b"])))
    return OTHER


def wrap(file: h5py.File, name: str, rng: Random) -> str:
    """One number as an array of one, and the other way round."""
    values = file[name][()]
    if np.size(values) != 1 or _is_text(file, name):
        return store(file, name, rng)
    shapes = [(), (1,), (1, 1)]
    replace(file, name, np.reshape(values, shapes[int(rng.integers(3))]))
    return SAME


def repeat(file: h5py.File, name: str, rng: Random) -> str:
    """One number, once for each frame."""
    values = file[name][()]
    if np.size(values) != 1 or _is_text(file, name) or re.search("dim|calibration", name):
        return store(file, name, rng)
    replace(file, name, np.full(int(rng.choice([3, 12])), np.reshape(values, -1)[0]))
    return SAME


def store(file: h5py.File, name: str, rng: Random) -> str:
    """Stored in another way: chunks, filters, order of bytes, more digits."""
    values = file[name][()]
    if np.ndim(values) == 0 or _is_text(file, name) or 0 in np.shape(values):
        return SAME
    values = np.asarray(values)
    kinds = {"u": ["<u4", ">u4", "<i8", "<f8"], "f": ["<f8", ">f8"], "i": ["<i8", ">i8", "<f8"]}
    if values.dtype.kind in kinds and rng.random() < 0.5:
        values = values.astype(str(rng.choice(kinds[values.dtype.kind])))
    chunks = tuple(int(rng.integers(1, k + 1)) for k in values.shape)
    more = [{}, {"compression": "gzip"}, {"shuffle": True, "compression": "lzf"},
            {"fletcher32": True}]  # fmt: skip
    replace(file, name, values, chunks=chunks, **more[int(rng.integers(len(more)))])
    return SAME


def convert(file: h5py.File, name: str, rng: Random) -> str:
    """The same quantity in another unit."""
    stated = file[name].attrs.get("units")
    stated = stated.decode() if isinstance(stated, bytes) else stated
    kind = next((units for units in _UNITS if stated in units), None)
    if kind is None or _is_text(file, name):
        return store(file, name, rng)
    unit = list(kind)[int(rng.integers(len(kind)))]
    replace(file, name, np.asarray(file[name][()], np.float64) * kind[stated] / kind[unit])
    text = [unit, np.bytes_(unit.encode()), np.array([unit], h5py.string_dtype())]
    file[name].attrs["units"] = text[int(rng.integers(len(text)))]
    return SAME


def wrong_unit(file: h5py.File, name: str, rng: Random) -> str:
    if rng.random() < 0.2:
        file[name].attrs["units"] = [3.0, 4.0] if rng.random() < 0.5 else 7
    else:
        file[name].attrs["units"] = _WRONG_UNITS[int(rng.integers(len(_WRONG_UNITS)))]
    return OTHER


def no_unit(file: h5py.File, name: str, rng: Random) -> str:
    if "units" not in file[name].attrs:
        return wrong_unit(file, name, rng)
    del file[name].attrs["units"]
    return OTHER


def number(file: h5py.File, name: str, rng: Random) -> str:
    """Some values, or all, become what is no number, nothing or too large."""
    values = np.array(file[name][()], copy=True)
    if values.dtype.kind not in "biuf":
        return drop(file, name, rng)
    wanted = _NUMBERS[int(rng.integers(len(_NUMBERS)))]
    values = values.astype(np.float64)
    chosen = rng.random(values.shape) < rng.choice([0.05, 1.0])
    replace(file, name, np.where(chosen, wanted, values))
    return OTHER


def reshape(file: h5py.File, name: str, rng: Random) -> str:
    """Another shape: an axis more, exchanged axes, less rows, or none."""
    values = np.asarray(file[name][()])
    kinds = [
        lambda v: v[None],
        lambda v: v[..., None],
        lambda v: v.T,
        lambda v: v[:-1] if v.ndim else v,
        lambda v: v[:0] if v.ndim else np.zeros(0, v.dtype),
        lambda v: v[:1] if v.ndim else v,
        lambda v: np.concatenate([v, v]) if v.ndim else np.stack([v, v]),
        lambda v: v.reshape(-1),
        lambda v: v[0] if v.ndim and len(v) else v,
        lambda v: v[..., :3] if v.ndim else v,
    ]
    replace(file, name, kinds[int(rng.integers(len(kinds)))](values))
    return OTHER


def retype(file: h5py.File, name: str, rng: Random) -> str:
    old, kind = file[name][()], np.dtype(_TYPES[int(rng.integers(len(_TYPES)))])
    try:
        with np.errstate(all="ignore"):
            values = np.real(old).astype(kind)
    except (TypeError, ValueError):
        values = np.zeros(np.shape(old), kind)
    replace(file, name, values)
    return OTHER


def text(file: h5py.File, name: str, rng: Random) -> str:
    words = ["8800", "12 keV", "None", "", "nan", "é" * 40, "\x1b[31mred"]
    replace(file, name, words[int(rng.integers(len(words)))])
    return OTHER


def empty(file: h5py.File, name: str, rng: Random) -> str:
    """A dataset without a dataspace, or a group of its name."""
    kind = file[name].dtype
    del file[name]
    if rng.random() < 0.5:
        file[name] = h5py.Empty(kind if kind.kind in "biuf" else "f8")
    else:
        file.create_group(name)["inside"] = 1.0
    return OTHER


def soft_link(file: h5py.File, name: str, rng: Random) -> str:
    """The dataset is elsewhere, or nowhere, or the link leads in a circle."""
    turn = int(rng.integers(4))
    if turn < 2:
        file.move(name, "kept/here")
        file[name] = h5py.SoftLink("/kept/here")
        return SAME
    del file[name]
    file[name] = h5py.SoftLink("/nowhere" if turn == 2 else f"/{name}")
    return OTHER


def external_link(file: h5py.File, name: str, rng: Random) -> str:
    """The dataset is in a file beside this one, or in one that is not there, or outside."""
    folder = Path(file.filename).parent
    turn = int(rng.integers(2, 4) if file[name].is_virtual else rng.integers(4))
    target = ["beside.h5", "beside.h5", "missing.h5", "../outside.h5"][turn]
    if turn != 2:
        with h5py.File(folder / target, "a") as other:
            file.copy(file[name], other, "values")
    del file[name]
    file[name] = h5py.ExternalLink(target, "/values")
    return SAME if turn < 2 else OTHER


def virtual(file: h5py.File, name: str, rng: Random) -> str:
    """A virtual dataset of parts of the values, all or not all of them."""
    item = file[name]
    values, attributes = item[()], dict(item.attrs)
    if np.ndim(values) == 0 or len(values) < 2 or _is_text(file, name) or item.is_virtual:
        return store(file, name, rng)
    file.move(name, "kept/part")
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    source = h5py.VirtualSource(".", "kept/part", values.shape)
    whole = rng.random() < 0.7
    middle = int(rng.integers(1, len(values)))
    layout[:middle] = source[:middle]
    if whole:
        layout[middle:] = source[middle:]
    file.create_virtual_dataset(name, layout).attrs.update(attributes)
    return SAME if whole else OTHER


def more(file: h5py.File, name: str, rng: Random) -> str:
    """Something else beside the dataset: a preview, the time of each frame, a log."""
    beside = f"{name.rpartition('/')[0]}/" if "/" in name else ""
    kinds: list[tuple[str, Any]] = [
        ("count_time", np.full(12, 0.1)),
        ("preview", np.zeros((2, 30, 30), np.uint8)),
        ("timestamps", np.arange(12) * 1e-2),
        ("log", "started"),
        ("zz_temperature", np.full(12, 293.0)),
        ("aaa", np.zeros((12, 3))),
        ("sum", np.zeros((16, 20))),
    ]
    word, values = kinds[int(rng.integers(len(kinds)))]
    file[f"{beside}{word}"] = values
    return SAME


MUTATIONS: tuple[Callable[[h5py.File, str, Random], str], ...] = (
    drop,
    move,
    wrap,
    repeat,
    store,
    convert,
    wrong_unit,
    no_unit,
    number,
    reshape,
    retype,
    text,
    empty,
    soft_link,
    external_link,
    virtual,
    more,
)
