"""Options of commands that read a scan file, for properties that the file may not state."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import click
from ptycho_data import Domain
from ptycho_data.units import PARTICLES

from ptycho_cli.sections import section

__all__ = [
    "ABOVE_ZERO",
    "INPUT",
    "domain_option",
    "geometry_options",
    "given_reading",
    "reading_options",
]

INPUT = click.Path(path_type=Path, exists=True)
ABOVE_ZERO = click.FloatRange(min=0, min_open=True)
#: Arguments of `ptycho_data.load_scan` that the geometry options give.
GEOMETRY = (
    "pixel_size_m",
    "photon_energy_ev",
    "detector_distance_m",
    "detector_pixel_size_m",
    "particle",
)


def domain_option(title: str = "Input") -> Callable[[Any], Any]:
    """``--domain``, in the help section called `title`."""
    return section(title)(
        "--domain",
        type=click.Choice(get_args(Domain)),
        help="Whether patterns are counts or amplitudes, if the file does not state it.",
    )


def companion_option(title: str = "Input") -> Callable[[Any], Any]:
    """``--companion``, in the help section called `title`."""
    return section(title)(
        "--companion",
        type=INPUT,
        help="Second file of a scan in two files, if it is in another folder.",
    )


def geometry_options(title: str = "Geometry") -> Callable[[Any], Any]:
    """Energy, distance, pixels and particle, used to turn metres into pixels.

    Parameters
    ----------
    title
        Help section.

    Returns
    -------
    Callable
        Decorator for a command's callback, which receives the arguments of `GEOMETRY`.
    """
    add = section(title)
    return _all(
        add("--pixel-size-m", type=ABOVE_ZERO, help="Object pixel in metres."),
        add(
            "--photon-energy-ev",
            type=ABOVE_ZERO,
            help="Energy in eV; of electrons the accelerating voltage.",
        ),
        add("--detector-distance-m", type=ABOVE_ZERO, help="Distance of the detector in metres."),
        add("--detector-pixel-size-m", type=ABOVE_ZERO, help="Detector pixel in metres."),
        add("--particle", type=click.Choice(PARTICLES), help="What is diffracted."),
    )


def reading_options(title: str = "Geometry") -> Callable[[Any], Any]:
    """``--domain``, ``--companion`` and the geometry, as `ptycho_data.load_scan` takes them.

    Parameters
    ----------
    title
        Help section of the geometry.

    Returns
    -------
    Callable
        Decorator for a command's callback.
    """
    return _all(domain_option(), companion_option(), geometry_options(title))


def _all(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(callback: Any) -> Any:
        for option in reversed(options):  # the last one given comes first in the help
            callback = option(callback)
        return callback

    return decorate


def given_reading(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `ptycho_data.load_scan` that options of the geometry give."""
    return {name: values[name] for name in GEOMETRY if values.get(name) is not None}
