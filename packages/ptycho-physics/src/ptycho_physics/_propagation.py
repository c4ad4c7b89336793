r"""Propagation of a field through free space at constant pixel size.

A field propagates as :math:`\exp(+ikz)`; a negative distance propagates backwards. Both propagators
multiply the spectrum by a factor of modulus one, so power is conserved, and omit the constant phase
``exp(ikz)``. The field is periodic: light that leaves on one side enters on the opposite one.
"""

import math
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_physics._namespace import Array, complex_of, constant, fft2, ifft2, namespace

Real = NDArray[np.float64]


@frozen(eq=False)
class FreeSpace:
    """Propagation over one distance, prepared for many fields of one size.

    Attributes
    ----------
    factor : (N, N) complex array
        Factor on the spectrum, zero frequency at ``[0, 0]``.
    """

    factor: Array
    xp: Any

    @classmethod
    def of(cls, phase: Real, like: Array, xp: Any, *, shifted: bool = False) -> "FreeSpace":
        """Prepare the factor ``exp(i phase)``, zero where the phase is not a number.

        Parameters
        ----------
        phase : (N, N) float64 array
            Such as `fresnel_phase`.
        like
            An array of the library, device and precision of the fields.
        shifted
            For fields that `centring` has multiplied, whose spectrum is shifted by half of its
            length.
        """
        travels = np.isfinite(phase)
        angle = np.where(travels, phase, 0.0)
        cosine, sine = np.cos(angle) * travels, np.sin(angle) * travels
        if shifted:
            cosine, sine = np.fft.fftshift(cosine), np.fft.fftshift(sine)
        return cls(complex_of(constant(cosine, like, xp), constant(sine, like, xp), xp), xp)

    def forward(self, field: Array) -> Array:
        """Propagate fields (..., N, N)."""
        return ifft2(fft2(field, self.xp) * self.factor, self.xp)

    def back(self, field: Array) -> Array:
        """Propagate fields (..., N, N) backwards: the adjoint of `forward`."""
        return ifft2(fft2(field, self.xp) * self.xp.conj(self.factor), self.xp)


def _frequencies(shape: tuple[int, ...], pixel_size: float) -> tuple[Real, Real]:
    """Return the frequencies (N, 1) of the rows and (1, N) of the columns."""
    rows, columns = (np.fft.fftfreq(n, d=pixel_size).astype(np.float64) for n in shape[-2:])
    return rows[:, None], columns[None, :]


def fresnel_phase(
    shape: tuple[int, ...], distance: float, *, wavelength: float, pixel_size: float
) -> Real:
    r"""Return :math:`-\pi \lambda z (u^2 + v^2)` for the frequencies of fields of a shape."""
    v, u = _frequencies(shape, pixel_size)
    return np.asarray(-math.pi * wavelength * distance * (u**2 + v**2))


def angular_spectrum_phase(
    shape: tuple[int, ...],
    distance: float,
    *,
    wavelength: float,
    pixel_size: float,
    tilt: tuple[float, float] = (0.0, 0.0),
) -> Real:
    r"""Return :math:`kz (\sqrt{1 - \lambda^2 (u^2 + v^2)} - 1)`, NaN for evanescent waves.

    Parameters
    ----------
    shape
        Of the fields, (..., N, N).
    distance, wavelength, pixel_size
        In one unit of length.
    tilt
        Angles (x, y) in radians between the axis of the field and the normal of its planes: the
        field also moves by ``distance * tan(tilt)``.
    """
    v, u = _frequencies(shape, pixel_size)
    sine = wavelength**2 * (u**2 + v**2)
    cosine = np.sqrt(np.where(sine <= 1, 1 - sine, np.nan))
    # cos - 1 = -sin^2 / (1 + cos), without the loss of digits at small angles
    straight = -2 * math.pi / wavelength * distance * sine / (1 + cosine)
    sideways = u * math.tan(tilt[0]) + v * math.tan(tilt[1])
    return np.asarray(straight - 2 * math.pi * distance * sideways)


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
    shape = tuple(field.shape)
    phase = fresnel_phase(shape, distance, wavelength=wavelength, pixel_size=pixel_size)
    return FreeSpace.of(phase, field, xp).forward(field)


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
    shape = tuple(field.shape)
    phase = angular_spectrum_phase(shape, distance, wavelength=wavelength, pixel_size=pixel_size)
    return FreeSpace.of(phase, field, xp).forward(field)
