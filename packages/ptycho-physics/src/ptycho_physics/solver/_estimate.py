"""The current estimate of object and probe, and its update by a batch of patterns.

The modulus of the predicted wave is replaced by the measured one, and the change ``r`` of the exit
waves is fitted by object and probe, each with its preconditioned gradient:

    object  sum_j P* r_j / ((1 - a) sum_j |P|^2 + a max(sum_j |P|^2))
    probe   sum_j O_j* r_j / ((1 - a) sum_j |O_j|^2 + a max(sum_j |O_j|^2))

with sums over the batch: the regularised PIE of A. Maiden, D. Johnson and P. Li, *Optica* 4, 736
(2017), for many patterns at once.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import define, evolve, field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._blocks import (
    block_index,
    blocks_to_patches,
    corners,
    gather,
    patches_to_blocks,
)
from ptycho_physics._exposure import Exposure
from ptycho_physics._forward import probe_intensity
from ptycho_physics._low_counts import OFFSET, modulus_ratio
from ptycho_physics._namespace import Array, abs2, as_like, scatter_add, to_numpy
from ptycho_physics.metrics import r_factor_sums
from ptycho_physics.solver._detector import Background
from ptycho_physics.solver._measurement import CHUNK, Measurement, without
from ptycho_physics.solver._propagator import FarField, Propagator, over_modes
from ptycho_physics.solver._variation import (
    MOST_AT_START,
    STEPS_ALONE,
    VALUES_AT_START,
    Variation,
)

LARGEST_CHANGE = 2.0
"""Largest factor on the light of a pattern in one step."""

MEMORY = 5
"""Power of the epoch by which the mean object weighs it: O. Shamir and T. Zhang, *ICML*, 71 (2013),
polynomial-decay averaging."""

SMALLEST_MODULUS = 1e-6
"""Predicted modulus below which the phase of a pixel is undefined; counts are of order one."""


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


@define(kw_only=True, eq=False)
class Estimate:
    """The current estimate.

    Attributes
    ----------
    measured : Measurement
        The patterns.
    positions : (n, 2) float64 NumPy array
        Patch centres ``(x, y)`` on the canvas.
    canvas : (H, W) complex64 array
        The object.
    probe : (M, N, N) complex64 array
        Multiplied by `centring`, so that no pattern has to be shifted.
    relaxation : float
        ``a`` of the formulas above.
    propagator : Propagator
        From patches and probe to the waves on the detector.
    light : (n,) float32 array, or None
        Relative intensity of the beam in each pattern, of mean one; None: it is the same in all.
    background : Background or None
    variation : Variation or None
        Of the probe over the scan.
    affine : (2, 2) float64 NumPy array, or None
        What was found of the positions about their mean: see `move_affinely`.
    backlash : (2,) float64 NumPy array, or None
        Shift (x, y) of the positions between there and back: see `move_back_and_forth`.
    exposure : Exposure or None
        The way of the sample during each exposure of a fly scan.
    saturation : float or None
        Counts from which a pixel is censored.
    offset : float
        Photons that are added to counts and rates before the root: see `modulus_ratio`.
    mean : array like `canvas`, or None
        Mean of the object over the epochs, where it is wanted: see `average`.
    misfit, total : float
        ``sum |sqrt(rate) - sqrt(counts)|`` and ``sum sqrt(counts)`` of the batches since both were
        set to zero.
    """

    measured: Measurement
    positions: NDArray[np.float64]
    canvas: Array
    probe: Array
    relaxation: float
    xp: Any
    propagator: Propagator = FarField()
    light: Array | None = None
    background: Background | None = None
    variation: Variation | None = None
    affine: NDArray[np.float64] | None = None
    backlash: NDArray[np.float64] | None = None
    exposure: Exposure | None = None
    saturation: float | None = None
    offset: float = 0.0
    mean: Array | None = None
    misfit: float = 0.0
    total: float = 0.0
    _weight: Array = field(init=False)  # (H*W,) real scratch, zero between batches

    @_weight.default
    def _nothing(self) -> Array:
        pixels = self.canvas.shape[-2] * self.canvas.shape[-1]
        return as_like(self.xp.zeros(pixels, dtype=self.xp.float32), self.canvas, self.xp)

    def patches(self, batch: NDArray[np.int64]) -> Array:
        """Return the object's patches (b, N, N) under these patterns."""
        return self._cut(self._place(batch))

    def _place(self, batch: NDArray[np.int64]) -> tuple[Array, ...]:
        """Return where on the canvas patterns lie: see `corners`."""
        shape = (self.canvas.shape[-2], self.canvas.shape[-1])
        where = as_like(self.xp.asarray(self.positions[batch]), self.canvas, self.xp)
        return corners(where, self.probe.shape[-1], shape, self.canvas, self.xp)

    def _cut(self, place: tuple[Array, ...]) -> Array:
        """Return the patches (b, N, N) at a place."""
        rows, columns, fx, fy = place
        blocks = gather(self.canvas, rows, columns, self.probe.shape[-1], self.xp)
        return blocks_to_patches(blocks, fx, fy, self.xp)

    def probe_of(self, batch: NDArray[np.int64]) -> Array:
        """Return the probe (M, N, N), or that of each of these patterns (b, M, N, N).

        In a fly scan with its modes at all points of the path.
        """
        xp, probe = self.xp, self.probe
        if self.variation is not None:
            first = (probe[0] + self.variation.of(batch, xp))[:, None]
            others = xp.broadcast_to(probe[1:], (len(batch), *probe[1:].shape))
            probe = xp.concat([first, others], axis=1) if len(probe) > 1 else first
        if self.exposure is not None:
            probe = self.exposure.spread(probe, batch, xp)
        if self.light is not None:
            probe = probe * xp.sqrt(self._light_of(batch))[:, None, None, None]
        return probe

    def _light_of(self, batch: NDArray[np.int64]) -> Array:
        which = as_like(self.xp.asarray(batch), self.canvas, self.xp)
        return self.xp.take(self.light, which, axis=0)

    def step(self, batch: NDArray[np.int64], updates: Updates) -> None:
        """Update the object, and what ``updates`` names, by the patterns of a batch."""
        xp, place = self.xp, self._place(batch)
        patches = self._cut(place)
        probe = self.probe_of(batch)
        fields, kept = self.propagator.forward(patches, probe, xp)
        on_patches, on_probe = self.propagator.backward(
            self._change(fields, batch, updates), patches, probe, kept, xp, probe_too=updates.probe
        )
        self._update_object(on_patches, place, batch)
        if on_probe is not None:
            if self.exposure is not None:
                on_probe = self.exposure.gather(on_probe, batch, xp)
            self._update_probe(patches, on_probe, batch, updates)

    def _change(self, fields: Array, batch: NDArray[np.int64], updates: Updates) -> Array:
        """Turn waves on the detector into the change that gives them the measured modulus."""
        xp, bad = self.xp, self.measured.bad
        light = over_modes(abs2(fields, xp), xp)
        if updates.light or updates.background:
            wanted = self.fit_patterns_alone(light, batch, updates, bad)
            if updates.background and self.background is not None:
                self.background.learn(wanted, batch, len(batch) / len(self.measured), xp)
        amplitude, modulus = self.compared(light, batch)
        misfit, total = r_factor_sums(modulus, amplitude, bad, xp=xp)
        self.misfit += float(misfit)
        self.total += float(total)
        return self._moved(fields, amplitude, modulus, bad)

    def _moved(self, fields: Array, amplitude: Array, modulus: Array, bad: Array | None) -> Array:
        """Return the change of waves to the measured modulus, in their place."""
        if self.offset:
            photons = self.measured.photons * OFFSET / self.offset
            power, smallest = modulus * modulus, SMALLEST_MODULUS
            ratio = modulus_ratio(power, amplitude, photons, smallest=smallest, xp=self.xp)
            fields *= without(ratio, bad, self.xp)[:, None]
            return fields
        missing = without(amplitude - modulus, bad, self.xp)
        modulus += SMALLEST_MODULUS
        missing /= modulus
        fields *= missing[:, None]
        return fields

    def compared(self, light: Array, batch: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return measured and predicted amplitude (b, N, N) of patterns with this light."""
        xp = self.xp
        amplitude = self.measured.amplitude(batch)
        modulus = xp.sqrt(self.rate(light, batch))
        if self.saturation is not None:
            full = self.measured.saturated(batch, self.saturation)
            modulus = xp.where(full & (modulus > amplitude), amplitude, modulus)
        return amplitude, modulus

    def rate(self, light: Array, batch: NDArray[np.int64]) -> Array:
        """Return the expected counts (b, N, N) of patterns with this light on the detector."""
        return light if self.background is None else light + self.background.of(batch, self.xp)

    def fit_patterns_alone(
        self, light: Array, batch: NDArray[np.int64], updates: Updates, bad: Array | None
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
        xp = self.xp
        counts, rate = self.measured.relative(batch), self.rate(light, batch)
        if self.saturation is not None:
            full = self.measured.saturated(batch, self.saturation)
            rate = xp.where(full & (rate > counts), counts, rate)
        ratio = counts / (rate + SMALLEST_MODULUS**2)
        if bad is not None:
            ratio = xp.where(bad, xp.ones_like(ratio), ratio)
        if updates.light and self.light is not None:
            known = without(light, bad, xp)
            weight = xp.sum(known, axis=(-2, -1)) + SMALLEST_MODULUS**2
            step = xp.sum(known * ratio, axis=(-2, -1)) / weight
            step = xp.clip(step, 1 / LARGEST_CHANGE, LARGEST_CHANGE)
            which = as_like(xp.asarray(batch), self.canvas, xp)
            self.light[which] = xp.take(self.light, which, axis=0) * step
            light *= step[:, None, None]
        if updates.background and self.background is not None:
            return self.background.learn_share(ratio, batch, xp)
        return ratio

    def _update_object(
        self, on_patches: Array, place: tuple[Array, ...], batch: NDArray[np.int64]
    ) -> None:
        rows, columns, fx, fy = place
        shape = (self.canvas.shape[0], self.canvas.shape[1])
        index = block_index(rows, columns, self.probe.shape[-1], shape, self.xp)
        blocks = patches_to_blocks(on_patches, fx, fy, self.xp)
        self._add(blocks, index, batch, self.probe, self.canvas)

    def _add(
        self, numerator: Array, index: Array, batch: NDArray[np.int64], probe: Array, canvas: Array
    ) -> None:
        """Add the step of an object (H, W) that a probe (M, N, N) lights."""
        xp, a = self.xp, self.relaxation
        if self.exposure is None:
            light = probe_intensity(probe, xp=xp)[None]
        else:
            light = self.exposure.light(probe, batch, xp)
        # The light half-way between pixels is used for all patterns: it only scales the step.
        half = as_like(xp.full((light.shape[0], 1, 1), 0.5, dtype=xp.float32), light, xp)
        block = xp.reshape(patches_to_blocks(light, half, half, xp), (light.shape[0], -1))
        if self.light is None:
            lights = xp.broadcast_to(block, (numerator.shape[0], block.shape[1]))
        else:
            lights = block * self._light_of(batch)[:, None]
        scatter_add(self._weight, index, xp.reshape(lights, (-1,)))
        # Dividing each block before adding it equals dividing the sum, for illuminated pixels only.
        weight = xp.take(self._weight, index, axis=0)
        self._weight[index] = 0
        brightest = xp.max(weight)
        weight *= 1 - a
        weight += a * brightest
        flat = xp.reshape(numerator, (-1,))
        flat /= weight
        scatter_add(xp.reshape(canvas, (-1,)), index, flat)

    def _update_probe(
        self, patches: Array, on_probe: Array, batch: NDArray[np.int64], updates: Updates
    ) -> None:
        xp, a = self.xp, self.relaxation
        weight, wanted = abs2(patches, xp), on_probe
        if self.light is not None:
            light = self._light_of(batch)[:, None, None]
            weight, wanted = weight * light, wanted * xp.sqrt(light)[:, None]
        if updates.variation and self.variation is not None:
            self.variation.fit(wanted[:, 0], weight, batch, xp)
            self.variation.learn(wanted[:, 0], weight, batch, xp)
        weight, gradient = xp.sum(weight, axis=0), xp.sum(wanted, axis=0)
        self.probe = self.probe + gradient / ((1 - a) * weight + a * xp.max(weight))

    def wanted_probes(self, batch: NDArray[np.int64], bad: Array | None) -> tuple[Array, Array]:
        """Return the wanted change of the first mode (b, N, N) of patterns, and its weight."""
        xp, probe, patches = self.xp, self.probe_of(batch), self.patches(batch)
        fields, kept = self.propagator.forward(patches, probe, xp)
        amplitude, modulus = self.compared(over_modes(abs2(fields, xp), xp), batch)
        change = self._moved(fields, amplitude, modulus, bad)
        _, wanted = self.propagator.backward(change, patches, probe, kept, xp, probe_too=True)
        if wanted is None:
            raise AssertionError  # it was asked for
        if self.exposure is not None:
            wanted = self.exposure.gather(wanted, batch, xp)
        first, weight = wanted[:, 0], abs2(patches, xp)
        if self.light is None:
            return first, weight
        light = self._light_of(batch)[:, None, None]
        return first * xp.sqrt(light), weight * light

    def begin_variation(self) -> None:
        """Find the first modes of a probe that varies, from patterns spread over the scan."""
        used, N = self.measured.used, self.probe.shape[-1]
        if self.variation is None or self.variation.begun:
            return
        number = min(len(used), max(VALUES_AT_START // N**2, 1), MOST_AT_START)
        chosen = used[np.linspace(0, len(used) - 1, number).astype(np.int64)]
        changes = []
        for batch in np.array_split(chosen, math.ceil(number / CHUNK)):
            wanted, weight = self.wanted_probes(batch, self.measured.bad)
            largest = self.xp.max(weight)
            changes.append(to_numpy(wanted / (weight + self.relaxation * largest)))
        self.variation.begin(np.concatenate(changes), self.xp)
        for batch in np.array_split(used, math.ceil(len(used) / CHUNK)):
            for _ in range(STEPS_ALONE):
                self.fit_variation(batch, self.measured.bad)

    def fit_variation(self, batch: NDArray[np.int64], bad: Array | None) -> None:
        """Fit the coefficients of patterns alone, to pixels that are not bad."""
        if self.variation is not None:
            wanted, weight = self.wanted_probes(batch, bad)
            self.variation.fit(wanted, weight, batch, self.xp)

    def fix_gauge(self) -> None:
        """Share out the factors that the patterns do not tell apart.

        The probe gets unit power, light and share of the background get a mean of one over the
        patterns that are used; the object takes the factors. See `Variation` for its own gauge.
        """
        xp, used = self.xp, self.measured.used
        varies = self.variation is not None and self.variation.begun
        if self.variation is not None and varies:
            self.probe[0] += self.variation.fix_gauge(used, xp)
        factor = math.sqrt(float(xp.sum(abs2(self.probe, xp))))
        self.probe = self.probe / factor
        if self.variation is not None and varies:
            self.variation.coefficients = self.variation.coefficients / factor
        if self.light is not None:
            mean = float(xp.mean(self._light_of(used)))
            self.light = self.light / mean
            factor *= math.sqrt(mean)
        if self.background is not None:
            self.background.fix_gauge(used, xp)
        self._multiply(factor)

    def _multiply(self, factor: float) -> None:
        self.canvas = self.canvas * factor

    def end_epoch(self) -> None:
        """Do what an epoch ends with: nothing for a thin object."""

    def average(self, epoch: int) -> None:
        """Take the object after an epoch, counted from 1, into the mean, if there is one.

        Each batch moves the object towards its own noise. The mean over the epochs has less of it,
        and weights that rise with a power of the epoch, `MEMORY`, forget the start.
        """
        xp, canvas = self.xp, self.canvas
        if self.mean is None:
            return
        overlap = complex(xp.sum(xp.conj(canvas) * self.mean))  # a refined probe frees the phase
        turn = overlap / abs(overlap) if overlap else 1.0
        self.mean = self.mean + (MEMORY + 1) / (epoch + MEMORY) * (canvas * turn - self.mean)

    def averaged(self) -> "Estimate":
        """Return the estimate with the mean object where there is one."""
        return self if self.mean is None else evolve(self, canvas=self.mean, mean=None)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copy all that is estimated, to NumPy."""
        found = {"canvas": self.canvas, "probe": self.probe, "positions": self.positions}
        if self.light is not None:
            found["light"] = self.light
        if self.background is not None:
            found["background"] = self.background.values
            if self.background.share is not None:
                found["share"] = self.background.share
        if self.variation is not None:
            found["variation"] = self.variation.modes
            found["coefficients"] = self.variation.coefficients
        if self.affine is not None:
            found["affine"] = self.affine
        if self.backlash is not None:
            found["backlash"] = self.backlash
        if self.mean is not None:
            found["mean"] = self.mean
        return {name: np.array(to_numpy(values), order="C") for name, values in found.items()}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take what `arrays` gave.

        Raises
        ------
        InvalidValueError
            If it is that of another run: other names or shapes.
        """
        mine = {name: values.shape for name, values in self.arrays().items()}
        for name in sorted(mine.keys() | arrays.keys()):
            theirs = arrays[name].shape if name in arrays else None
            if mine.get(name) != theirs:
                rule = f"that of a run with {name} of shape {mine.get(name)}"
                raise InvalidValueError("state", rule, f"{theirs}")

        def put(name: str) -> Array:
            values = self.xp.asarray(arrays[name].copy())
            return as_like(values, self.canvas, self.xp)

        self.canvas, self.probe = put("canvas"), put("probe")
        if self.mean is not None:
            self.mean = put("mean")
        self.positions = arrays["positions"].copy()
        if self.light is not None:
            self.light = put("light")
        if self.background is not None:
            self.background.values = put("background")
            if self.background.share is not None:
                self.background.share = put("share")
        if self.affine is not None:
            self.affine = arrays["affine"].copy()
        if self.backlash is not None:
            self.backlash = arrays["backlash"].copy()
        if self.variation is not None:
            self.variation.modes = put("variation")
            self.variation.coefficients = put("coefficients")
