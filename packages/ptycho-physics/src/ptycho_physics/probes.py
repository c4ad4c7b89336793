"""Probes for simulations: a disk, a Gaussian, a defocused zone plate, or any array.

Every factory returns complex64 modes (M, N, N) of unit total power, centred on pixel
``[N//2, N//2]``. Lengths are pixels of the object plane unless a name ends in ``_m`` (metres).

Positive distances are downstream of the focus; `fresnel_propagate` has the sign of the phase.
"""

import math

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._forward import normalise_probe
from ptycho_physics._propagation import fresnel_propagate
from ptycho_physics._shapes import blur, offsets, soft_step

ComplexField = NDArray[np.complexfloating]


def check_above(name: str, value: float, low: float, high: float = math.inf) -> None:
    """Refuse a value that is not above ``low``, or is above ``high``."""
    if not low < value <= high:
        upper = "" if math.isinf(high) else f" and <= {high:g}"
        raise InvalidValueError(name, f"> {low:g}{upper}", f"{value:g}")


def _check_size(N: int) -> None:
    if N < 2:
        raise InvalidValueError("N", ">= 2 pixels", str(N))


def modes_of(field: ComplexField) -> NDArray[np.complex64]:
    """Return a field (..., N, N) with an axis of modes, at unit power, as complex64."""
    probe = normalise_probe(field.reshape((-1, *field.shape[-2:])))
    return np.asarray(probe, dtype=np.complex64)


