"""The path of each exposure of a fly scan, from the settings of a run and the scan."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, describe
from ptycho_data import Scan
from ptycho_physics import exposure_path

__all__ = ["check_fly_scan", "path_of", "without_fly_scan"]


def check_fly_scan(settings: Mapping[str, Any]) -> None:
    """Refuse settings of a fly scan that contradict each other, or others.

    Raises
    ------
    InvalidValueError
        If they do, or one is out of range.
    """
    share, path = settings.get("fly_scan"), settings.get("exposure_path")
    if share is None and path is None:
        return
    name = "fly_scan" if path is None else "exposure_path"
    if share is not None and path is not None:
        rule = "left out with exposure_path, which says the same"
        raise InvalidValueError("fly_scan", rule, describe(share))
    if share is not None and not 0 < share <= 1:
        rule = "the share of the time in which the detector counts, in (0, 1]"
        raise InvalidValueError("fly_scan", rule, describe(share))
    if settings.get("near_field") is not None or settings.get("slices"):
        raise InvalidValueError(name, "left out in the near field and with slices", "given")


def path_of(settings: Mapping[str, Any], scan: Scan) -> NDArray[np.float64] | None:
    """Return the path of each exposure (n, 2) in pixels; None if there is none.

    Parameters
    ----------
    settings
        Of a run: ``exposure_path``, one for all patterns or of each, or ``fly_scan``, the share of
        the time in which the detector counts; the path then follows the positions.
    scan : Scan
        With all patterns, in their order.

    Raises
    ------
    InvalidValueError
        If the positions are no lines; see `ptycho_physics.exposure_path`.
    """
    share, path = settings.get("fly_scan"), settings.get("exposure_path")
    if share is not None:
        return exposure_path(scan.positions, share)
    if path is None:
        return None
    path = np.asarray(path, np.float64)
    if path.shape == (2,):
        return np.tile(path, (scan.n, 1))
    return path  # `solve` checks its shape


def without_fly_scan(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are not those of a fly scan."""
    names = ("fly_scan", "exposure_path")
    return {name: value for name, value in settings.items() if name not in names}
