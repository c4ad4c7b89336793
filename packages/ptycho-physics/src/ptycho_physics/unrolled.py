r"""Physics of ``unrolled`` and ``guided``: phase-retrieval steps with learned corrections between.

The probe is known, so the network need not learn to invert a Fourier transform. It starts from a
flat object and repeats a stage `STAGES` times. A stage replaces the modulus of the predicted
diffraction by the measured one and carries the residual :math:`R_m` of each probe mode
:math:`P_m` back to the object with a preconditioner of the probe,

.. math:: \Delta O = \frac{\sum_m \bar P_m R_m}{(1 - a) \sum_m |P_m|^2 + a \max \sum_m |P_m|^2}

(the regularised PIE of A. Maiden, D. Johnson and P. Li, *Optica* 4, 736, 2017; a is `RELAXATION`).
A U-Net then adds what the physics alone misses. The patches of a group share one canvas at every
step. Because the probe is an input, a trained network takes any probe. The U-Nets, their weights
and the canvases belong to the backends; everything else is here.

**Joint stages.** With ``joint_stages`` the patches of the whole batch are averaged between stages,
each in the global phase in which it overlaps best with the others. Slow phases, which one pattern
determines poorly, are then determined by its neighbours as well. A batch whose canvas has more than
`MAX_CANVAS_RATIO` times as many pixels as its patches together is left alone: hardly any of its
patches overlap.

**The low-resolution estimate.** From a flat start the plain step stalls: noise between pixels fits
a single pattern as well as the object does. A smooth object has fewer unknowns than a pattern has
pixels, and one pixel in each square of `STRIDE` x `STRIDE` represents it. `ESTIMATE_STEPS` steps
from a flat object find it. Numerator and denominator of a step are smoothed with the same Gaussian,
whose standard deviation shrinks from `COARSEST` to `FINEST` (fractions of N). The steps have
momentum (Y. Nesterov, *Soviet Math. Dokl.* 27, 372, 1983). The component that turns the phase is
multiplied by `PHASE_GAIN`, because patterns respond more weakly to it. After each step the modulus
moves towards one by a fraction `MODULUS_PULL` of the difference, because it diverges where there is
little illumination. The U-Nets see the estimate as an input; no gradient passes through it.

**The frame of the object.** A global phase factor of the object changes no pattern, so the network
must not depend on it. With :math:`u = O / \sqrt{|O|^2 + \epsilon^2}`, where :math:`\epsilon` is
`SMALLEST_OBJECT`, and the low-resolution estimate L, a U-Net sees the `PLANES` real planes

    |O|,  Re(dO u*),  Im(dO u*),  Im(u_right u_left*),  Im(u_below u_above*),  Re(P),  Im(P),
    Re(L u*),  Im(L u*)

in this order. Here ``|O|`` is the square root above, the neighbours of a pixel are taken in the
periodic patch, and P is the strongest probe mode with its maximum modulus at one (see
`strongest_mode`). The output ``a`` and ``b`` of the U-Net is added as ``(a + i b) u``.

**From an estimate of the whole scan.** The network ``guided`` has `GUIDED_STAGES` stages and starts
from an object that a few epochs of the solver found from all patterns of the scan
(`ptycho_core.scan_estimate`), which takes the place of L. Under a strongly divergent beam this is
what determines the slow phases: a pattern, and even a neighbourhood, leaves them open. Its U-Nets
also see how far the patterns can be trusted, with two planes after those above,

    log10(1 + n |P|^2) / 4,  log10(1 + n I) / 4,

where n is the mean counts per pattern and I the illumination of a pixel by all patterns: photons of
the pattern, and of the scan, per pixel of the object.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ptycho_physics._forward import probe_intensity, probe_weight
from ptycho_physics._low_counts import modulus_ratio
from ptycho_physics._namespace import (
    Array,
    abs2,
    complex_dtype,
    complex_of,
    constant,
    fft2,
    ifft2,
    namespace,
    times,
)
from ptycho_physics.resampling import multiscale_matrices

STAGES = 3
"""Number of stages, and of U-Nets."""

RELAXATION = 0.05
"""The regularisation a of a stage's step."""

