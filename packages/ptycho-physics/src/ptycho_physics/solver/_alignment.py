"""Position and phase gradient of each pattern, which local updates find only slowly.

A pattern measured at ``(x + dx, y + dy)`` instead of ``(x, y)``, or through an object with an
additional phase gradient, differs from the prediction by two derivatives of the far field. Their
least-squares coefficients, to first order,

    d = (J^T J)^-1 J^T (sqrt(counts) - |Psi|),   J_k = Re(Psi* F P dO/dk) / |Psi|

are a Gauss-Newton step on the amplitudes. The change of the exit wave alone would give a small
part of it, because it keeps the phase of the prediction. Both need two FFTs per pattern.

- **Position.** ``dO/dx`` is the slope of the object: position refinement (P. Dwivedi et al.,
  *Ultramicroscopy* 192, 29, 2018).
- **Phase gradient.** The derivative is ``i x P O``, a shift of the pattern on the detector. The
  gradients of all patterns together are those of one smooth phase, found by least squares over
  cosines, as a Shack-Hartmann sensor's wavefront is (R. Noll, *J. Opt. Soc. Am.* 66, 207, 1976).
  This is the main error of a network's reconstruction; a gradient solver alone corrects it from
  patch to patch and needs many epochs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_physics._gradients import PIXELS_AT_ONCE
from ptycho_physics._namespace import Array, abs2, as_like, to_numpy
from ptycho_physics.solver._estimate import SMALLEST_MODULUS, Estimate
from ptycho_physics.solver._measurement import without

Slopes = Callable[[Array, Any], tuple[Array, ...]]
"""From patches (b, N, N) to their derivatives (b, N, N) by some numbers."""

SMOOTHEST = 4
"""Largest order of the cosines of a smooth phase, across the scan."""


def phase_slopes(patches: Array, xp: Any) -> tuple[Array, Array]:
    """Return the derivatives of patches by a phase gradient in radians per pixel along x and y."""
    N = patches.shape[-1]
    ramp = as_like(xp.asarray(1j * (np.arange(N) - N // 2), dtype=patches.dtype), patches, xp)
    return patches * ramp, patches * ramp[:, None]


def fit_patterns(estimate: Estimate, slopes: Slopes) -> NDArray[np.float64]:
    """Return the least-squares coefficients (n, 2) of the two derivatives for each pattern."""
    return steps_of(*each_pattern(estimate, slopes))


def each_pattern(
    estimate: Estimate, slopes: Slopes
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the normal equations (n, 2, 2) and (n, 2) of two derivatives for each pattern.

    Of held-out patterns only the pixels count that may be fitted.
    """
    measured, N = estimate.measured, estimate.probe.shape[-1]
    gram, right = np.zeros((len(measured), 2, 2)), np.zeros((len(measured), 2))
    size = max(PIXELS_AT_ONCE // N**2, 1)
    for which, bad in ((measured.used, measured.bad), (measured.held_out, measured.unfitted)):
        mine = measured.mine(which)
        for batch in np.split(mine, range(size, len(mine), size)):
            if len(batch):
                gram[batch], right[batch] = normal_equations(estimate, batch, slopes, bad)
    return measured.processes.total(gram), measured.processes.total(right)


def steps_of(gram: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve for two coefficients of each pattern."""
    aa, ab, bb = gram[:, 0, 0], gram[:, 0, 1], gram[:, 1, 1]
    a, b = right.T
    # a pattern without structure determines nothing: its step is zero
    aa, bb = aa + 1e-3 * (aa + bb) + 1e-12, bb + 1e-3 * (aa + bb) + 1e-12
    determinant = aa * bb - ab**2
    both = np.stack([bb * a - ab * b, aa * b - ab * a], axis=-1)
    return np.asarray(both / determinant[:, None], dtype=np.float64)


def normal_equations(
    estimate: Estimate, batch: NDArray[np.int64], slopes: Slopes, bad: Array | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``J^T J`` (b, k, k) and ``J^T m`` (b, k) of patterns with the misfit ``m``."""
    xp, probe = estimate.xp, estimate.probe_of(batch)
    patches = estimate.patches(batch)
    fields, _ = estimate.propagator.forward(patches, probe, xp)
    amplitude, modulus = estimate.compared(estimate.detected(abs2(fields, xp)), batch)
    missing = without(amplitude - modulus, bad, xp)
    modulus += SMALLEST_MODULUS
    responses = []
    for slope in slopes(patches, xp):
        change, _ = estimate.propagator.forward(slope, probe, xp)
        response = estimate.detected(
            xp.real(fields) * xp.real(change) + xp.imag(fields) * xp.imag(change)
        )
        responses.append(without(response / modulus, bad, xp))

    def product(left: Array, right: Array) -> NDArray[np.float64]:
        sums = to_numpy(xp.sum(left * right, axis=(-2, -1)))
        return np.asarray(sums, dtype=np.float64)

    number = len(responses)
    gram = np.empty((len(batch), number, number))
    for j in range(number):
        for k in range(j + 1):
            gram[:, j, k] = gram[:, k, j] = product(responses[j], responses[k])
    return gram, np.stack([product(response, missing) for response in responses], axis=1)


def align_phase(estimate: Estimate) -> None:
    """Multiply the object by the smooth phase with the gradients found for the patterns in use."""
    xp, used = estimate.xp, estimate.measured.used
    gradients = fit_patterns(estimate, phase_slopes)[used]
    phase = smooth_phase(estimate.positions[used], gradients, tuple(estimate.canvas.shape))
    turn = as_like(xp.asarray(np.exp(1j * phase).astype(np.complex64)), estimate.canvas, xp)
    estimate.canvas = estimate.canvas * turn


def smooth_phase(
    positions: NDArray[np.float64], gradients: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the phase (H, W), of a ramp and cosines, with these gradients (n, 2) at positions."""
    first = positions.min(axis=0)
    extent = np.maximum(positions.max(axis=0) - first, 1.0)
    most = min(SMOOTHEST, int(np.sqrt(len(positions)) / 2))
    orders = [(j, k) for j in range(most + 1) for k in range(most + 1) if j + k > 0]

    def waves(values: NDArray[np.float64], axis: int) -> tuple[list[Any], list[Any]]:
        turn = np.pi * np.clip((values - first[axis]) / extent[axis], 0, 1)
        cosines = [np.cos(k * turn) for k in range(most + 1)]
        slopes = [-k * np.pi / extent[axis] * np.sin(k * turn) for k in range(most + 1)]
        return cosines, slopes

    (cx, sx), (cy, sy) = (waves(positions[:, axis], axis) for axis in (0, 1))
    nothing, one = np.zeros(len(positions)), np.ones(len(positions))
    along_x = np.stack([one, nothing, *(sx[j] * cy[k] for j, k in orders)], axis=1)
    along_y = np.stack([nothing, one, *(cx[j] * sy[k] for j, k in orders)], axis=1)
    slopes = np.concatenate([gradients[:, 0], gradients[:, 1]])
    fit = np.linalg.lstsq(np.concatenate([along_x, along_y]), slopes, rcond=3e-2)[0]
    columns, rows = np.arange(shape[1], dtype=float), np.arange(shape[0], dtype=float)
    cx, cy = waves(columns, 0)[0], waves(rows, 1)[0]
    phase: NDArray[np.float64] = fit[0] * columns + fit[1] * rows[:, None]
    for value, (j, k) in zip(fit[2:], orders, strict=True):
        phase = phase + value * cy[k][:, None] * cx[j]
    return phase
