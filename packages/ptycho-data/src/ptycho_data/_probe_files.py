"""Probes of other programs: arrays in ``.npy``, NPZ, HDF5 and ``.mat`` files, and their pixels."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_config.paths import expanded
from ptycho_config.plain_text import array_text

from ptycho_data._contract import as_modes
from ptycho_data._hdf5 import H5File, is_hdf5
from ptycho_data._npz import Archive
from ptycho_data._preview import load_experiment, load_probe
from ptycho_data._untrusted import brief, require_file
from ptycho_data._violations import ScanFormatError

__all__ = ["StoredProbe", "load_stored_probe"]

#: Separates a file from the path of an array in it.
IN_FILE = "::"
NPY_MAGIC = b"\x93NUMPY"
#: Names of a probe, the first one counts; ptypy, PtyLab, fold_slice and others.
_NAMES = ("probe", "probeGuess", "probes", "outputs/probe", "object_probe/probe", "probe_function")


@frozen(kw_only=True, eq=False)
class StoredProbe:
    """A probe as it is stored.

    Attributes
    ----------
    modes : (M, K, K) complex64 array
    pixel_size_m : float or None
        Its pixel, if the file states it.
    """

    modes: NDArray[np.complex64] = field(repr=array_text)
    pixel_size_m: float | None = None


def load_stored_probe(path: str | PathLike[str]) -> StoredProbe:
    """Read a probe of any size from a file.

    Parameters
    ----------
    path
        A scan, product or reconstruction of any known format, or an NPY, NPZ, HDF5 or MATLAB file
        (version 7.3); ``FILE::NAME`` names the array. Results of ptypy, PtyLab and fold_slice are
        known.

    Returns
    -------
    StoredProbe

    Raises
    ------
    ScanFormatError
        If there is no such file or array, or it is no probe.
    """
    text, _, name = str(path).partition(IN_FILE)
    file = expanded(text)
    if file.is_dir():
        return StoredProbe(modes=load_probe(file), pixel_size_m=_stated(file))
    require_file(file, "a file with a probe")
    if is_hdf5(file):
        return _from_hdf5(file, name)
    with file.open("rb") as stream:
        npy = stream.read(len(NPY_MAGIC)) == NPY_MAGIC
    if npy:
        return StoredProbe(modes=_modes(file, "array", _npy(file)))
    return _from_npz(file, name)


def _npy(file: Path) -> NDArray[Any]:
    """Map an NPY file, so that a header that lies about its size is refused."""
    try:
        return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    except (ValueError, OSError, EOFError, SyntaxError, OverflowError) as error:
        got = f"what NumPy cannot read ({brief(error)})"
        raise ScanFormatError.of(file, "file", "an NPY file, complete and undamaged", got) from None


def _from_npz(file: Path, name: str) -> StoredProbe:
    with Archive(file) as archive:
        chosen = name or next((n for n in _NAMES if n in archive), "")
        if not chosen:
            several = [n for n in archive.names if archive.header(n).dtype.kind == "c"]
            chosen = several[0] if len(several) == 1 else ""
        if chosen not in archive:
            raise _absent(file, name, archive.names)
        values = archive.read(chosen)
    return StoredProbe(modes=_modes(file, chosen, values), pixel_size_m=_stated(file))


def _from_hdf5(file: Path, name: str) -> StoredProbe:
    if not name:
        try:
            return StoredProbe(modes=load_probe(file), pixel_size_m=_stated(file))
        except ScanFormatError:
            pass  # no scan, but perhaps a file of another program
    with H5File(file) as opened:
        chosen = name.strip("/") or _named(opened)
        if not chosen or chosen not in opened:
            raise _absent(file, name, opened.names)
        values = opened.read(chosen)
        if opened.by_matlab(chosen):  # which reverses axes: columns become rows
            values = np.swapaxes(values, -1, -2) if values.ndim > 1 else values
        pixel = _pixel(opened, chosen)
    return StoredProbe(modes=_modes(file, chosen, values), pixel_size_m=pixel)


def _named(opened: H5File) -> str:
    """Return the path of the probe in a file without a name for it; empty if there is none."""
    for group in opened.members("content/probe"):  # ptypy: one group for each storage
        if f"content/probe/{group}/data" in opened:
            return f"content/probe/{group}/data"
    for known in _NAMES:
        if known in opened:
            return known
    ends = [n for n in opened.names if "probe" in n.lower() and opened.header(n).dtype.kind == "c"]
    return ends[0] if len(ends) == 1 else ""


def _pixel(opened: H5File, chosen: str) -> float | None:
    """Return the pixel of a probe in metres, where its program wrote it."""
    beside = chosen.rpartition("/")[0]
    for name in (f"{beside}/_psize", f"{beside}/psize", "dxp", "dxo"):
        if name in opened:
            values = np.asarray(opened.read(name), dtype=np.float64).ravel()
            if values.size and np.all(values == values[0]) and 0 < values[0] < 1:
                return float(values[0])
    return None


def _stated(file: Path) -> float | None:
    """Return the object pixel that a scan or a product states."""
    try:
        return load_experiment(file).get("pixel_size_m")
    except ScanFormatError:
        return None


def _modes(file: Path, name: str, values: NDArray[Any]) -> NDArray[np.complex64]:
    """Return the modes of an array with any number of leading axes."""
    array = np.asarray(values)
    if array.ndim == 3 and array.shape[0] == array.shape[1] > array.shape[2]:
        array = np.moveaxis(array, -1, 0)  # modes last
    while array.ndim > 3 and 1 in array.shape[:-2]:
        array = np.squeeze(array, axis=array.shape[:-2].index(1))
    if array.ndim > 3:  # the first of several slices, scans or wavelengths
        array = array[(0,) * (array.ndim - 3)]
    try:
        return as_modes(array)
    except InvalidValueError as error:
        raise ScanFormatError.of(file, name, error.rule, error.got) from None


def _absent(file: Path, name: str, names: tuple[str, ...]) -> ScanFormatError:
    there = ", ".join(names[:20]) or "nothing"
    advice = f"name the array of the probe: {file}{IN_FILE}NAME; the file holds: {there}"
    return ScanFormatError.of(
        file, name or "probe", "an array of the file", "no such array", advice
    )
