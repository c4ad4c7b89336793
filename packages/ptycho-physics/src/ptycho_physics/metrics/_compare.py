"""Comparison of a reconstruction with a reference: registration and all figures of merit."""

import math
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._namespace import to_numpy
from ptycho_physics.metrics._frc import FourierRingCorrelation, finite, frc
from ptycho_physics.metrics._quality import (
    Complex,
    _same_shape,
    complex_correlation,
    global_factor,
    psnr,
    ssim,
)
from ptycho_physics.metrics._registration import (
    BORDER,
    Complex128,
    Shift,
    find_ramp,
    find_shift,
    interior,
    ramp_phase,
    shift_image,
)

_FIGURES = (
    "correlation",
    "mean_removed_correlation",
    "amplitude_psnr",
    "phase_psnr",
    "amplitude_ssim",
    "phase_ssim",
)


@frozen(kw_only=True, eq=False)
class Comparison:
    """Figures of merit of a reconstruction relative to a reference, after alignment.

    Attributes
    ----------
    correlation, mean_removed_correlation : float
        Complex correlation, of the images and of the images without their mean.
    amplitude_psnr, phase_psnr : float
        In dB, relative to the range (largest minus smallest value) of the reference: its amplitude,
        or its phase wrapped around its mean. Phases are subtracted modulo 2 pi. A reference without
        range is given its mean amplitude, or pi, instead.
    amplitude_ssim, phase_ssim : float
        Structural similarity with the same ranges.
    frc : FourierRingCorrelation
        Fourier ring correlation of the aligned images.
    shift : (float, float)
        ``(dx, dy)`` in pixels by which the reconstruction was moved.
    ramp : (float, float)
        ``(rx, ry)`` phase in radians per pixel that was added; zero without ``remove_ramp``.
    factor : complex
        Least-squares factor the reconstruction was multiplied with.
    aligned, reference : (h, w) complex64
        Both images on the region compared, borders lost by the shift cut off.
    """

    correlation: float
    mean_removed_correlation: float
    amplitude_psnr: float
    phase_psnr: float
    amplitude_ssim: float
    phase_ssim: float
    frc: FourierRingCorrelation
    shift: Shift
    ramp: Shift
    factor: complex
    aligned: NDArray[np.complex64] = field(repr=False)
    reference: NDArray[np.complex64] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, without the images, ready for JSON; infinities become None."""
        return {
            **{name: finite(getattr(self, name)) for name in _FIGURES},
            "shift": list(self.shift),
            "ramp": list(self.ramp),
            "factor": [self.factor.real, self.factor.imag],
            "shape": list(self.reference.shape),
            "frc": self.frc.to_dict(),
        }


WORTH_MOVING = 0.1
"""A shift is kept only if it reduces one minus the correlation by this fraction."""


def compare(
    reconstruction: Complex,
    reference: Complex,
    *,
    remove_ramp: bool = False,
    max_shift: float | None = None,
) -> Comparison:
    """Compare a reconstruction with a reference, after removing the ambiguities of ptychography.

    In this order: a shift, found by cross-correlation, whose borders are cut off; with
    ``remove_ramp`` a linear phase ramp (a probe with the opposite ramp gives the same data); one
    complex factor, by least squares. A shift is kept only if it reduces one minus the correlation
    by a tenth: otherwise slow phase errors of a good reconstruction would bias it.

    Parameters
    ----------
    reconstruction, reference : (H, W) complex arrays
        The same region of both, to within ``max_shift``; at least 16 pixels a side. All pixels have
        the same weight, so cut off those that were not illuminated.
    remove_ramp
        Whether to remove a linear phase ramp.
    max_shift
        Largest shift in x and in y in pixels; an eighth of the shorter side if not given, 0 for
        none.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidValueError
        If shapes differ or are too small, a value is not finite, or the reference is zero.

    Examples
    --------
    Ptychography leaves a complex factor open, so it is removed:

    >>> from ptycho_physics import siemens_star
    >>> star = siemens_star((64, 72))
    >>> comparison = compare(2j * star, star)
    >>> round(comparison.correlation, 4), comparison.shift
    (1.0, (0.0, 0.0))
    >>> abs(comparison.factor + 0.5j) < 1e-6
    True
    """
    image, target = _checked(reconstruction, reference)
    if max_shift is None:
        smaller = min(target.shape)
        max_shift = max(min(smaller // 8, (smaller - 12) // 2 - BORDER), 0)
    shift, ramp = _align(image, target, remove_ramp, max_shift)
    image = interior(shift_image(image * ramp_phase(image.shape, ramp), shift), shift)
    target = interior(target, shift)
    factor = global_factor(image, target)
    return _measure(image * factor, target, shift=shift, ramp=ramp, factor=factor)


def _checked(reconstruction: Complex, reference: Complex) -> tuple[Complex128, Complex128]:
    image, target = (to_numpy(a).astype(np.complex128) for a in (reconstruction, reference))
    _same_shape(image, target, "reconstruction", "reference")
    if image.ndim != 2 or min(image.shape) < 16:
        rule = "an (H, W) array of at least 16 pixels a side"
        raise InvalidValueError("reconstruction", rule, f"shape {image.shape}")
    for name, array in (("reconstruction", image), ("reference", target)):
        if not np.all(np.isfinite(array)):
            raise InvalidValueError(name, "finite", "NaN or infinity")
    if not np.any(target):
        raise InvalidValueError("reference", "nonzero somewhere", "zero everywhere")
    return image, target


def _align(
    image: Complex128, target: Complex128, remove_ramp: bool, max_shift: float
) -> tuple[Shift, Shift]:
    """Find shift and ramp. Each disturbs the other, so both orders are tried, alternating."""
    still = (0.0, 0.0)
    if not remove_ramp:
        shift = find_shift(image, target, max_shift)
        stayed = complex_correlation(interior(image, shift), interior(target, shift))
        gained = _score(image, target, shift, still) - stayed
        return (shift if gained > WORTH_MOVING * (1 - stayed) else still), still
    unmoved = find_ramp(image, target)
    candidates = [(still, unmoved)]
    for ramp in (unmoved, still):
        for _ in range(3):
            flat = image * ramp_phase(image.shape, ramp)
            shift = find_shift(flat, target, max_shift)
            moved = interior(shift_image(flat, shift), shift)
            extra = find_ramp(moved, interior(target, shift))
            ramp = (ramp[0] + extra[0], ramp[1] + extra[1])
        candidates.append((shift, ramp))
    return max(candidates, key=lambda c: _score(image, target, *c))


def _score(image: Complex128, target: Complex128, shift: Shift, ramp: Shift) -> float:
    moved = shift_image(image * ramp_phase(image.shape, ramp), shift)
    return complex_correlation(interior(moved, shift), interior(target, shift))


def _measure(
    image: Complex128, target: Complex128, *, shift: Shift, ramp: Shift, factor: complex
) -> Comparison:
    amplitude, target_amplitude = np.abs(image), np.abs(target)
    # Around the mean phase an object of moderate phase does not wrap.
    target_phase = np.angle(target * np.exp(-1j * np.angle(np.sum(target))))
    # Where the image wraps and the target does not, continue it next to the target.
    phase = target_phase + np.angle(image * np.conj(target))
    amplitude_range = float(np.ptp(target_amplitude)) or float(np.mean(target_amplitude))
    phase_range = float(np.ptp(target_phase)) or math.pi
    return Comparison(
        correlation=complex_correlation(image, target),
        mean_removed_correlation=complex_correlation(image, target, mean_removed=True),
        amplitude_psnr=psnr(amplitude, target_amplitude, amplitude_range),
        phase_psnr=psnr(phase, target_phase, phase_range),
        amplitude_ssim=ssim(amplitude, target_amplitude, amplitude_range),
        phase_ssim=ssim(phase, target_phase, phase_range),
        frc=frc(image, target),
        shift=shift,
        ramp=ramp,
        factor=factor,
        aligned=image.astype(np.complex64),
        reference=target.astype(np.complex64),
    )
