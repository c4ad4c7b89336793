"""The step of a batch of patterns: object, probe, and what belongs to each pattern alone.

The modulus of the predicted wave is replaced by the measured one, and the change ``r`` of the exit
waves is fitted by object and probe, each with its preconditioned gradient:

    object  sum_j P* r_j / ((1 - a) sum_j |P|^2 + a max(sum_j |P|^2))
    probe   sum_j O_j* r_j / ((1 - a) sum_j |O_j|^2 + a max(sum_j |O_j|^2))

with sums over the batch: the regularised PIE of A. Maiden, D. Johnson and P. Li, *Optica* 4, 736
(2017), for many patterns at once. A batch may be taken in pieces that fit into memory, and each of
several processes takes its own patterns: the sums are those of the whole batch.
"""

import math
from typing import Any

import numpy as np
from attrs import define, frozen
from numpy.typing import NDArray

from ptycho_physics._blocks import block_index, patches_to_blocks
from ptycho_physics._detector_sampling import scale
from ptycho_physics._forward import probe_intensity
from ptycho_physics._low_counts import OFFSET, modulus_ratio
from ptycho_physics._namespace import Array, abs2, as_like, scatter_add
from ptycho_physics.metrics import r_factor_sums
from ptycho_physics.solver._estimate import SMALLEST_MODULUS, Estimate
from ptycho_physics.solver._measurement import without
from ptycho_physics.solver._processes import Processes

LARGEST_CHANGE = 2.0
"""Largest factor on the light of a pattern in one step."""


@frozen(kw_only=True)
class Updates:
    """What a step changes besides the object."""

    probe: bool = False
    light: bool = False
    background: bool = False
    variation: bool = False

    @property
    def gauge(self) -> bool:
        """Whether factors are left to be shared out afterwards: see `Estimate.fix_gauge`."""
        return self.probe or self.light or self.background


@define(eq=False)
class Sums:
    """Sums over the patterns of a batch, by what is updated from them."""

    found: dict[str, tuple[Array, ...]]

    def add(self, name: str, values: tuple[Array, ...]) -> None:
        """Add those of some patterns."""
        before = self.found.get(name)
        if before is not None:
            values = tuple(a + b for a, b in zip(before, values, strict=True))
        self.found[name] = values

    def of(self, name: str, processes: Processes) -> tuple[Array, ...]:
        """Return those of the patterns of all processes."""
        return tuple(processes.total(values) for values in self.found[name])


@define(kw_only=True, eq=False)
class CanvasSums:
    """Both sums of the object's step on the whole canvas, (H, W) or (L, H, W) arrays."""

    numerator: Array
    light: Array

    @classmethod
    def none(cls, canvas: Array, xp: Any) -> "CanvasSums":
        """Begin with nothing."""
        zeros = xp.zeros(canvas.shape, dtype=xp.float32)
        return cls(numerator=xp.zeros_like(canvas), light=as_like(zeros, canvas, xp))

    def step(self, relaxation: float, processes: Processes, xp: Any) -> Array:
        """Return the step of the object by the patterns of all processes."""
        numerator, light = processes.total(self.numerator), processes.total(self.light)
        brightest = xp.max(light, axis=(-2, -1), keepdims=True)
        return numerator / ((1 - relaxation) * light + relaxation * brightest)


def take_step(estimate: Estimate, batch: NDArray[np.int64], updates: Updates) -> None:
    """Update the object, and what ``updates`` names, by the patterns of this process in a batch."""
    xp, processes = estimate.xp, estimate.measured.processes
    pieces = np.array_split(batch, math.ceil(len(batch) / (estimate.at_once or len(batch))))
    parts = len(pieces) > 1 or not processes.alone
    canvas, sums = CanvasSums.none(estimate.canvas, xp) if parts else None, Sums({})
    for piece in pieces:
        _add_piece(estimate, piece, updates, canvas, sums)
    if canvas is not None:
        estimate.canvas = estimate.canvas + canvas.step(estimate.relaxation, processes, xp)
    _update_shared(estimate, sums)


