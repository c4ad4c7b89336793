"""The solver: from counts, positions and a probe to the object."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._exposure import Exposure, check_path, path_points
from ptycho_physics._forward import normalise_probe
from ptycho_physics._gradients import raise_mmap_threshold
from ptycho_physics._low_counts import (
    RELAXATION,
    few_photons,
    noise_probe_pace,
    noise_relaxation,
)
from ptycho_physics._multislice import Slices
from ptycho_physics._namespace import Array, namespace
from ptycho_physics.solver._course import Between, Course, State
from ptycho_physics.solver._detector import Background
from ptycho_physics.solver._estimate import Estimate
from ptycho_physics.solver._held_out import check_held_out, hold_out
from ptycho_physics.solver._momentum import Momentum, check_momentum
from ptycho_physics.solver._optics import THIN, Optics
from ptycho_physics.solver._probe_support import ProbeSupport, check_support
from ptycho_physics.solver._processes import ALONE, Processes
from ptycho_physics.solver._solution import Solution, solution_of
from ptycho_physics.solver._start import (
    check_arguments,
    check_detector,
    check_options,
    check_smoothness,
    first_estimate,
    with_modes,
)
from ptycho_physics.solver._stopping import Watch
from ptycho_physics.solver._variation import Variation

LARGEST_AFFINE = 0.1
"""Largest affine correction of a position, as a part of half the extent of the scan."""

Look = Callable[[Callable[..., Solution]], None]
"""Called after a batch with a function that returns the solution so far."""

ALIGNED = 2
"""Number of first epochs in which a smooth phase is fitted to a given object."""


def solve(
    counts: Array,
    positions: NDArray[np.float64],
    probe: Array,
    *,
    initial: Array | None = None,
    epochs: int = 10,
    batch_size: int = 16,
    relaxation: float | None = None,
    momentum: float = 0.0,
    update_probe: bool = False,
    probe_start: int = 2,
    modes: int | None = None,
    refine_positions: bool = False,
    position_start: int = 5,
    refine_affine: bool = False,
    affine_start: int = 1,
    refine_backlash: bool = False,
    backlash_start: int = 2,
    position_smoothness: float = 0.0,
    refine_light: bool = False,
    light_start: int = 1,
    background: str | None = None,
    background_start: int = 1,
    saturation: float | None = None,
    probe_variation: int | None = None,
    probe_support: float | None = None,
    variation_start: int = 4,
    exposure_path: NDArray[np.float64] | None = None,
    near_field: float | None = None,
    slices: Slices | None = None,
    slice_coupling: float = 0.0,
    detector_sampling: int = 1,
    mask: Array | None = None,
    average: bool | None = None,
    offset: float = 0.0,
    held_out: float = 0.0,
    tolerance: float | None = None,
    patience: int = 3,
    seed: int = 0,
    callback: Callable[[int, float], None] | None = None,
    state: State | None = None,
    between: Between | None = None,
    look: Look | None = None,
    at_once: int | None = None,
    processes: Processes = ALONE,
    xp: Any | None = None,
) -> Solution:
    """Reconstruct the object of a scan iteratively.

    Parameters
    ----------
    counts : (n, N, N) real array
        Measured counts, zero frequency at ``[N//2, N//2]``; NumPy or PyTorch. A NumPy array may
        stay in main memory while ``probe`` is on a GPU: each batch is then brought there. With
        several ``processes`` those of ``processes.share(n)``.
    positions : (n, 2) float64 NumPy array
        Patch centres ``(x, y)`` in pixels of the object grid.
    probe : (M, N, N) complex array
        Probe modes; only their relative power matters. All is computed in their library and on
        their device. With ``detector_sampling``, of s N pixels, or of N amid darkness.
    initial : (H, W) complex array, optional
        Object to start from, on ``Canvas.covering(positions, N)``, or s N; smooth errors of its
        phase are corrected first. Default: one everywhere.
    epochs
        Largest number of passes over all patterns.
    batch_size
        Patterns per update, drawn from the whole scan.
    relaxation
        Fraction ``a`` of the maximum illumination in the denominator of a step, in (0, 1]: larger
        values give smaller steps at the dim rim. Default: 0.1, and more where photons are few
        (`noise_relaxation`), unless ``average`` is False.
    momentum
        Share of the last steps that object and probe go on with, at least 0 and below 1: 0.9 takes
        fewer epochs, and leads out of many places where a strong phase makes the run stop far from
        the object. See `ptycho_physics.solver._momentum`.
    update_probe
        Refine the probe as well, starting in epoch ``probe_start``, counted from 0. Where photons
        are few, in smaller steps (`noise_probe_pace`), unless ``average`` is False.
    modes
        Number of incoherent probe modes: weak ones are added to a ``probe`` of one mode. Needs
        ``update_probe``.
    refine_positions
        Refine the positions as well, starting in epoch ``position_start``, counted from 0. Each may
        move by N/8 pixels in x and y; their mean is fixed.
    refine_light
        Fit the intensity of the beam in each pattern as well, starting in epoch ``light_start``,
        counted from 0; its mean is one.
    background
        Fit counts that come without light: "constant", a number for each pixel, or "scaled", the
        same times a factor for each pattern, whose mean is one. It starts in epoch
        ``background_start``, with the mean of the dimmest pixels, and is never negative.
    saturation
        Counts from which a pixel is saturated: it then only says that there were at least as many.
    probe_variation
        Number of modes by which the probe varies over the scan, with a coefficient for each
        pattern; see `ptycho_physics.solver._variation`. Needs ``update_probe``; starts in epoch
        ``variation_start``, counted from 0.
    probe_support
        Radius in pixels around the centre of intensity of the given probe, outside of which little
        light is expected: noise of few photons is damped there. ``counts`` have to be photons. See
        `ptycho_physics.solver._probe_support`. Needs ``update_probe``.
    refine_affine
        Refine the positions by one linear map of all, of scales, rotation and shear, from epoch
        ``affine_start`` on.
    refine_backlash
        Refine a shift of the positions between there and back, by up to N/8 pixels along x and y,
        from epoch ``backlash_start`` on. The patterns have to be in the order of the scan.
    position_smoothness
        How smooth the deviations of single positions are along the scan, in patterns: each is
        averaged over about so many before and after it. 0: each position is refined alone. Needs
        ``refine_positions``.
    exposure_path : (n, 2) or (2,) real NumPy array, optional
        Displacement ``(x, y)`` of the sample during each exposure of a fly scan, or during all, in
        pixels, the position in its middle; see `exposure_path`. The probe of a pattern is then
        smeared along it: one more mode for each two pixels of the longest.
    near_field
        Fresnel number of a pixel, for a detector in the near field: see `NearFieldGeometry`. The
        canvas is solved with a border from which light reaches the patterns; refine the probe if
        it is not known there.
    slices
        Slices of a thick object, in the order in which the light passes them. ``initial`` is put
        into the middle one.
    slice_coupling
        How strongly differences between slices are damped that the patterns do not determine: the
        ``beta`` of the missing wedge. 0 damps none, 1 is usual where slices are closer than the
        depth of focus.
    detector_sampling
        Pixels of the waves along a side of a pixel of the detector, ``s``, where these are too
        coarse for the probe: it is wider than N pixels of the object. Patches and probe of the
        solution have s N pixels then: see `ptycho_physics._detector_sampling`.
    mask : (N, N) boolean array, optional
        True where a detector pixel is bad.
    average
        Whether the result is the mean of the object over the last epochs, which has less noise than
        the last one. Default: where photons are few (`few_photons`). False, with the relaxation of
        many photons, where ``counts`` are in another unit.
    offset
        Photons added to counts and rates before their roots are compared, which makes the step of
        dim pixels right on average: see `modulus_ratio`. With few photons, 0 gives a smoother
        object with less detail than there is.
    held_out
        Share of the patterns, up to one half, that object and probe are not fitted to. The run ends
        when the best prediction of them is ``patience`` epochs ago and the last one is worse by
        more than its noise, or after three times as many. The result is that of the epoch with the
        best prediction.
    tolerance
        Stop when the R-factor has decreased by less than this fraction over ``patience`` epochs; by
        default all epochs are made.
    seed
        Seed of the order of patterns.
    callback
        Called with (epoch counted from 1, its R-factor).
    state
        Where an earlier run was, to go on from there with the same bits. The other arguments are
        those of that run, but for ``epochs``, ``tolerance`` and ``patience``; with another library
        the figures are equal up to rounding.
    between
        Called between batches with a function that returns the `State`; the run ends when it
        returns True.
    look
        Called after each batch with a function that returns the `Solution` so far, of arrays that
        the run does not change, and that takes the coverage if it is known.
    at_once
        Patterns of a batch that are processed at a time, where memory is small; the step is the
        same up to rounding. Default: all.
    processes
        That solve the scan together, each with its share of the patterns; all call this function
        with the same other arguments. ``batch_size`` is that of all together. They end only after
        an epoch, if ``between`` returns True in any of them.

    Returns
    -------
    Solution

    Raises
    ------
    InvalidValueError
        If an option is out of its range, shapes or options disagree, all counts are zero,
        ``initial`` does not fit the canvas, ``state`` is that of another run, or the positions span
        more than fits into memory.
    DivergenceError
        If the residual is no longer finite, or the R-factor rises to several times its best.

    Examples
    --------
    >>> from ptycho_physics import defocused_probe, fermat_scan, siemens_star, simulate_counts
    >>> star, probe = siemens_star((64, 72)), defocused_probe(32)
    >>> positions = fermat_scan(star.shape, 32, number=60)
    >>> counts = simulate_counts(star, probe, positions, photons=1e6, seed=0)
    >>> solution = solve(counts, positions, probe, epochs=10)
    >>> len(solution.r_factors), solution.stopped, solution.r_factors[-1] < 0.1
    (10, 'epochs', True)
    """
    xp = namespace(probe, xp=xp)
    positions = np.array(positions, dtype=np.float64)
    check_arguments(counts, positions, probe, initial, processes, detector_sampling)
    whole = {
        "epochs": (epochs, 0),
        "batch_size": (batch_size, 1),
        "modes": (1 if modes is None else modes, 1),
        "patience": (patience, 1),
        "light_start": (light_start, 0),
        "background_start": (background_start, 0),
        "affine_start": (affine_start, 0),
        "backlash_start": (backlash_start, 0),
        "probe_variation": (1 if probe_variation is None else probe_variation, 1),
        "variation_start": (variation_start, 0),
        "seed": (seed, 0),
        "at_once": (1 if at_once is None else at_once, 1),
    }
    check_options(whole, relaxation, tolerance)
    check_detector(background, saturation, offset)
    if probe_variation is not None and not update_probe:
        rule, advice = "left out unless the probe is refined", "set update_probe as well"
        raise InvalidValueError("probe_variation", rule, str(probe_variation), advice)
    probe = with_modes(probe, modes, update_probe, xp)
    check_smoothness(position_smoothness, refine_positions)
    check_momentum(momentum)
    check_support(probe_support, update_probe)
    margin = counts.shape[-1] // 8 if refine_positions or refine_backlash else 0
    extent = float(np.ptp(positions, axis=0).max()) / 2
    affine_margin = math.ceil(LARGEST_AFFINE * extent) if refine_affine else 0
    reach = affine_margin + margin * (refine_positions + refine_backlash)
    optics = Optics.of(counts.shape[-1], near_field, slices, slice_coupling, detector_sampling)
    optics.check(
        refine_positions=refine_positions,
        refine_affine=refine_affine,
        refine_backlash=refine_backlash,
        probe_variation=probe_variation,
        exposure_path=exposure_path,
    )
    if exposure_path is not None:
        size = optics.sampling * counts.shape[-1]
        exposure_path = check_path(exposure_path, len(positions), size)
    counts, probe, mask = optics.with_border(counts, probe, mask, xp)
    measured = optics.measured(counts, probe, mask, xp, processes)
    measured = hold_out(measured, positions, check_held_out(held_out, len(measured)), seed)
    lit = normalise_probe(probe, xp=xp)
    few = average is not False and bool(few_photons(measured.photons, lit))
    if relaxation is None:
        relaxation = noise_relaxation(measured.photons, lit) if few else RELAXATION
    estimate = first_estimate(measured, positions, probe, initial, relaxation, reach, xp, optics)
    estimate.agree()
    estimate.offset, estimate.at_once = offset, at_once
    if few:
        estimate.probe_pace = noise_probe_pace(measured.photons, lit)
    if average or few:
        estimate.mean = xp.asarray(estimate.canvas, copy=True)
    if refine_light:
        estimate.light = measured.ones()
    if background is not None:
        estimate.background = Background.first(measured, scaled=background == "scaled")
    if exposure_path is not None:
        estimate.exposure = Exposure.of(exposure_path, path_points(exposure_path))
    if saturation is not None:
        estimate.saturation = saturation
    if probe_support is not None:
        estimate.support = ProbeSupport.of(probe_support, estimate.probe, measured.photons, xp)
    if refine_affine:
        estimate.affine = np.eye(2)
    if refine_backlash:
        estimate.backlash = np.zeros(2)
    if probe_variation is not None:
        number, patterns = probe_variation, len(measured)
        estimate.variation = Variation.none(number, patterns, estimate.probe, xp)
    settled = max(
        update_probe * probe_start,
        refine_positions * position_start,
        refine_light * light_start,
        (background is not None) * background_start,
        refine_affine * affine_start,
        refine_backlash * backlash_start,
        (probe_variation is not None) * variation_start,
    )
    course = Course(
        estimate=estimate,
        watch=Watch(tolerance=tolerance, patience=patience, settled=settled),
        random=np.random.default_rng(seed),
        batch_size=batch_size,
        aligned=0 if initial is None or optics != THIN else ALIGNED,
        probe_start=probe_start if update_probe else None,
        light_start=light_start if refine_light else None,
        background_start=None if background is None else background_start,
        variation_start=None if probe_variation is None else variation_start,
        position_start=position_start if refine_positions else None,
        first=estimate.positions,
        margin=margin,
        affine_start=affine_start if refine_affine else None,
        backlash_start=backlash_start if refine_backlash else None,
        smoothness=position_smoothness,
        affine_margin=affine_margin,
        patience=patience,
        momentum=Momentum.of(momentum, estimate) if momentum else None,
    )
    if state is not None:
        course.restore(state)
    raise_mmap_threshold()

    def shown() -> Estimate:
        # there is no mean before the end of the first epoch
        return estimate.averaged() if course.epoch else estimate

    def so_far(coverage: Array | None = None) -> Solution:
        return solution_of(
            shown(),
            positions + (estimate.positions - course.first),
            list(course.watch.r_factors),
            "",
            border=optics.border,
            coverage=coverage,
            copied=True,
        )

    def attended(state: Callable[[], State]) -> bool:
        if look is not None:
            look(so_far)
        return between is not None and between(state)

    stopped = course.run(epochs, callback, attended)
    if stopped == "caller":  # within an epoch, at whose end this is done
        course.fix_gauge()
    predicted = course.record.result(estimate)
    refined = positions + (estimate.positions - course.first)
    return solution_of(
        shown(),
        refined,
        course.watch.r_factors,
        stopped,
        predicted,
        border=optics.border,
    )
