r"""Probes of real optics at a distance from their focus: mirrors, pinholes, electron lenses.

Every factory returns complex64 modes (1, N, N) of unit total power, centred on pixel
``[N//2, N//2]``. Lengths are metres, and a positive defocus means that the sample lies downstream
of the focus, so that the beam diverges there. `ptycho_physics.probes.zone_plate_probe` belongs to
them.

The field is the Fourier transform of a pupil with the phase ``-chi``, where a wavefront aberration
``chi`` of defocus :math:`z` is :math:`\pi \lambda z (u^2 + v^2)`, as in
`ptycho_physics.fresnel_propagate`.
"""

import math

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._propagation import fresnel_propagate
from ptycho_physics._shapes import offsets, soft_step
from ptycho_physics.probes import check_above, modes_of

__all__ = ["curved_probe", "electron_probe", "mirror_probe", "pinhole_probe"]

Real = NDArray[np.float64]


def curved_probe(amplitude: NDArray[np.floating], curvature: float) -> NDArray[np.complex64]:
    """Return the probe whose far field has an amplitude and the phase of a defocus.

    Parameters
    ----------
    amplitude : (N, N) real array
        Amplitude on the detector, zero frequency at ``[N//2, N//2]``: that of the pupil.
    curvature
        ``wavelength * defocus / pixel_size**2``, in square pixels of the object. The beam of a
        pupil that fills a fraction ``a`` of the detector is ``a * curvature`` pixels wide.

    Returns
    -------
    (1, N, N) complex64 array of unit power
    """
    N = amplitude.shape[-1]
    u, v = offsets((N, N), (N // 2, N // 2))
    phase = -math.pi * curvature * (u**2 + v**2) / N**2
    return _focused(amplitude * np.exp(1j * phase))


def mirror_probe(
    N: int,
    *,
    wavelength_m: float,
    pixel_size_m: float,
    aperture_m: tuple[float, float],
    focal_length_m: tuple[float, float],
    defocus_m: float,
    astigmatism_m: float = 0.0,
) -> NDArray[np.complex64]:
    """Return the probe of a pair of crossed mirrors (Kirkpatrick-Baez).

    Parameters
    ----------
    N
        Patch size in pixels.
    wavelength_m, pixel_size_m
        Wavelength and pixel of the object plane.
    aperture_m, focal_length_m
        Accepted width and focal distance of the mirrors that focus in x and in y.
    defocus_m
        Distance from the mean focus to the object, positive downstream.
    astigmatism_m
        Distance from the focus in x to that in y, positive if the latter is further downstream.

    Returns
    -------
    (1, N, N) complex64 array of unit power

    Raises
    ------
    InvalidValueError
        If a length is outside its range, or the beam is wider than the patch.
    """
    _check_scale(N, wavelength_m, pixel_size_m)
    u, v = _frequencies(N, pixel_size_m)
    pupil = np.ones((N, N))
    distances = (defocus_m + astigmatism_m / 2, defocus_m - astigmatism_m / 2)
    chi = np.zeros((N, N))
    for name, axis, width, focal, distance in zip(
        "xy", (u, v), aperture_m, focal_length_m, distances, strict=True
    ):
        check_above(f"aperture_m of the mirror for {name}", width, 0)
        check_above(f"focal_length_m of the mirror for {name}", focal, 0)
        half = width / (2 * focal) / wavelength_m
        _check_fits(N, pixel_size_m, half, distance * wavelength_m)
        pupil = pupil * soft_step((half - np.abs(axis)) * N * pixel_size_m, 1.0)
        chi = chi + math.pi * wavelength_m * distance * axis**2
    return _focused(pupil * np.exp(-1j * chi))


def pinhole_probe(
    N: int, *, wavelength_m: float, pixel_size_m: float, diameter_m: float, distance_m: float = 0.0
) -> NDArray[np.complex64]:
    """Return the probe behind a pinhole in a plane wave.

    Parameters
    ----------
    N
        Patch size in pixels.
    wavelength_m, pixel_size_m
        Wavelength and pixel of the object plane.
    diameter_m
        Diameter of the hole.
    distance_m
        From the pinhole to the object.

    Returns
    -------
    (1, N, N) complex64 array of unit power

    Raises
    ------
    InvalidValueError
        If a length is outside its range, or the hole is wider than the patch.
    """
    _check_scale(N, wavelength_m, pixel_size_m)
    check_above("diameter_m", diameter_m, 0, N * pixel_size_m)
    check_above("distance_m", distance_m, -math.inf)
    x, y = offsets((N, N), (N // 2, N // 2))
    hole = soft_step(diameter_m / (2 * pixel_size_m) - np.hypot(x, y), 1.0).astype(np.complex128)
    beam = fresnel_propagate(
        hole, distance_m, wavelength=wavelength_m, pixel_size=pixel_size_m
    )  # a sharp hole in a field that is periodic: some light wraps around at large distances
    return modes_of(beam)


def electron_probe(
    N: int,
    *,
    wavelength_m: float,
    pixel_size_m: float,
    semi_angle_rad: float,
    defocus_m: float = 0.0,
    astigmatism_m: float = 0.0,
    astigmatism_angle_rad: float = 0.0,
    spherical_m: float = 0.0,
) -> NDArray[np.complex64]:
    r"""Return the probe of an electron microscope with an aperture and aberrations.

    The aberration function is (O. Krivanek et al., Ultramicroscopy 78, 1 (1999), with angles
    :math:`\alpha` and :math:`\phi`)

    .. math:: \chi = \frac{2\pi}{\lambda} \left(\frac{C_1}{2}\alpha^2
        + \frac{A_1}{2}\alpha^2\cos 2(\phi - \phi_A) + \frac{C_3}{4}\alpha^4\right)

    Parameters
    ----------
    N
        Patch size in pixels.
    wavelength_m, pixel_size_m
        Wavelength and pixel of the object plane.
    semi_angle_rad
        Convergence semi-angle.
    defocus_m
        ``C1``: positive overfocus, with the focus before the sample; negative underfocus.
    astigmatism_m, astigmatism_angle_rad
        ``A1`` and its direction, from x towards y.
    spherical_m
        ``C3``.

    Returns
    -------
    (1, N, N) complex64 array of unit power

    Raises
    ------
    InvalidValueError
        If a length is outside its range, or the beam is wider than the patch.
    """
    _check_scale(N, wavelength_m, pixel_size_m)
    check_above("semi_angle_rad", semi_angle_rad, 0, math.pi / 2)
    limit = semi_angle_rad / wavelength_m
    furthest = abs(defocus_m) + abs(astigmatism_m) + abs(spherical_m) * semi_angle_rad**2
    _check_fits(N, pixel_size_m, limit, furthest * wavelength_m)
    u, v = _frequencies(N, pixel_size_m)
    alpha = wavelength_m * np.hypot(u, v)
    twofold = np.cos(2 * (np.arctan2(v, u) - astigmatism_angle_rad))
    path = (defocus_m + astigmatism_m * twofold) * alpha**2 / 2 + spherical_m * alpha**4 / 4
    pupil = soft_step((limit - np.hypot(u, v)) * N * pixel_size_m, 1.0)
    return _focused(pupil * np.exp(-2j * math.pi / wavelength_m * path))


def _focused(pupil: NDArray[np.complexfloating]) -> NDArray[np.complex64]:
    """Return the focus of a pupil, both centred."""
    return modes_of(np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(pupil))))


def _frequencies(N: int, pixel_size_m: float) -> tuple[Real, Real]:
    """Spatial frequencies (1, N) along x and (N, 1) along y, per metre."""
    u, v = offsets((N, N), (N // 2, N // 2))
    return u / (N * pixel_size_m), v / (N * pixel_size_m)


def _check_scale(N: int, wavelength_m: float, pixel_size_m: float) -> None:
    if N < 2:
        raise InvalidValueError("N", ">= 2 pixels", str(N))
    check_above("wavelength_m", wavelength_m, 0)
    check_above("pixel_size_m", pixel_size_m, 0)


def _check_fits(N: int, pixel_size_m: float, limit: float, spread: float) -> None:
    """Refuse a pupil up to the frequency ``limit`` that the detector or the patch cannot hold.

    ``spread`` is wavelength times defocus; both in metres.
    """
    widest = 1 / (2 * pixel_size_m)
    if not limit <= widest:
        rule = f"so small that its cone stays on the detector, at most {widest:.4g} per metre"
        raise InvalidValueError("aperture", rule, f"{limit:.4g} per metre", _UNITS)
    width = 2 * abs(spread) * limit / pixel_size_m
    if not width <= N:
        rule = f"so small that the beam at the object is at most {N} pixels wide"
        raise InvalidValueError("defocus_m", rule, f"{width:.4g} pixels", _UNITS)


_UNITS = "check the units of the optics, the energy and the pixel size"
