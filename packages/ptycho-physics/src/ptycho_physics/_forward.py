r"""From an object patch to expected counts: the forward model.

For probe modes :math:`P_m` and an object patch :math:`O`,

.. math:: rate = photons \sum_m |FFT_2(P_m O)|^2

with the orthonormal FFT, whose zero frequency is shifted to pixel ``[N//2, N//2]``. The probe is
used at unit power (`normalise_probe`), so ``photons`` is the mean number of counts per pattern
behind an object of unit amplitude (J. Goodman, *Introduction to Fourier Optics*, ch. 4).
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._detector_sampling import SampledFarField, collected
from ptycho_physics._namespace import (
    Array,
    abs2,
    as_like,
    fft2,
    ifft2,
    known,
    namespace,
    quick_norms,
    times,
)


def normalise_probe(probe: Array, *, xp: Any | None = None) -> Array:
    """Scale a probe to unit power, summed over modes and pixels.

    Parameters
    ----------
    probe : (M, N, N) complex array
        Probe modes.

    Returns
    -------
    (M, N, N) complex array

    Raises
    ------
    InvalidValueError
        If the probe is zero everywhere.
    """
    xp = namespace(probe, xp=xp)
    power = xp.sum(abs2(probe, xp))
    value = known(power)
    if value is not None and not value > 0:
        raise InvalidValueError("probe", "of power > 0", f"a power of {value:g}")
    return times(probe, 1 / xp.sqrt(power), xp)


def probe_intensity(probe: Array, *, xp: Any | None = None) -> Array:
    """Return the illumination ``sum_m |P_m|^2`` of shape (N, N) of a probe (M, N, N)."""
    xp = namespace(probe, xp=xp)
    return xp.sum(abs2(probe, xp), axis=-3)


def probe_weight(probe: Array, floor: float = 1e-3, *, xp: Any | None = None) -> Array:
    """Return the weight of each patch pixel when patches are merged.

    A patch is determined only where it was illuminated: the weight is the illumination relative to
    its maximum, plus a small floor that keeps the rim defined.

    Parameters
    ----------
    probe : (M, N, N) complex array
    floor
        Weight of an unlit pixel, relative to the brightest.

    Returns
    -------
    (N, N) real array in ``[floor, 1 + floor]``
    """
    xp = namespace(probe, xp=xp)
    light = probe_intensity(probe, xp=xp)
    return light / xp.max(light) + floor


def detected_fraction(probe: Array, bad_pixels: Array, *, xp: Any | None = None) -> float:
    """Return the fraction of the light of an empty sample that falls on good pixels.

    Parameters
    ----------
    probe : (M, N, N) complex array
        Probe modes.
    bad_pixels : (N, N) boolean array
        True where a detector pixel is bad; smaller than the probe on a coarse detector, see
        `SampledFarField`.

    Raises
    ------
    InvalidValueError
        If no light falls on good pixels.
    """
    xp = namespace(probe, xp=xp)
    light = _far_light(probe, bad_pixels.shape[-1], xp)
    fraction = float(xp.sum(xp.where(bad_pixels, xp.zeros_like(light), light)) / xp.sum(light))
    if not fraction > 0:
        rule = "False on some pixels that the far field of the probe lights"
        raise InvalidValueError("bad_pixels", rule, f"a share of {fraction:g} of its light")
    return fraction


def _far_light(probe: Array, N: int, xp: Any) -> Array:
    """Return the light (N, N) without a sample of a probe (M, N, N), or of a larger one."""
    sampling = probe.shape[-1] // N
    if sampling == 1:
        return xp.sum(abs2(propagate(probe, xp=xp), xp), axis=-3)
    far = SampledFarField.of(sampling, probe.shape[-1], probe, xp)
    waves = fft2(probe * (centring(probe, xp) * far.ramp), xp)
    return collected(xp.sum(abs2(waves, xp), axis=-3), sampling, xp)


def illuminate(probe: Array, patches: Array, *, xp: Any | None = None) -> Array:
    """Return the exit waves ``P_m * O`` of every mode.

    Parameters
    ----------
    probe : (M, N, N) complex array
        Probe modes.
    patches : (..., N, N) complex array
        Object patches.

    Returns
    -------
    (..., M, N, N) complex array
    """
    xp = namespace(probe, patches, xp=xp)
    return xp.expand_dims(patches, axis=-3) * probe


def propagate(wave: Array, *, xp: Any | None = None) -> Array:
    """Propagate exit waves to the far field.

    Parameters
    ----------
    wave : (..., N, N) complex array
        Field behind the object.

    Returns
    -------
    (..., N, N) complex array
        Orthonormal FFT, zero frequency at ``[N//2, N//2]``: power is conserved.
    """
    xp = namespace(wave, xp=xp)
    return xp.fft.fftshift(fft2(wave, xp), axes=(-2, -1))


def back_propagate(field: Array, *, xp: Any | None = None) -> Array:
    """Inverse, and adjoint, of `propagate`."""
    xp = namespace(field, xp=xp)
    return ifft2(xp.fft.ifftshift(field, axes=(-2, -1)), xp)


@lru_cache(maxsize=8)
def _centring(N: int) -> NDArray[np.complex128]:
    turns = np.exp(2j * np.pi * (N // 2) / N * np.arange(N))
    if N % 2 == 0:
        turns = np.round(turns.real).astype(np.complex128)
    return np.asarray(turns * turns[:, None])


def centring(probe: Array, xp: Any) -> Array:
    """Return the factor (N, N) on a wave that shifts its far field to the centre.

    The FFT of a probe times this factor is the shifted FFT of the probe, so the patterns of a batch
    need no shift. For even N it is a chequerboard of 1 and -1.
    """
    return as_like(xp.asarray(_centring(probe.shape[-1]), dtype=probe.dtype), probe, xp)


def intensity(patches: Array, probe: Array, *, xp: Any | None = None) -> Array:
    """Return the diffraction intensity, the incoherent sum over probe modes.

    Parameters
    ----------
    patches : (..., N, N) complex array
        Object patches.
    probe : (M, N, N) complex array
        Probe modes.

    Returns
    -------
    (..., N, N) real array
    """
    xp = namespace(patches, probe, xp=xp)
    norm, _, factor = quick_norms(probe)
    waves = illuminate(probe * (centring(probe, xp) * factor), patches, xp=xp)
    return xp.sum(abs2(fft2(waves, xp, norm), xp), axis=-3)


def expected_counts(
    patches: Array, probe: Array, photons: Array | float, *, xp: Any | None = None
) -> Array:
    """Return the expected counts per pixel, ``photons * intensity``.

    Parameters
    ----------
    patches : (..., N, N) complex array
        Object patches.
    probe : (M, N, N) complex array
        Probe modes at unit power.
    photons
        Counts of a pattern behind an object of unit amplitude: a number, or an array that
        broadcasts against (..., N, N).

    Returns
    -------
    (..., N, N) real array

    Examples
    --------
    Behind an empty object, the mean number of photons arrives:

    >>> import numpy as np
    >>> from ptycho_physics import gaussian_probe
    >>> rate = expected_counts(np.ones((1, 16, 16), np.complex64), gaussian_probe(16), 1000.0)
    >>> rate.shape, round(float(rate.sum()))
    ((1, 16, 16), 1000)
    """
    return intensity(patches, probe, xp=xp) * photons


def smoothing_envelope(N: int, sigma: float) -> NDArray[np.float32]:
    """Return the factor (N, N) on the intensity when the exit wave is smoothed by a Gaussian.

    Smoothing by ``sigma`` pixels multiplies the far field by ``exp(-2 (pi sigma q)^2)``, with q in
    cycles per pixel, and the intensity by its square.
    """
    q = np.fft.fftshift(np.fft.fftfreq(N))
    envelope = np.exp(-4 * (np.pi * sigma) ** 2 * (q**2 + q[:, None] ** 2))
    return np.asarray(envelope, dtype=np.float32)
