"""The cases: every function of the physics, for one object and one problem."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_physics import _forward as forward
from ptycho_physics import _propagation as propagation
from ptycho_physics import _scaling as scaling
from ptycho_physics import losses, unrolled
from ptycho_physics._namespace import abs2, complex_of, namespace
from ptycho_physics._patches import extract_patches, merge_patches
from ptycho_physics._translation import Interpolation, translate

Array = Any
Real = NDArray[np.float64]

N = 8
BATCH = 3
CANVAS = (19, 22)
PHOTONS = 900.0


@frozen
class Problem:
    """Everything except the object, as arrays of one library."""

    probe: Array  # (2, N, N) complex, unit power
    counts: Array  # (BATCH, N, N)
    positions: Array  # (BATCH, 2), on the canvas
    shifts: Array  # (BATCH, 2)
    mask: Array  # (N, N) boolean
    other: Array  # (BATCH, N, N) complex, a second object


Function = Callable[[Array, Problem, Any], Array]
"""From an object (BATCH, N, N), or a canvas (H, W), a problem and a namespace to an array."""


def from_polar(amplitude: Array, phase: Array, *, xp: Any | None = None) -> Array:
    """Return ``amplitude * exp(i phase)``; the phase is in radians."""
    xp = namespace(amplitude, phase, xp=xp)
    return complex_of(amplitude * xp.cos(phase), amplitude * xp.sin(phase), xp)


def _of_object(function: Callable[..., Array], **more: Any) -> Function:
    """Return the case of a function of the object alone."""

    def case(o: Array, _: Problem, xp: Any) -> Array:
        return function(o, **more, xp=xp)

    return case


def _of_rate(function: Callable[..., Array], *, masked: bool = True, **more: Any) -> Function:
    """Return the case of a function of expected and measured counts, and perhaps bad pixels."""

    def case(o: Array, p: Problem, xp: Any) -> Array:
        return function(_rate(o, p, xp), p.counts, p.mask if masked else None, **more, xp=xp)

    return case


def _rate(o: Array, p: Problem, xp: Any) -> Array:
    return forward.expected_counts(o, p.probe, PHOTONS, xp=xp)


def _extract(interpolation: Interpolation) -> Function:
    return lambda canvas, p, xp: extract_patches(
        canvas, p.positions, N, interpolation=interpolation, xp=xp
    )


def _merge(interpolation: Interpolation) -> Function:
    return lambda o, p, xp: merge_patches(
        o, p.positions, CANVAS, interpolation=interpolation, xp=xp
    )


def _translate(interpolation: Interpolation) -> Function:
    return lambda o, p, xp: translate(o, p.shifts, interpolation=interpolation, xp=xp)


def _modulus_residual(o: Array, p: Problem, xp: Any) -> Array:
    measured = xp.sqrt(p.counts / PHOTONS)
    amplitude, good = unrolled.detector_arrays(measured * (N / 2), p.mask, xp=xp)
    return unrolled.modulus_residual(o, amplitude, good, p.probe, PHOTONS, xp=xp)


def _phase_difference(axis: int) -> Function:
    def case(o: Array, _: Problem, xp: Any) -> Array:
        return unrolled.phase_difference(
            unrolled.modulus_and_phase_factor(o, xp=xp)[1], axis, xp=xp
        )

    return case


_LENGTHS = {"distance": 3.0, "wavelength": 0.4, "pixel_size": 1.0}

CASES: dict[str, Function] = {
    "from_polar": lambda o, _, __: o,
    "illuminate": lambda o, p, xp: forward.illuminate(p.probe, o, xp=xp),
    "propagate": _of_object(forward.propagate),
    "back_propagate": _of_object(forward.back_propagate),
    "intensity": lambda o, p, xp: forward.intensity(o, p.probe, xp=xp),
    "expected_counts": _rate,
    "normalise_probe": _of_object(forward.normalise_probe),
    "probe_intensity": _of_object(forward.probe_intensity),
    "probe_weight": _of_object(forward.probe_weight),
    "poisson_nll": _of_rate(losses.poisson_nll),
    "poisson_nll, constant": _of_rate(losses.poisson_nll, masked=False, constant=True),
    "poisson_deviance": _of_rate(losses.poisson_deviance),
    "amplitude_mae": _of_rate(losses.amplitude_mae),
    "total_variation": _of_object(losses.total_variation),
    "complex_mae": lambda o, p, xp: losses.complex_mae(o, p.other, xp=xp),
    "extract_patches, bilinear": _extract("bilinear"),
    "extract_patches, Fourier": _extract("fourier"),
    "merge_patches, bilinear": _merge("bilinear"),
    "merge_patches, Fourier": _merge("fourier"),
    "translate, bilinear": _translate("bilinear"),
    "translate, Fourier": _translate("fourier"),
    "fresnel_propagate": _of_object(propagation.fresnel_propagate, **_LENGTHS),
    "angular_spectrum_propagate": _of_object(propagation.angular_spectrum_propagate, **_LENGTHS),
    "departure_from_beam": lambda o, p, xp: scaling.departure_from_beam(
        xp.sqrt(abs2(o, xp) + 0.1), p.probe, p.mask, xp=xp
    ),
    "unrolled, modulus_residual": _modulus_residual,
    "unrolled, phase_difference, right": _phase_difference(-1),
    "unrolled, phase_difference, below": _phase_difference(-2),
}
"""The functions by name. Those that cut patches take a canvas; see `shape_of`."""


def shape_of(name: str) -> tuple[int, ...]:
    """Return the shape of the object that a case takes."""
    return CANVAS if name.startswith("extract_patches") else (BATCH, N, N)


@cache
def exact_problem() -> Problem:
    """Return the problem in double precision."""
    rng = np.random.default_rng(7)

    def field(*shape: int) -> NDArray[np.complex128]:
        return np.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape))

    other = 0.2 * field(BATCH, N, N) - 2  # far from the object: a modulus has a kink at zero
    probe = forward.normalise_probe(field(2, N, N))
    amplitude, phase = object_of("intensity")
    rate = forward.expected_counts(from_polar(amplitude, phase), probe, PHOTONS)
    # Well above and below what is expected, where the modulus of the difference has its kink.
    counts = rate * np.where(rng.random(rate.shape) < 0.5, 0.5, 1.6) + 0.1
    return Problem(
        probe=probe,
        counts=counts,
        positions=np.array([[7.3, 8.8], [10.0, 9.5], [12.45, 6.1]]),
        shifts=np.array([[0.3, -1.2], [2.0, 0.5], [-0.75, 0.0]]),
        mask=rng.random((N, N)) < 0.1,
        other=other,
    )


def object_of(name: str) -> tuple[Real, Real]:
    """Return amplitude and phase that a case is taken at.

    Neighbours differ in real and imaginary part by more than a finite difference reaches: the total
    variation has a kink where they agree.
    """
    shape = shape_of(name)
    rng = np.random.default_rng(11)
    odd = np.indices(shape[-2:]).sum(axis=0) % 2
    amplitude = np.where(odd, 0.8, 1.2) + rng.uniform(-0.1, 0.1, shape)
    return amplitude, np.where(odd, 0.9, 0.2) + rng.uniform(-0.1, 0.1, shape)
