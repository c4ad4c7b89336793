"""What is known of a stream besides frames and positions: from its begin, and from the user."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, describe

from ptycho_data.raw import Names, RawScan
from ptycho_data.raw import _quantities as quantities
from ptycho_data.raw._places import RawFiles
from ptycho_data.streams._base import Begin
from ptycho_data.units import wavelength

__all__ = ["raw_scan"]


def raw_scan(sample: NDArray[Any], names: Names, begin: Begin, title: str) -> RawScan:
    """Describe frames of a stream like the files of a scan.

    Parameters
    ----------
    sample : (k, H, W)
        Some frames.
    names
        What the user says; it wins over the source. Mask, dark frame and flat field are in files,
        ``FILE::PATH``; energy, distance and detector pixel are values with their units.
    begin
        What the source says.
    title
        What messages call the source.

    Returns
    -------
    RawScan
        Without positions.

    Raises
    ------
    InvalidValueError
        A value has no unit, or none that is known.
    ScanFormatError
        A file that is named cannot be read.
    """
    particle = names.particle or "photon"
    energy = _value(names.energy, "energy", quantities.energy, begin.energy_ev)
    distance = _value(names.distance, "distance", quantities.length, begin.distance_m)
    pixel, angle = begin.detector_pixel_m, None
    if names.detector_pixel is not None:
        text = _quantity("detector_pixel", names.detector_pixel)
        wave = None if energy is None else wavelength(energy, particle)
        seen = quantities.angle(text, wave)
        if seen is not None:
            pixel, angle = None, (seen, seen)
        else:
            pixel = (quantities.length("detector_pixel", text),) * 2
    if pixel is not None and distance is not None:
        angle = (pixel[0] / distance, pixel[1] / distance)
    mask = begin.mask if names.mask is None else image("mask", names.mask)
    nowhere = np.zeros(0)
    return RawScan(
        frames=sample,
        x_m=nowhere,
        y_m=nowhere,
        mask=mask,
        mask_is_good=False if names.mask is None else None,
        dark=_level("dark", names.dark),
        flat=_level("flat", names.flat),
        energy_ev=energy,
        distance_m=distance,
        detector_pixel_m=pixel,
        pixel_angle=angle,
        beam_centre=begin.beam_centre,
        particle=particle,
        domain=names.domain or "counts",
        layout=title,
        files=(Path(title),),
        places={"patterns": title, "mask": names.mask or "of the detector"},
    )


def _value(
    given: str | None, name: str, parse: Callable[[str, str], float], stated: float | None
) -> float | None:
    return stated if given is None else parse(name, _quantity(name, given))


def _quantity(name: str, text: str) -> str:
    if not quantities.is_quantity(text):
        raise InvalidValueError(name, "a number with a unit for a stream", describe(text))
    return text


def _level(name: str, given: str | None) -> NDArray[np.float64] | None:
    """Return a dark frame or a flat field; a number everywhere."""
    if given is None or given in ("auto", "none"):
        return None
    if quantities.is_quantity(given):
        try:
            return np.array(float(given))
        except ValueError:
            raise InvalidValueError(name, "a number or FILE::PATH", describe(given)) from None
    return image(name, given).astype(np.float64)


def image(name: str, text: str) -> NDArray[Any]:
    """Read an image (H, W) of a file; of several the mean.

    Raises
    ------
    InvalidValueError, ScanFormatError
        There is no such file or dataset, or it is no image.
    """
    path = Path(text.partition("::")[0])
    with ExitStack() as closing:
        place = RawFiles(paths=(path,), closing=closing).place(name, text)
        values = np.asarray(place.read())
        if values.ndim > 2:
            values = values.reshape(-1, *values.shape[-2:]).mean(axis=0)
        if values.ndim != 2 or not np.isfinite(values).all():
            place.fail("finite, of shape (H, W)", f"shape {values.shape}")
    return values