def _add_piece(
    estimate: Estimate,
    piece: NDArray[np.int64],
    updates: Updates,
    canvas: CanvasSums | None,
    sums: Sums,
) -> None:
    """Take the patterns of a piece into the sums; without ``canvas`` the object is updated here."""
    xp, place = estimate.xp, estimate.place(piece)
    patches, probe = estimate.cut(place), estimate.probe_of(piece)
    fields, kept = estimate.propagator.forward(patches, probe, xp)
    on_patches, on_probe = estimate.propagator.backward(
        _change(estimate, fields, piece, updates, sums),
        patches,
        probe,
        kept,
        xp,
        probe_too=updates.probe,
    )
    _move_object(estimate, on_patches, place, piece, canvas)
    if on_probe is not None:
        if estimate.exposure is not None:
            on_probe = estimate.exposure.gather(on_probe, piece, xp)
        _sum_probe(estimate, estimate.first_layer(patches), on_probe, piece, updates, sums)


def _change(
    estimate: Estimate, fields: Array, batch: NDArray[np.int64], updates: Updates, sums: Sums
) -> Array:
    """Turn waves on the detector into the change that gives them the measured modulus."""
    xp, bad = estimate.xp, estimate.measured.bad
    light = estimate.detected(abs2(fields, xp))
    if updates.light or updates.background:
        wanted = fit_patterns_alone(estimate, light, batch, updates, bad)
        if updates.background and estimate.background is not None:
            sums.add("background", estimate.background.sums(wanted, batch, xp))
    amplitude, modulus = estimate.compared(light, batch)
    misfit, total = r_factor_sums(modulus, amplitude, bad, xp=xp)
    estimate.misfit += float(misfit)
    estimate.total += float(total)
    return moved_to_modulus(estimate, fields, amplitude, modulus, bad)


def moved_to_modulus(
    estimate: Estimate, fields: Array, amplitude: Array, modulus: Array, bad: Array | None
) -> Array:
    """Return the change of waves to the measured modulus, in their place."""
    xp = estimate.xp
    if estimate.offset:
        photons = estimate.measured.photons * OFFSET / estimate.offset
        power, smallest = modulus * modulus, SMALLEST_MODULUS
        ratio = modulus_ratio(power, amplitude, photons, smallest=smallest, xp=xp)
        return scale(fields, without(ratio, bad, xp), estimate.sampling, xp)
    missing = without(amplitude - modulus, bad, xp)
    modulus += SMALLEST_MODULUS
    missing /= modulus
    return scale(fields, missing, estimate.sampling, xp)


def fit_patterns_alone(
    estimate: Estimate,
    light: Array,
    batch: NDArray[np.int64],
    updates: Updates,
    bad: Array | None,
) -> Array:
    """Fit what belongs to each pattern alone: its light, its share of the background.

    Parameters
    ----------
    light : (b, N, N) real array
        On the detector; multiplied in place by the change of the light.
    bad : (N, N) boolean array, or None
        Pixels to ignore.

    Returns
    -------
    (b, N, N) real array
        Measured over expected counts before, one at ignored pixels; with a scaled background
        that is learned, times its share before.
    """
    xp, measured = estimate.xp, estimate.measured
    counts, rate = measured.relative(batch), estimate.rate(light, batch)
    if estimate.saturation is not None:
        full = measured.saturated(batch, estimate.saturation)
        rate = xp.where(full & (rate > counts), counts, rate)
    ratio = counts / (rate + SMALLEST_MODULUS**2)
    if bad is not None:
        ratio = xp.where(bad, xp.ones_like(ratio), ratio)
    if updates.light and estimate.light is not None:
        known = without(light, bad, xp)
        weight = xp.sum(known, axis=(-2, -1)) + SMALLEST_MODULUS**2
        step = xp.sum(known * ratio, axis=(-2, -1)) / weight
        step = xp.clip(step, 1 / LARGEST_CHANGE, LARGEST_CHANGE)
        which = as_like(xp.asarray(batch), estimate.canvas, xp)
        estimate.light[which] = xp.take(estimate.light, which, axis=0) * step
        light *= step[:, None, None]
    if updates.background and estimate.background is not None:
        return estimate.background.learn_share(ratio, batch, xp)
    return ratio


