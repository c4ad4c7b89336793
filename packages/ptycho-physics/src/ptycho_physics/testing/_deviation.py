"""The deviation of a library from the reference, in values and in gradients."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, Protocol

import array_api_compat.numpy as array_api_numpy
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_physics.testing._cases import (
    CASES,
    Array,
    Problem,
    Real,
    exact_problem,
    from_polar,
    object_of,
)

Precision = Literal["float32", "float64"]

TOLERANCE: dict[Precision, float] = {
    "float32": 4 * math.sqrt(float(np.finfo(np.float32).eps)),
    "float64": 1e-10,
}
"""Largest deviation allowed: four times the root of the rounding error, and 1e-10."""

STEP = 2e-3
"""Step of the finite differences, in amplitude and in radians."""


class Library(Protocol):
    """What a library has to provide.

    Attributes
    ----------
    xp
        Its namespace, passed to the functions as ``xp``.
    """

    xp: Any

    def array(self, values: NDArray[Any]) -> Array:
        """Return an array of the library with the dtype of ``values``."""

    def numpy(self, values: Array) -> NDArray[Any]:
        """Return an array of the library as NumPy."""

    def call(self, function: Callable[..., Array], *arguments: Array) -> Array:
        """Return what a function returns, compiled where the library's users compile."""

    def gradient(
        self, function: Callable[[Array, Array], Array], amplitude: Array, phase: Array
    ) -> tuple[Array, Array] | None:
        """Return the derivatives of a real scalar, or None from a library that has none."""


def _problem(library: Library, precision: Precision) -> Problem:
    exact = exact_problem()
    real, field = (np.float32, np.complex64) if precision == "float32" else (np.float64, complex)
    return Problem(
        probe=library.array(exact.probe.astype(field)),
        counts=library.array(exact.counts.astype(real)),
        positions=library.array(exact.positions),
        shifts=library.array(exact.shifts.astype(real)),
        mask=library.array(exact.mask),
        other=library.array(exact.other.astype(field)),
    )


def _weights(shape: tuple[int, ...]) -> list[Real]:
    """Weights of real and imaginary part that reduce an array to one number, for its gradient."""
    rng = np.random.default_rng(3)
    return [rng.normal(size=shape), rng.normal(size=shape)]


def _weighted(values: Array, weights: list[Array], xp: Any) -> Array:
    """Return ``Re sum(conj(weights) * values)``, of weights given as real and imaginary part."""
    if not xp.isdtype(values.dtype, "complex floating"):
        return xp.sum(values * xp.astype(weights[0], values.dtype))
    parts = (xp.real(values), xp.imag(values))
    sums = [xp.sum(x * xp.astype(w, x.dtype)) for x, w in zip(parts, weights, strict=True)]
    return sums[0] + sums[1]


@cache
def reference(name: str) -> tuple[NDArray[Any], Real, Real]:
    """Return the value of a case, and the derivatives of its weighted sum, in double precision.

    Central differences of fourth order, of all pixels by amplitude and by phase.
    """
    problem, case, xp = exact_problem(), CASES[name], array_api_numpy
    polar = np.stack(object_of(name))

    def value(x: Real) -> NDArray[Any]:
        return np.asarray(case(from_polar(x[0], x[1]), problem, xp))

    found = value(polar)
    weights = _weights(found.shape)
    gradient = np.zeros(polar.shape)
    for pixel in np.ndindex(polar.shape):
        step = np.zeros(polar.shape)
        step[pixel] = STEP
        terms = ((-2, 1.0), (-1, -8.0), (1, 8.0), (2, -1.0))
        total = sum(w * float(_weighted(value(polar + k * step), weights, xp)) for k, w in terms)
        gradient[pixel] = total / (12 * STEP)
    return found, gradient[0], gradient[1]


@frozen
class Deviation:
    """Largest deviation from the reference, relative to its largest value.

    Attributes
    ----------
    value : float
    gradient : float or None
        Of both derivatives; None from a library without gradients.
    """

    value: float
    gradient: float | None


def deviation(name: str, library: Library, precision: Precision) -> Deviation:
    """Measure a library on one case.

    Parameters
    ----------
    name
        Key of `CASES`.
    library
    precision
        ``"float32"`` for complex64 and float32, ``"float64"`` for complex128 and float64.

    Returns
    -------
    Deviation

    Raises
    ------
    TypeError
        If the result has another precision than the problem.
    """
    expected, *derivatives = reference(name)
    xp, problem, case = library.xp, _problem(library, precision), CASES[name]
    amplitude, phase = (library.array(x.astype(precision)) for x in object_of(name))

    def value(a: Array, f: Array) -> Array:
        return case(from_polar(a, f, xp=xp), problem, xp)

    found = library.numpy(library.call(value, amplitude, phase))
    wanted = {"float32": "f4 c8", "float64": "f8 c16"}[precision]
    if found.dtype.str[1:] not in wanted.split():
        msg = f"the result of {name} must be in {precision}, got {found.dtype}"
        raise TypeError(msg)
    weights = [library.array(part) for part in _weights(expected.shape)]
    gradients = library.gradient(lambda a, f: _weighted(value(a, f), weights, xp), amplitude, phase)
    if gradients is None:
        return Deviation(_relative(found, expected), None)
    stacked = np.stack([library.numpy(gradient) for gradient in gradients])
    return Deviation(_relative(found, expected), _relative(stacked, np.stack(derivatives)))


def _relative(found: NDArray[Any], expected: NDArray[Any]) -> float:
    if found.shape != expected.shape:
        return math.inf
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))
