"""The result of the solver."""

from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_config.plain_text import array_text

from ptycho_physics._forward import centring, normalise_probe, probe_intensity
from ptycho_physics._geometry import Canvas
from ptycho_physics._modes import orthogonalise_modes
from ptycho_physics._namespace import Array, as_like, to_numpy
from ptycho_physics._patches import merge_patches
from ptycho_physics.solver._estimate import Estimate
from ptycho_physics.solver._held_out import HeldOut
from ptycho_physics.solver._measurement import CHUNK


@frozen(kw_only=True, eq=False)
class Solution:
    """The result of the solver.

    Attributes
    ----------
    object : (H, W) complex64 array
        The object on ``canvas``; one where there is no light.
    coverage : (H, W) float32 array
        Illumination summed over the scan, of a probe with maximum one.
    probe : (M, N, N) complex64 array
        The probe at unit power, refined with ``update_probe``; several modes are mutually
        orthogonal, the strongest first.
    positions : (n, 2) float64 NumPy array
        Patch centres ``(x, y)`` on the object grid, refined with ``refine_positions``.
    canvas : Canvas
        Where the object lies on the object grid: ``Canvas.covering(positions, N)``.
    r_factors : list of float
        ``sum|sqrt(rate) - sqrt(counts)| / sum sqrt(counts)`` during each finished epoch, before its
        updates.
    stopped : str
        Why the run ended: "epochs" (all were made), "plateau" (the R-factor fell no more),
        "held-out" (the held-out patterns were predicted no better) or "caller" (``between``
        returned True); empty while it goes on.
    light : (n,) float64 NumPy array, or None
        Relative intensity of the beam in each pattern, of mean one, with ``refine_light``.
    background : (N, N) float64 NumPy array, or None
        Counts of each pixel without light, with ``background``.
    background_share : (n,) float64 NumPy array, or None
        Factor on it of each pattern, of mean one, with a scaled ``background``.
    probe_variation : (K, N, N) complex64 NumPy array, or None
        Modes by which the first mode of the probe varies, of unit power and mutually orthogonal,
        the strongest first; with ``probe_variation``. Incoherent modes are then not brought to
        mutual orthogonality.
    variation_coefficients : (n, K) complex64 NumPy array, or None
        Their coefficients in each pattern, of mean zero.
    affine : (2, 2) float64 NumPy array, or None
        Linear map of the positions about their mean that was found with ``refine_affine``.
    backlash : (2,) float64 NumPy array, or None
        Shift (x, y) of the positions in pixels between moves to larger and to smaller values, that
        was found with ``refine_backlash``.
    exposure_path : (n, 2) float64 NumPy array, or None
        Displacement of the sample during each exposure, as given; there and back are equal.
    held_out : HeldOut or None
        The prediction of patterns that were not used, with ``held_out``.
    slices : (L, H, W) complex64 array, or None
        The slices of a thick object, whose product is the ``object``, with ``slices``.
    detector_sampling : int
        As given: probe and patches have so many times the pixels of the patterns along a side.
    """

    object: Array = field(repr=array_text)
    coverage: Array = field(repr=array_text)
    probe: Array = field(repr=array_text)
    positions: NDArray[np.float64] = field(repr=array_text)
    canvas: Canvas
    r_factors: list[float]
    stopped: str
    light: NDArray[np.float64] | None = field(default=None, repr=array_text)
    background: NDArray[np.float64] | None = field(default=None, repr=array_text)
    background_share: NDArray[np.float64] | None = field(default=None, repr=array_text)
    probe_variation: NDArray[np.complex64] | None = field(default=None, repr=array_text)
    variation_coefficients: NDArray[np.complex64] | None = field(default=None, repr=array_text)
    affine: NDArray[np.float64] | None = field(default=None, repr=array_text)
    backlash: NDArray[np.float64] | None = field(default=None, repr=array_text)
    exposure_path: NDArray[np.float64] | None = field(default=None, repr=array_text)
    held_out: HeldOut | None = None
    slices: Array | None = field(default=None, repr=array_text)
    detector_sampling: int = 1


def solution_of(
    estimate: Estimate,
    positions: NDArray[np.float64],
    r_factors: list[float],
    stopped: str,
    held_out: HeldOut | None = None,
    *,
    border: int = 0,
    coverage: Array | None = None,
    copied: bool = False,
) -> Solution:
    """Make a solution of an estimate, with positions on the object grid.

    With `copied`, the object is no part of the estimate, which may change. The coverage is summed
    unless it is given. A `border` of the estimate is left out.
    """
    xp, N = estimate.xp, estimate.probe.shape[-1] - 2 * border
    canvas = Canvas.covering(positions, N)
    column, row = np.rint(estimate.positions[0] - canvas.local(positions)[0]).astype(int)
    upright = xp.conj(centring(estimate.probe, xp))
    probe = estimate.probe * upright
    if border:
        probe = normalise_probe(probe[:, border:-border, border:-border], xp=xp)
    if probe.shape[0] > 1 and estimate.variation is None:
        probe = as_like(xp.asarray(orthogonalise_modes(to_numpy(probe))), probe, xp)
    height, width = canvas.shape
    found = estimate.canvas[..., row : row + height, column : column + width]
    sliced = len(found.shape) == 3
    names = ("light", "background", "share")
    more = {k: v.astype(np.float64) for k, v in estimate.arrays().items() if k in names}
    background = more.get("background")
    if background is not None and border:
        background = background[border:-border, border:-border]
    if coverage is None:
        coverage = _coverage(probe, canvas.local(positions), canvas, xp)
    if copied:
        found = xp.asarray(found, copy=True)
    return Solution(
        object=xp.prod(found, axis=0) if sliced else found,
        slices=found if sliced else None,
        coverage=coverage,
        probe=probe,
        positions=positions,
        canvas=canvas,
        r_factors=r_factors,
        stopped=stopped,
        light=more.get("light"),
        background=None if background is None else background * estimate.measured.photons,
        background_share=more.get("share"),
        **_variation(estimate, upright),
        affine=estimate.affine,
        backlash=estimate.backlash,
        exposure_path=None if estimate.exposure is None else estimate.exposure.path,
        held_out=held_out,
        detector_sampling=estimate.sampling,
    )


def _variation(estimate: Estimate, upright: Array) -> dict[str, Any]:
    if estimate.variation is None:
        return {}
    return {
        "probe_variation": np.array(to_numpy(estimate.variation.modes * upright)),
        "variation_coefficients": np.array(to_numpy(estimate.variation.coefficients)),
    }


def _coverage(probe: Array, local: NDArray[np.float64], canvas: Canvas, xp: Any) -> Array:
    light = probe_intensity(probe, xp=xp)
    light = light / xp.max(light)
    total = as_like(xp.zeros(canvas.shape, dtype=light.dtype), light, xp)
    for start in range(0, len(local), CHUNK):
        where = as_like(xp.asarray(local[start : start + CHUNK]), light, xp)
        patches = xp.broadcast_to(light, (where.shape[0], *light.shape))
        total = merge_patches(patches, where, canvas.shape, onto=total, xp=xp)
    return total