def disk_probe(
    N: int, diameter: float | None = None, *, edge: float = 2.0, curvature: float = 0.0
) -> NDArray[np.complex64]:
    """Return a uniformly lit disk with a soft edge, as behind a pinhole.

    Parameters
    ----------
    N
        Patch size in pixels.
    diameter
        Full width at half maximum amplitude, in pixels; ``N / 2`` if not given.
    edge
        Width of the edge in pixels, > 0.
    curvature
        Phase at the rim relative to the centre, in radians; it grows with the radius squared. A
        curved probe spreads the bright centre of the diffraction pattern.

    Returns
    -------
    (1, N, N) complex64 array of unit power

    Raises
    ------
    InvalidValueError
        If a size is outside its range.
    """
    _check_size(N)
    diameter = N / 2 if diameter is None else diameter
    check_above("diameter", diameter, 0, N)
    check_above("edge", edge, 0)
    x, y = offsets((N, N), (N // 2, N // 2))
    radius = np.hypot(x, y)
    phase = curvature * (2 * radius / diameter) ** 2
    return modes_of(soft_step(diameter / 2 - radius, edge) * np.exp(1j * phase))


def gaussian_probe(N: int, fwhm: float | None = None) -> NDArray[np.complex64]:
    """Return a Gaussian beam at its waist.

    Parameters
    ----------
    N
        Patch size in pixels.
    fwhm
        Full width at half maximum of the intensity, in pixels; ``N / 4`` if not given. The usual
        waist, where intensity falls to ``exp(-2)``, is ``fwhm / sqrt(2 log 2)``
        (B. Saleh and M. Teich, *Fundamentals of Photonics*, ch. 3).

    Returns
    -------
    (1, N, N) complex64 array of unit power

    Raises
    ------
    InvalidValueError
        If a size is outside its range.
    """
    _check_size(N)
    fwhm = N / 4 if fwhm is None else fwhm
    check_above("fwhm", fwhm, 0)
    x, y = offsets((N, N), (N // 2, N // 2))
    amplitude = np.exp(-2 * math.log(2) * (x**2 + y**2) / fwhm**2)
    return modes_of(amplitude.astype(np.complex128))


def speckle_probe(N: int, size: float | None = None, *, seed: int = 0) -> NDArray[np.complex64]:
    """Return the field behind a diffuser, which lights the whole patch: a plane wave and speckle.

    Parameters
    ----------
    N
        Patch size in pixels.
    size
        Size of a speckle in pixels: full width at half maximum of the correlation of its field; 4
        if not given. Plane wave and speckle have equal power.
    seed
        Seed of the speckle.

    Returns
    -------
    (1, N, N) complex64 array of unit power

    Raises
    ------
    InvalidValueError
        If a size is outside its range.
    """
    _check_size(N)
    size = 4.0 if size is None else size
    check_above("size", size, 0, N)
    random = np.random.default_rng(seed)
    noise = random.normal(size=(N, N)) + 1j * random.normal(size=(N, N))
    speckle = blur(noise, size / math.sqrt(16 * math.log(2)))
    return modes_of(1 + speckle / np.sqrt(np.mean(np.abs(speckle) ** 2)))


def defocused_probe(
    N: int,
    diameter: float | None = None,
    *,
    aperture: float = 0.4,
    central_stop: float = 0.4,
) -> NDArray[np.complex64]:
    """Return the defocused probe of a zone plate.

    Parameters
    ----------
    N
        Patch size in pixels.
    diameter
        Diameter of the cone of rays at the object, in pixels; ``N / 2`` if not given. Negative:
        upstream of the focus. Zero: in focus.
    aperture
        Diameter of the zone plate's image on the detector, as a fraction of the detector's width,
        in (0, 1]. The focus is about ``1.22 / aperture`` pixels from centre to first dark ring.
    central_stop
        Diameter of the central stop as a fraction of the zone plate's, in [0, 1).

    Returns
    -------
    (1, N, N) complex64 array of unit power

    Raises
    ------
    InvalidValueError
        If a size is outside its range.

    See Also
    --------
    zone_plate_probe : The same from lengths in metres.

    Examples
    --------
    >>> probe = defocused_probe(64)
    >>> probe.shape, round(float((abs(probe) ** 2).sum()), 4)
    ((1, 64, 64), 1.0)
    """
    diameter = N / 2 if diameter is None else diameter
    _check_size(N)
    if not abs(diameter) <= N:
        raise InvalidValueError("diameter", f"between -{N} and {N} pixels", f"{diameter:g}")
    check_above("aperture", aperture, 0, 1)
    # Rays leave the focus at up to aperture / 2 cycles per pixel.
    return _zone_plate(N, aperture, central_stop, diameter / aperture)


def zone_plate_probe(
    N: int,
    *,
    wavelength_m: float,
    pixel_size_m: float,
    outer_zone_width_m: float,
    defocus_m: float,
    central_stop: float = 0.4,
) -> NDArray[np.complex64]:
    """Return the probe of a Fresnel zone plate at a distance from its focus.

    The numerical aperture is ``wavelength / (2 outer zone width)``: its outer zone width
    fully describes the lens (D. Attwood, *Soft X-Rays and Extreme Ultraviolet Radiation*, ch. 9).

    Parameters
    ----------
    N
        Patch size in pixels.
    wavelength_m
        Wavelength in metres.
    pixel_size_m
        Pixel of the object plane in metres.
    outer_zone_width_m
        Width of the outermost zone in metres, at least one pixel.
    defocus_m
        Distance from the focus to the object in metres, positive downstream.
    central_stop
        Diameter of the central stop as a fraction of the zone plate's, in [0, 1).

    Returns
    -------
    (1, N, N) complex64 array of unit power

    Raises
    ------
    InvalidValueError
        If a length is outside its range, or the cone of light is wider than the patch.
    """
    _check_size(N)
    check_above("wavelength_m", wavelength_m, 0)
    check_above("pixel_size_m", pixel_size_m, 0)
    check_above("outer_zone_width_m", outer_zone_width_m, 0)
    aperture = pixel_size_m / outer_zone_width_m
    check_above("pixel_size_m / outer_zone_width_m", aperture, 0, 1)
    defocus = wavelength_m * defocus_m / pixel_size_m**2
    diameter = abs(defocus * aperture)
    if not diameter <= N:
        rule = f"so small that the beam at the object is at most {N} pixels wide"
        raise InvalidValueError("defocus_m", rule, f"{defocus_m:g}, {diameter:g} pixels")
    return _zone_plate(N, aperture, central_stop, defocus)


def _zone_plate(
    N: int, aperture: float, central_stop: float, defocus: float
) -> NDArray[np.complex64]:
    """Propagate the focus of an annular lens; ``defocus`` is ``wavelength * z / pixel^2``."""
    if not 0 <= central_stop < 1:
        raise InvalidValueError("central_stop", ">= 0 and < 1", f"{central_stop:g}")
    u, v = offsets((N, N), (N // 2, N // 2))
    radius = np.hypot(u, v)
    outer = aperture * N / 2
    # Soft over one detector pixel: a sharp pupil would ring across the whole patch.
    pupil = soft_step(outer - radius, 1.0)
    if central_stop > 0:
        pupil = pupil * soft_step(radius - central_stop * outer, 1.0)
    focus = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(pupil)))
    return modes_of(fresnel_propagate(focus, defocus, wavelength=1.0, pixel_size=1.0))


def probe_from_array(array: NDArray[np.generic]) -> NDArray[np.complex64]:
    """Return a probe from an array of one or several modes.

    Parameters
    ----------
    array : (N, N) or (M, N, N) array
        Modes, real or complex, of any power.

    Returns
    -------
    (M, N, N) complex64 array of unit power

    Raises
    ------
    InvalidValueError
        If the shape does not fit, a value is not finite, or the probe is zero.
    """
    field = np.asarray(array)
    if field.ndim not in (2, 3) or field.shape[-1] != field.shape[-2] or field.size == 0:
        rule = "an (N, N) or (M, N, N) array"
        raise InvalidValueError("probe", rule, f"shape {field.shape}")
    if field.dtype.kind not in "iufc" or not np.all(np.isfinite(field)):
        got = "NaN or infinity" if field.dtype.kind in "iufc" else str(field.dtype)
        raise InvalidValueError("probe", "finite real or complex numbers", got)
    return modes_of(field.astype(np.complex128))


def circular_mask(N: int, diameter: float, *, edge: float = 1.0) -> NDArray[np.float64]:
    """Return a disk of ones with a soft edge, a mask for a probe or its far field.

    Parameters
    ----------
    N
        Patch size in pixels.
    diameter
        Full width at half maximum in pixels, > 0.
    edge
        Width of the edge in pixels, > 0.

    Returns
    -------
    (N, N) float64 array in [0, 1], centred on pixel ``[N//2, N//2]``

    Raises
    ------
    InvalidValueError
        If a size is outside its range.
    """
    _check_size(N)
    check_above("diameter", diameter, 0)
    check_above("edge", edge, 0)
    x, y = offsets((N, N), (N // 2, N // 2))
    return soft_step(diameter / 2 - np.hypot(x, y), edge)


def inscribed_circle(N: int) -> NDArray[np.bool_]:
    """Return the mask (N, N) of the largest circle about pixel ``[N//2, N//2]``."""
    offset = np.arange(N) - N // 2
    return np.asarray(offset**2 + offset[:, None] ** 2 <= (N // 2) ** 2)


def prepare_probe(probe: ComplexField, N: int, *, masked: bool = False) -> NDArray[np.complex64]:
    """Return a probe at unit power, optionally masked, for a model of size N.

    Parameters
    ----------
    probe : (M, N, N) complex array
    N
        Patch size in pixels.
    masked
        Set the probe to zero outside the largest centred circle.

    Returns
    -------
    (M, N, N) complex64 array of unit power

    Raises
    ------
    InvalidValueError
        If the probe does not have the size N, or is zero.
    """
    if probe.shape[-2:] != (N, N):
        got = f"{probe.shape[-1]} x {probe.shape[-2]} pixels"
        raise InvalidValueError("probe", f"of {N} x {N} pixels, the N of the model", got)
    if masked:
        probe = probe * inscribed_circle(N)
    return np.asarray(normalise_probe(probe), dtype=np.complex64)


def smooth_probe(probe: ComplexField, sigma: float) -> NDArray[np.complex64]:
    """Smooth a probe with a Gaussian, to reduce the noise of a measured or refined one.

    Parameters
    ----------
    probe : (M, N, N) complex array
    sigma
        Standard deviation of the Gaussian in pixels, > 0.

    Returns
    -------
    (M, N, N) complex64 array of unit power

    Raises
    ------
    InvalidValueError
        If a size is outside its range, or the probe is zero.
    """
    check_above("sigma", sigma, 0)
    return modes_of(blur(np.asarray(probe, dtype=np.complex128), sigma))
