"""Files of electron microscopes, read by RosettaSciIO where the user has installed it.

RosettaSciIO has the licence GPL-3.0: nothing of this workspace requires it.
"""

import importlib
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_data.formats import FrameFormat, ImageFile

__all__ = ["FORMAT"]

#: Suffix to the module that reads it.
_READERS = {
    ".mib": "quantumdetector",
    ".hspy": "hspy",
    ".zspy": "zspy",
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".blo": "blockfile",
    ".xml": "empad",
}


def open_rosettasciio(path: Path) -> ImageFile:
    """Open the largest stack of a file.

    Raises
    ------
    ImportError
        RosettaSciIO is not installed.
    Exception
        Whatever it raises on damaged files.
    """
    signal = _signal(path)
    data = signal["data"]
    return ImageFile(
        shape=tuple(map(int, data.shape)),
        dtype=np.dtype(data.dtype).newbyteorder("="),
        take=partial(_take, data.reshape(-1, *data.shape[-2:])),
        numbers=_numbers(signal),
    )


def _signal(path: Path) -> Mapping[str, Any]:
    logging.getLogger("rsciio").setLevel(logging.ERROR)  # it tells of files that may be missing
    reader = importlib.import_module(f"rsciio.{_READERS[path.suffix.lower()]}")
    signals = reader.file_reader(str(path), lazy=True)
    stacks = [signal for signal in signals if signal["data"].ndim > 2]
    if not stacks:
        raise ValueError("no stack of frames in it")
    return max(stacks, key=lambda signal: int(signal["data"].size))


def _take(stack: Any, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Read frames of a dask array: in this thread, and only the chunks that have them."""
    return np.asarray(stack[rows].compute(scheduler="synchronous"))


def _numbers(signal: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """Return the steps of the raster, the angle of a pixel and the energy, where they are known."""
    axes = sorted(signal["axes"], key=lambda axis: int(axis["index_in_array"]), reverse=True)
    numbers = {}
    for name, axis in zip(("angle", "", "step_x", "step_y"), axes, strict=False):
        unit = axis.get("units")
        if name and isinstance(unit, str) and unit and "scale" in axis:
            numbers[name] = (abs(float(axis["scale"])), unit)
    instrument = signal["metadata"].get("Acquisition_instrument", {})
    energy = instrument.get("TEM", {}).get("beam_energy")
    if energy:
        numbers["energy"] = (float(energy), "keV")
    return numbers


FORMAT = FrameFormat(
    name="rosettasciio",
    title="files of electron microscopes (.mib, .hspy, .zspy, .dm3, .dm4, .blo, EMPAD .xml)",
    suffixes=tuple(_READERS),
    open=open_rosettasciio,
    package="rosettasciio",
    particle="electron",
)