PLANES = 9
"""Real planes that a U-Net sees: see the module."""

GUIDED_STAGES = 2
"""Number of stages, and of U-Nets, of ``guided``."""

GUIDED_PLANES = PLANES + 2
"""Real planes that a U-Net of ``guided`` sees."""

SMALLEST_MODULUS = 3e-4
"""Modulus of a predicted field below which its phase is mostly rounding error (the rms over a
pattern is ``1 / N``). Scaled up to the measured modulus, it makes backends differ by 1e-3."""

SMALLEST_OBJECT = 0.1
"""The epsilon of the object's frame; the modulus of an object that does not absorb is one."""

MAX_CANVAS_RATIO = 8
"""Pixels of a batch's canvas per pixel of its patches above which stages are not joint."""

STRIDE = 4
"""Distance between the pixels of the low-resolution estimate, in pixels of a patch."""

ESTIMATE_STEPS = 6
COARSEST, FINEST = 14 / 64, 4 / 64
ESTIMATE_RELAXATION = 0.3
MOMENTUM = 0.8
PHASE_GAIN = 7.0
MODULUS_PULL = 0.2


class Canvases(Protocol):
    """The canvases of the groups of a batch: one for each group, on which its patches overlap."""

    def agree(self, patches: Array, weight: Array, /) -> Array:
        """Average the patches (B, C, N, N) of each group where they overlap."""

    def precondition(self, gradient: Array, illumination: Array, relaxation: float, /) -> Array:
        """Divide gradients summed over a group by its summed illumination: see the module."""


def detector_arrays(x: Array, bad_pixels: Array, *, xp: Any | None = None) -> tuple[Array, Array]:
    """Return the measured moduli and the good pixels in the order of the FFT.

    Parameters
    ----------
    x : (B, C, N, N) real array
        The network's input: amplitude times ``(N/2) / sqrt(mean counts per pattern)``.
    bad_pixels : (N, N) boolean array
        True at pixels of the detector that are left out.

    Returns
    -------
    amplitude : (B, C, N, N) real array
        ``sqrt(counts / mean counts per pattern)``, zero frequency at pixel ``[0, 0]``.
    good : (N, N) real array
        One at good pixels, else zero, in the same order.
    """
    xp = namespace(x, bad_pixels, xp=xp)
    amplitude = xp.fft.ifftshift(x * (2 / x.shape[-1]), axes=(-2, -1))
    good = xp.astype(~bad_pixels, amplitude.dtype)
    return amplitude, xp.fft.ifftshift(good, axes=(-2, -1))


def modulus_residual(
    patches: Array,
    amplitude: Array,
    good: Array,
    probe: Array,
    photons: Array | float = math.inf,
    *,
    xp: Any | None = None,
) -> Array:
    r"""Return the residual of the measured moduli, propagated back to the patches.

    .. math:: \sum_m \bar P_m R_m, \qquad R_m = F^{-1}(\rho \, F(P_m O))

    with the orthonormal FFT F and the relative change :math:`\rho` of `modulus_ratio`, which is
    zero at bad pixels.

    Parameters
    ----------
    patches : (..., N, N) complex array
        Object patches O.
    amplitude : (..., N, N) real array
    good : (N, N) real array
        Both from `detector_arrays`.
    probe : (M, N, N) complex array
        Probe modes at unit power.
    photons
        Mean counts per pattern.

    Returns
    -------
    (..., N, N) complex array
    """
    xp = namespace(patches, amplitude, probe, xp=xp)
    fields = fft2(xp.expand_dims(patches, axis=-3) * probe, xp)
    power = xp.sum(abs2(fields, xp), axis=-3)
    ratio = modulus_ratio(power, amplitude, photons, smallest=SMALLEST_MODULUS, xp=xp) * good
    residual = ifft2(times(fields, xp.expand_dims(ratio, axis=-3), xp), xp)
    return xp.sum(xp.conj(probe) * residual, axis=-3)


