"""Lengths and energies of files, in metres and eV whatever unit the file states."""

from collections.abc import Callable

from ptycho_config.errors import InvalidValueError

from ptycho_data._hdf5 import H5File
from ptycho_data._violations import ScanFormatError
from ptycho_data.formats._base import Container
from ptycho_data.units import metres_per

__all__ = ["length", "scale"]


def scale(file: Container, name: str, per: Callable[[str], float]) -> float | None:
    """Return what to multiply a dataset by, from its attribute ``units``; None without one.

    Parameters
    ----------
    file, name
        The dataset. Arrays in NPZ have no attributes.
    per
        `metres_per` or `ev_per`.

    Raises
    ------
    ScanFormatError
        The unit is not known.
    """
    unit = file.unit(name) if isinstance(file, H5File) else None
    if unit is None:
        return None
    try:
        return per(unit)
    except InvalidValueError as error:
        rule, got = f"in {error.rule}", f"units {error.got} of {name}"
        raise ScanFormatError.of(file.path, name, rule, got) from None


def length(file: Container, name: str, default: float = 1.0) -> float | None:
    """Read a single length in metres; None where there is none.

    Parameters
    ----------
    file, name
        The dataset.
    default
        Metres in the unit of a dataset that states none.

    Raises
    ------
    ScanFormatError
        It is no single number, or of an unknown unit.
    """
    value = file.number(name)
    return None if value is None else value * (scale(file, name, metres_per) or default)
