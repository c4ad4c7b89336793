"""What the tables of a bundle may hold: each value is checked before anything computes with it."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, describe
from ptycho_config.options import LARGEST_NUMBER, SMALLEST_NUMBER

from ptycho_data._contract import strength_problem
from ptycho_data._domain import DOMAINS

__all__ = [
    "check_finite",
    "check_overrides",
    "check_probe_values",
    "check_scaling",
    "check_start",
    "read_history",
]


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return SMALLEST_NUMBER <= value <= LARGEST_NUMBER  # also refuses NaN


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


_NUMBER = (f"a number from {SMALLEST_NUMBER:g} to {LARGEST_NUMBER:g}", _is_number)
_DOMAIN = (
    f"one of {', '.join(DOMAINS)}",
    lambda value: isinstance(value, str) and value in DOMAINS,
)
_SWITCH = ("true or false", lambda value: isinstance(value, bool))
_TEXT = ("text or null", lambda value: value is None or isinstance(value, str))

_Rule = tuple[str, Callable[[Any], bool]]
_SCALING: Mapping[str, _Rule] = {
    "photons": _NUMBER,
    "input_scale": _NUMBER,
    "intensity_scale": _NUMBER,
    "nphotons": _NUMBER,
    "domain": _DOMAIN,
    "probe_given": _SWITCH,
    "scans": ("a list of tables", lambda value: isinstance(value, list | tuple)),
}
_START: Mapping[str, _Rule] = {
    "name": _TEXT,
    "weights_sha256": (
        "64 hexadecimal digits",
        lambda value: isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None,
    ),
    "backend": _TEXT,
    "created": _TEXT,
}
_SCAN: Mapping[str, _Rule] = {
    "name": _TEXT,
    "patterns": ("a whole number", _is_count),
    "photons": _NUMBER,
    "domain": _DOMAIN,
}


def check_scaling(scaling: object) -> None:
    """Check the scaling statistics of a bundle; names that are not known here are left alone.

    Raises
    ------
    InvalidValueError
        Naming the first value that breaks its rule.
    """
    _check_table("Bundle.scaling", scaling, _SCALING)
    for number, scan in enumerate(scaling.get("scans", ())):  # type: ignore[attr-defined]
        _check_table(f"Bundle.scaling.scans[{number}]", scan, _SCAN)


def _check_table(where: str, table: object, rules: Mapping[str, _Rule]) -> None:
    if not isinstance(table, Mapping):
        raise InvalidValueError(where, "a table of names and values", describe(table))
    for name, (rule, holds) in rules.items():
        if name in table and not holds(table[name]):
            raise InvalidValueError(f"{where}.{name}", rule, describe(table[name]))


def check_overrides(overrides: object) -> None:
    """Check the origins of a bundle's settings: tables with ``value`` and ``origin``.

    Raises
    ------
    InvalidValueError
        Naming the first that is something else.
    """
    where = "Bundle.overrides_applied"
    _check_table(where, overrides, {})
    for name, entry in overrides.items():  # type: ignore[attr-defined]
        _check_table(f"{where}.{name}", entry, {"origin": ("text", lambda v: isinstance(v, str))})


def check_start(start: object) -> None:
    """Check what is said of the model that a training started from; it may be empty.

    Raises
    ------
    InvalidValueError
        Naming the first value that breaks its rule.
    """
    where = "Bundle.start"
    _check_table(where, start, _START)
    if start and "weights_sha256" not in start:  # type: ignore[operator]
        raise InvalidValueError(where, "empty, or with weights_sha256", describe(start))


def read_history(table: Mapping[str, Any]) -> dict[str, list[float]]:
    """Read lists of numbers, with null for NaN.

    Raises
    ------
    InvalidValueError
        Naming the first that holds something else, or a number beyond double precision.
    """
    return {name: _numbers(name, values) for name, values in table.items()}


def _numbers(where: str, values: object) -> list[float]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InvalidValueError(where, "a list of numbers", describe(values))
    numbers: list[float] = []
    for value in values:
        if value is None:
            numbers.append(math.nan)
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e308:
            raise InvalidValueError(where, "a list of finite numbers", describe(value))
        numbers.append(float(value))
    return numbers


def check_finite(name: str, values: NDArray[Any]) -> None:
    """Refuse numbers that are NaN or infinity in single precision, in which networks compute.

    Raises
    ------
    InvalidValueError
        Saying how many.
    """
    if values.dtype.kind != "f":
        return
    with np.errstate(over="ignore"):
        finite = np.isfinite(values.astype(np.float32, copy=False))
    if not finite.all():
        bad = int(values.size - np.count_nonzero(finite))
        got = f"NaN or infinity in {bad} of {values.size}"
        advice = "the training diverged or the file was altered: train again"
        raise InvalidValueError(name, "finite", got, advice)


def check_probe_values(name: str, probe: NDArray[np.complex64]) -> None:
    """Refuse a probe with NaN or infinity, and one whose power single precision cannot hold.

    A probe that is zero everywhere is refused where it is used.

    Raises
    ------
    InvalidValueError
        Saying which.
    """
    if not np.isfinite(probe).all():
        raise InvalidValueError(name, "finite", "NaN or infinity")
    problem = strength_problem(probe)
    if problem is not None:
        raise InvalidValueError(name, *problem)