def modulus_and_phase_factor(patches: Array, *, xp: Any | None = None) -> tuple[Array, Array]:
    r"""Return :math:`r = \sqrt{|O|^2 + \epsilon^2}` and ``O / r``, smooth where O is zero.

    Parameters
    ----------
    patches : (..., N, N) complex array

    Returns
    -------
    modulus : (..., N, N) real array
    factor : (..., N, N) complex array
        Of modulus below one; epsilon is `SMALLEST_OBJECT`.
    """
    xp = namespace(patches, xp=xp)
    modulus = xp.sqrt(abs2(patches, xp) + SMALLEST_OBJECT**2)
    return modulus, times(patches, 1 / modulus, xp)  # a complex quotient takes far longer


def phase_difference(factor: Array, axis: int, *, xp: Any | None = None) -> Array:
    """Return the sine of the phase difference between the two neighbours of each pixel.

    Parameters
    ----------
    factor : (..., N, N) complex array
        Phase factors; the patch is periodic.
    axis
        -1 for right minus left, -2 for below minus above.

    Returns
    -------
    (..., N, N) real array
        ``Im(u[i + 1] conj(u[i - 1]))``, smaller than the sine where the modulus is below one.
    """
    xp = namespace(factor, xp=xp)
    return xp.imag(xp.roll(factor, -1, axis=axis) * xp.conj(xp.roll(factor, 1, axis=axis)))


def strongest_mode(probe: Array, *, xp: Any | None = None) -> Array:
    """Return the probe mode of the highest power, with its maximum modulus at one.

    The global phase of a probe is arbitrary. Here ``sum(P |P|)``, which its brightest part
    dominates, has phase zero.

    Parameters
    ----------
    probe : (M, N, N) complex array
        Probe modes.

    Returns
    -------
    (N, N) complex array
    """
    xp = namespace(probe, xp=xp)
    strongest = xp.argmax(xp.sum(abs2(probe, xp), axis=(-2, -1)), axis=0)
    mode = xp.take(probe, xp.reshape(strongest, (1,)), axis=0)[0, ...]
    total = xp.sum(mode * xp.astype(xp.abs(mode), mode.dtype))
    modulus = xp.clip(xp.abs(total), min=SMALLEST_MODULUS)
    mode = mode * (xp.conj(total) / xp.astype(modulus, mode.dtype))
    return mode / xp.astype(xp.max(xp.abs(mode)), mode.dtype)


def low_resolution_estimate(
    amplitude: Array,
    good: Array,
    probe: Array,
    photons: Array | float,
    canvases: Canvases,
    *,
    xp: Any | None = None,
) -> Array:
    """Return smooth patches that explain the patterns, from a flat start: see the module.

    Call it outside automatic differentiation and in single precision.

    Parameters
    ----------
    amplitude : (B, C, N, N) real array
    good : (N, N) real array
        Both from `detector_arrays`.
    probe : (M, N, N) complex array
        Probe modes at unit power.
    photons
        Mean counts per pattern.
    canvases
        Of patches of ``N // STRIDE`` pixels, at positions divided by `STRIDE`.

    Returns
    -------
    (B, C, N, N) complex array
    """
    xp = namespace(amplitude, probe, xp=xp)
    maps = multiscale_matrices(amplitude.shape[-1], STRIDE, COARSEST, FINEST, ESTIMATE_STEPS)
    refine, smoothers = (constant(part, amplitude, xp) for part in maps)
    illumination = probe_intensity(probe, xp=xp)
    flat = xp.ones_like(amplitude[..., ::STRIDE, ::STRIDE])
    estimate = xp.astype(flat, complex_dtype(amplitude, xp))
    velocity = xp.zeros_like(estimate)
    for step in range(ESTIMATE_STEPS):
        smooth = smoothers[step, ...]
        ahead = estimate + MOMENTUM * velocity
        _, factor = modulus_and_phase_factor(ahead, xp=xp)
        residual = modulus_residual(
            _resample(refine, ahead, xp), amplitude, good, probe, photons, xp=xp
        )
        change = canvases.precondition(
            _resample(smooth, residual, xp),
            _both_axes(smooth, illumination, xp),
            ESTIMATE_RELAXATION,
        ) * xp.conj(factor)
        change = complex_of(xp.real(change), PHASE_GAIN * xp.imag(change), xp)
        after = ahead + change * factor
        after = after + MODULUS_PULL * (modulus_and_phase_factor(after, xp=xp)[1] - after)
        estimate, velocity = after, after - estimate
    return _resample(refine, estimate, xp)


