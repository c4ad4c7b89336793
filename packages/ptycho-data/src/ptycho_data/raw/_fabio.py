"""TIFF, EDF and CBF files, read by fabio."""

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_data.formats import FrameFormat, ImageFile
from ptycho_data.raw._image_ends import require_end
from ptycho_data.raw._quantities import length

__all__ = ["FORMAT"]

#: Where headers of Pilatus and Eiger detectors (in CBF and TIFF) and of EDF state a quantity.
_COMMENTS = {
    "distance": re.compile(r"Detector_distance\s+(\S+)\s*(m)\b"),
    "wavelength": re.compile(r"Wavelength\s+(\S+)\s*(A)\b"),
    "pixel_x": re.compile(r"Pixel_size\s+(\S+)\s*(m)\b"),
    "pixel_y": re.compile(r"Pixel_size\s+\S+\s*m\s*x\s*(\S+)\s*(m)\b"),
    "centre_x": re.compile(r"Beam_xy\s+\(([^,)]+),[^)]*\)\s*()"),
    "centre_y": re.compile(r"Beam_xy\s+\([^,)]+,([^)]+)\)\s*()"),
}
_KEYS = {
    "distance": "SampleDistance",
    "wavelength": "WaveLength",
    "pixel_x": "PSize_1",
    "pixel_y": "PSize_2",
}


def open_fabio(path: Path) -> ImageFile:
    """Open a file with one frame or several.

    Raises
    ------
    ImportError
        fabio is not installed.
    Exception
        Whatever fabio raises on damaged files, and what it only logs.
    """
    with _opened(path) as file:
        n, numbers = int(file.nframes), _numbers(file.header)
        first: NDArray[Any] = file.data
    shape = (n, *map(int, first.shape))
    take = partial(_take, path) if n > 1 else partial(np.take, first[np.newaxis], axis=0)
    return ImageFile(shape=shape, dtype=first.dtype, take=take, numbers=numbers)


def _take(path: Path, rows: NDArray[np.int64]) -> NDArray[Any]:
    with _opened(path) as file:
        return np.stack([file.get_frame(int(row)).data for row in rows])


class _Logged(logging.Handler):
    """Keeps what fabio has to say: it fills up what a file lacks, and says so in its log only."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note a line, unless fabio goes on to read the file in another way."""
        text = record.getMessage()
        if not text.endswith("trying PIL"):
            self.lines.append(text)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import fabio

    require_end(path)
    logger, heard = logging.getLogger("fabio"), _Logged()
    before = logger.propagate
    logger.addHandler(heard)
    logger.propagate = False
    try:
        with fabio.open(path) as file:
            yield file
    finally:
        logger.removeHandler(heard)
        logger.propagate = before
    if heard.lines:
        raise ValueError(heard.lines[0])


def _numbers(header: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """Return what a header states of the experiment."""
    comments = "\n".join(
        str(header.get(key, "")) for key in ("_array_data.header_contents", "imageDescription")
    )
    stated = {name: form.search(comments) for name, form in _COMMENTS.items()}
    numbers = {}
    for name, found in stated.items():
        with contextlib.suppress(ValueError):
            if found:
                numbers[name] = (float(found[1]), found[2])
    for name, key in _KEYS.items():
        with contextlib.suppress(InvalidValueError):
            if key in header:  # in metres, or with a unit: "50 um", "50_um"
                numbers[name] = (length(name, str(header[key]).replace("_", " ")), "m")
    return numbers


FORMAT = FrameFormat(
    name="fabio",
    title="TIFF, EDF and CBF files",
    suffixes=(".tif", ".tiff", ".edf", ".cbf"),
    open=open_fabio,
    package="fabio",
)
