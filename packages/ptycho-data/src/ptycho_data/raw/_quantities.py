"""Numbers with a unit, as people write them: ``30nm``, ``8.8 keV``, ``2.2``."""

import re
from collections.abc import Callable

from ptycho_config.errors import InvalidValueError

from ptycho_data.units import ev_per, metres_per

__all__ = ["LARGEST", "SMALLEST", "angle", "energy", "is_quantity", "length", "lengths"]

# Bounded: the time to refuse a text must not grow with the square of its length.
_NUMBER = r"[-+]?(?:[0-9]{1,60}(?:\.[0-9]{0,60})?|\.[0-9]{1,60})(?:[eE][-+]?[0-9]{1,6})?"
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*([A-Za-zµμÅå]*)\s*")
_ANGLE = re.compile(rf"\s*({_NUMBER})\s*(rad|mrad|urad|µrad|μrad)\s*")
_WAVES = re.compile(rf"\s*({_NUMBER})\s*(?:1/|/)\s*([A-Za-zÅå]+)\s*")
#: No length or energy of an experiment is beyond these.
SMALLEST, LARGEST = 1e-18, 1e18
_RADIANS = {"rad": 1.0, "mrad": 1e-3, "urad": 1e-6, "µrad": 1e-6, "μrad": 1e-6}


def is_quantity(text: str) -> bool:
    """Tell whether a text is a number, with or without a unit, and so no name of a dataset."""
    return any(form.fullmatch(text) for form in (_QUANTITY, _ANGLE, _WAVES))


def _value(name: str, text: str, per: Callable[[str], float], what: str) -> float:
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise InvalidValueError(name, f"a number with a unit of {what}", repr(text[:60]))
    number, unit = float(found[1]), found[2]
    try:
        value = number * (per(unit) if unit else 1.0)
    except InvalidValueError as error:
        raise InvalidValueError(name, f"in {error.rule}", repr(text[:60])) from None
    if not (value == 0 or SMALLEST < abs(value) < LARGEST):
        rule = f"between {SMALLEST:g} and {LARGEST:g} in SI units, or eV"
        raise InvalidValueError(name, rule, repr(text[:60]))
    return value


def length(name: str, text: str) -> float:
    """Return metres; a number without a unit is in metres.

    Raises
    ------
    InvalidValueError
        It is no number, or its unit is none of length.
    """
    return _value(name, text, metres_per, "length, such as 75um")


def lengths(name: str, text: str) -> tuple[float, float]:
    """Return two lengths in metres, along x and along y: ``30nm``, or ``30nm,40nm``.

    Raises
    ------
    InvalidValueError
        As `length`, or there are more than two.
    """
    parts = text.split(",")
    if len(parts) > 2:
        raise InvalidValueError(name, "one length, or two with a comma", repr(text[:60]))
    return length(name, parts[0]), length(name, parts[-1])


def energy(name: str, text: str) -> float:
    """Return eV; a number without a unit is in eV.

    Raises
    ------
    InvalidValueError
        It is no number, or its unit is none of energy.
    """
    return _value(name, text, ev_per, "energy, such as 8.8keV or 300kV")


def angle(text: str, wavelength_m: float | None) -> float | None:
    """Return the radians of ``0.5mrad``, or of ``0.02/A`` at a wavelength; None for anything else.

    Electron microscopes state the angle of a detector pixel, or its spatial frequency
    ``angle / wavelength``.
    """
    found = _ANGLE.fullmatch(text)
    if found is not None:
        return float(found[1]) * _RADIANS[found[2]]
    found = _WAVES.fullmatch(text)
    if found is None or wavelength_m is None:
        return None
    return float(found[1]) / metres_per(found[2]) * wavelength_m
