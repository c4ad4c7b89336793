r"""Propagation of a field through free space at constant pixel size.

A field propagates as :math:`\exp(+ikz)`; a negative distance propagates backwards. Both propagators
multiply the spectrum by a factor of modulus one, so power is conserved, and omit the constant phase
``exp(ikz)``. The field is periodic: light that leaves on one side enters on the opposite one.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_physics._namespace import Array, complex_of, constant, fft2, ifft2, namespace


def _squared_frequency(shape: tuple[int, ...], pixel_size: float) -> NDArray[np.float64]:
    rows, columns = (np.fft.fftfreq(n, d=pixel_size) for n in shape[-2:])
    return np.asarray(rows[:, None] ** 2 + columns[None, :] ** 2)


def _filtered(field: Array, phase: NDArray[np.float64], xp: Any) -> Array:
    """Multiply the spectrum by ``exp(i phase)``, and by zero where the phase is not a number."""
    travels = np.isfinite(phase)
    angle = np.where(travels, phase, 0.0)
    cosine, sine = (constant(part * travels, field, xp) for part in (np.cos(angle), np.sin(angle)))
    return ifft2(fft2(field, xp) * complex_of(cosine, sine, xp), xp)


def fresnel_propagate(
    field: Array, distance: float, *, wavelength: float, pixel_size: float, xp: Any | None = None
) -> Array:
    r"""Propagate a paraxial field.

    Multiplies the spectrum by :math:`\exp(-i \pi \lambda z (u^2 + v^2))` (J. Goodman,
    *Introduction to Fourier Optics*, sec. 4.2).

    Parameters
    ----------
    field : (..., N, N) complex array
    distance, wavelength, pixel_size
        In one unit of length; a negative distance propagates back.

    Returns
    -------
    (..., N, N) complex array
    """
    xp = namespace(field, xp=xp)
    squared = _squared_frequency(tuple(field.shape), pixel_size)
    return _filtered(field, -math.pi * wavelength * distance * squared, xp)


def angular_spectrum_propagate(
    field: Array, distance: float, *, wavelength: float, pixel_size: float, xp: Any | None = None
) -> Array:
    r"""Propagate a field without the paraxial approximation, by the Helmholtz equation.

    Multiplies the spectrum by :math:`\exp(ikz (\sqrt{1 - \lambda^2 (u^2 + v^2)} - 1))` (J. Goodman,
    *Introduction to Fourier Optics*, sec. 3.10). Evanescent waves, which exist with pixels smaller
    than half a wavelength, are removed.

    Parameters
    ----------
    field : (..., N, N) complex array
    distance, wavelength, pixel_size
        In one unit of length; a negative distance propagates back.

    Returns
    -------
    (..., N, N) complex array
    """
    xp = namespace(field, xp=xp)
    sine = wavelength**2 * _squared_frequency(tuple(field.shape), pixel_size)
    cosine = np.sqrt(np.where(sine <= 1, 1 - sine, np.nan))
    # cos - 1 = -sin^2 / (1 + cos), without the loss of digits at small angles
    return _filtered(field, -2 * math.pi / wavelength * distance * sine / (1 + cosine), xp)