def _both_axes(matrix: Array, image: Array, xp: Any) -> Array:
    """Multiply real images (..., n, n) by a matrix (m, n) along both axes: (..., m, m)."""
    return xp.matmul(xp.matmul(matrix, image), xp.matrix_transpose(matrix))


def _resample(matrix: Array, field: Array, xp: Any) -> Array:
    """`_both_axes` of complex images."""
    parts = _both_axes(matrix, xp.stack([xp.real(field), xp.imag(field)]), xp)
    return complex_of(parts[0, ...], parts[1, ...], xp)


def run_stages(
    corrections: Sequence[Callable[[list[Array]], Array]],
    amplitude: Array,
    good: Array,
    probe: Array,
    photons: Array | float,
    canvases: Canvases,
    *,
    mode: Array,
    estimate: Array,
    light: Array | None = None,
    join: Callable[[Array, Array], Array] | None = None,
    xp: Any | None = None,
) -> Array:
    """Return the patches after all stages: see the module.

    Parameters
    ----------
    corrections
        The U-Net of each stage, from `PLANES` real planes (B, C, N, N) to a complex one; from
        `GUIDED_PLANES` with ``light``.
    amplitude : (B, C, N, N) real array
    good : (N, N) real array
        Both from `detector_arrays`.
    probe : (M, N, N) complex array
        Probe modes at unit power.
    photons
        Mean counts per pattern.
    canvases
        Of patches of N pixels.
    mode : (B, C, N, N) complex array
        `strongest_mode`, repeated for every patch.
    estimate : (B, C, N, N) complex array
        `low_resolution_estimate`, or with ``light`` an estimate of the whole scan, to start from.
    light : (B, C, N, N) real array, optional
        Illumination of each pixel by all patterns of the scan, in probes of unit power. Default:
        the patches start from one everywhere.
    join
        Averages all patches of the batch between stages, given the weight of a patch's pixels.

    Returns
    -------
    (B, C, N, N) complex array
    """
    xp = namespace(amplitude, probe, xp=xp)
    illumination, weight = probe_intensity(probe, xp=xp), probe_weight(probe, xp=xp)
    shown = list(_parts(mode, xp))
    trust: list[Array] = []
    if light is None:
        patches = xp.astype(xp.ones_like(amplitude), complex_dtype(amplitude, xp))
    else:
        patches = estimate
        own = illumination + xp.zeros_like(light)
        trust = [xp.log(1 + photons * part) / (4 * math.log(10)) for part in (own, light)]
    for stage, correct in enumerate(corrections, 1):
        residual = modulus_residual(patches, amplitude, good, probe, photons, xp=xp)
        step = canvases.precondition(residual, illumination, RELAXATION)
        patches = patches + step
        modulus, factor = modulus_and_phase_factor(patches, xp=xp)
        right, below = (phase_difference(factor, axis, xp=xp) for axis in (-1, -2))
        planes = [modulus, *_parts(step * xp.conj(factor), xp), right, below]
        planes += [*shown, *_parts(estimate * xp.conj(factor), xp), *trust]
        patches = canvases.agree(patches + correct(planes) * factor, weight)
        if join is not None and stage < len(corrections):  # the caller joins the last stage
            patches = join(patches, weight)
    return patches


def _parts(field: Array, xp: Any) -> tuple[Array, Array]:
    return xp.real(field), xp.imag(field)
