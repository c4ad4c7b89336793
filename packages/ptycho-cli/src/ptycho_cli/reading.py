"""Options of commands that read a scan file, for properties that the file may not state."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, get_args

import click
from ptycho_data import Domain, Negative
from ptycho_data.units import Particle

from ptycho_cli.sections import section
from ptycho_cli.values import ABOVE_ZERO, INPUT, Whole

__all__ = [
    "domain_option",
    "first_probe_option",
    "given_reading",
    "reading_options",
    "scan_index_option",
]

#: Arguments of `ptycho_data.load_scan` besides domain, companion and probe.
GIVEN = (
    "negative",
    "follow_links",
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


def first_probe_option(title: str = "Input") -> Callable[[Any], Any]:
    """``--first-probe``, in the help section called `title`."""
    return section(title)(
        "--first-probe",
        metavar="auto|FILE|OPTICS",
        help="Find the probe from the patterns (auto), or take it from a file of another program "
        "or from optics, such as zone-plate:outer-zone=50nm,defocus=0.4mm; it is refined first.",
    )


def scan_index_option(title: str = "Input") -> Callable[[Any], Any]:
    """``--scan-index``, in the help section called `title`."""
    return section(title)(
        "--scan-index",
        type=Whole(),
        help="Which scan to take, if `scan_index` in the file numbers several.",
    )


def reading_options(title: str = "Geometry", *, skip: Collection[str] = ()) -> Callable[[Any], Any]:
    """Options for the arguments of `ptycho_data.load_scan`.

    Parameters
    ----------
    title
        Help section of energy, distance, pixels and particle, which are used to turn metres into
        pixels.
    skip
        Options to leave out, such as ``--domain``.

    Returns
    -------
    Callable
        Decorator for a command's callback, which receives ``domain``, ``companion`` and `GIVEN`.
    """
    geometry = section(title)
    options = {
        "--domain": domain_option(),
        "--companion": section("Input")(
            "--companion",
            type=INPUT,
            help="Second file of a scan in two files, if it is in another folder.",
        ),
        "--negative": section("Input")(
            "--negative",
            type=click.Choice(get_args(Negative)),
            help="Whether values below zero, as after dark subtraction, become zero.  "
            "[default: refuse]",
        ),
        "--follow-links": section("Input")(
            "--follow-links",
            is_flag=True,
            default=None,
            help="Follow links out of an HDF5 file, to files in its folder.",
        ),
        "--pixel-size-m": geometry(
            "--pixel-size-m", type=ABOVE_ZERO, help="Object pixel in metres; overrides the file."
        ),
        "--photon-energy-ev": geometry(
            "--photon-energy-ev",
            type=ABOVE_ZERO,
            help="Energy in eV, of electrons the accelerating voltage; overrides the file.",
        ),
        "--detector-distance-m": geometry(
            "--detector-distance-m",
            type=ABOVE_ZERO,
            help="Distance of the detector in metres; overrides the file.",
        ),
        "--detector-pixel-size-m": geometry(
            "--detector-pixel-size-m",
            type=ABOVE_ZERO,
            help="Detector pixel in metres; overrides the file.",
        ),
        "--particle": geometry(
            "--particle",
            type=click.Choice(get_args(Particle)),
            help="What is diffracted, if it is not photons.",
        ),
    }

    def decorate(callback: Any) -> Any:
        for flag, option in reversed(options.items()):  # the last one given comes first in the help
            callback = callback if flag in skip else option(callback)
        return callback

    return decorate


def given_reading(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `ptycho_data.load_scan` that were given: those of `GIVEN`."""
    return {name: values[name] for name in GIVEN if values.get(name) is not None}