def _move_object(
    estimate: Estimate,
    on_patches: Array,
    place: tuple[Array, ...],
    batch: NDArray[np.int64],
    canvas: CanvasSums | None,
) -> None:
    rows, columns, fx, fy = place
    shape = (estimate.canvas.shape[-2], estimate.canvas.shape[-1])
    index = block_index(rows, columns, estimate.probe.shape[-1], shape, estimate.xp)
    for level, wanted, probe in estimate.layers(on_patches):
        blocks = patches_to_blocks(wanted, fx, fy, estimate.xp)
        lights = _lights(estimate, probe, batch)
        if canvas is None:
            _add(estimate, blocks, lights, index, estimate.canvas[level])
        else:
            _scatter(canvas.numerator[level], index, blocks, estimate.xp)
            _scatter(canvas.light[level], index, lights, estimate.xp)


def _scatter(canvas: Array, index: Array, blocks: Array, xp: Any) -> None:
    scatter_add(xp.reshape(canvas, (-1,)), index, xp.reshape(blocks, (-1,)))


def _lights(estimate: Estimate, probe: Array, batch: NDArray[np.int64]) -> Array:
    """Return the light (b, (N+1)^2) that a probe (M, N, N) throws on the blocks of patterns."""
    xp = estimate.xp
    if estimate.exposure is None:
        light = probe_intensity(probe, xp=xp)[None]
    else:
        light = estimate.exposure.light(probe, batch, xp)
    # The light half-way between pixels is used for all patterns: it only scales the step.
    half = as_like(xp.full((light.shape[0], 1, 1), 0.5, dtype=xp.float32), light, xp)
    block = xp.reshape(patches_to_blocks(light, half, half, xp), (light.shape[0], -1))
    if estimate.light is None:
        return xp.broadcast_to(block, (len(batch), block.shape[1]))
    return block * estimate.light_of(batch)[:, None]


def _add(estimate: Estimate, numerator: Array, lights: Array, index: Array, canvas: Array) -> None:
    """Add the step of a whole batch to an object (H, W), where it is lit."""
    xp, a = estimate.xp, estimate.relaxation
    scatter_add(estimate.scratch, index, xp.reshape(lights, (-1,)))
    # Dividing each block before adding it equals dividing the sum, for illuminated pixels only.
    weight = xp.take(estimate.scratch, index, axis=0)
    estimate.scratch[index] = 0
    brightest = xp.max(weight)
    weight *= 1 - a
    weight += a * brightest
    flat = xp.reshape(numerator, (-1,))
    flat /= weight
    scatter_add(xp.reshape(canvas, (-1,)), index, flat)


def _sum_probe(
    estimate: Estimate,
    patches: Array,
    on_probe: Array,
    batch: NDArray[np.int64],
    updates: Updates,
    sums: Sums,
) -> None:
    xp, weight, wanted = estimate.xp, abs2(patches, estimate.xp), on_probe
    if estimate.light is not None:
        light = estimate.light_of(batch)[:, None, None]
        weight, wanted = weight * light, wanted * xp.sqrt(light)[:, None]
    if updates.variation and estimate.variation is not None:
        estimate.variation.fit(wanted[:, 0], weight, batch, xp)
        sums.add("variation", estimate.variation.sums(wanted[:, 0], weight, batch, xp))
    number = np.array([len(batch)], dtype=np.float64)
    sums.add("probe", (xp.sum(wanted, axis=0), xp.sum(weight, axis=0), number))


def _update_shared(estimate: Estimate, sums: Sums) -> None:
    """Update what all patterns have in common by the sums over those of a batch."""
    xp, a, processes = estimate.xp, estimate.relaxation, estimate.measured.processes
    if "background" in sums.found and estimate.background is not None:
        wanted, share, number = sums.of("background", processes)
        estimate.background.learn(wanted, share, number, len(estimate.measured))
    if "probe" not in sums.found:
        return
    gradient, weight, number = sums.of("probe", processes)
    if "variation" in sums.found and estimate.variation is not None:
        change, total = sums.of("variation", processes)
        change = change * estimate.probe_pace
        estimate.variation.learn(change, total, xp.max(weight), processes, xp)
    denominator = ((1 - a) * weight + a * xp.max(weight)) / estimate.probe_pace
    estimate.probe = estimate.probe + gradient / denominator
    estimate.damp_probe(denominator, float(number[0]) / len(estimate.measured.used))
