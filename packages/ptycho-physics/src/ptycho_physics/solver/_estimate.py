"""The current estimate of object, probe and all that is refined, and what it predicts."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from attrs import define, evolve, field
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._blocks import blocks_to_patches, corners, gather
from ptycho_physics._detector_sampling import collected
from ptycho_physics._exposure import Exposure
from ptycho_physics._namespace import Array, abs2, as_like, to_numpy
from ptycho_physics.solver._detector import Background
from ptycho_physics.solver._measurement import Measurement
from ptycho_physics.solver._probe_support import ProbeSupport
from ptycho_physics.solver._propagator import FarField, Propagator, over_modes
from ptycho_physics.solver._variation import Variation

MEMORY = 5
"""Power of the epoch by which the mean object weighs it: O. Shamir and T. Zhang, *ICML*, 71 (2013),
polynomial-decay averaging."""

SMALLEST_MODULUS = 1e-6
"""Predicted modulus below which the phase of a pixel is undefined; counts are of order one."""


SMALLEST_LIGHT = 1e-6
"""Light of a pattern, relative to the mean, below which it says nothing of a slope."""

OF_EACH_PATTERN = ("light", "share", "coefficients")
"""What is fitted to each pattern alone, in its own process."""


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
        ``a`` of the formulas in `ptycho_physics.solver._step`.
    probe_pace : float
        Part of its step that the probe takes.
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
    support : ProbeSupport or None
        Where the probe is expected.
    exposure : Exposure or None
        The way of the sample during each exposure of a fly scan.
    sampling : int
        Pixels of the waves along a side of a detector's pixel: see `SampledFarField`. The patches
        have (sN, sN) pixels then, and the probe as well.
    saturation : float or None
        Counts from which a pixel is censored.
    offset : float
        Photons that are added to counts and rates before the root: see `modulus_ratio`.
    mean : array like `canvas`, or None
        Mean of the object over the epochs, where it is wanted: see `average`.
    at_once : int or None
        Patterns of a batch that are processed at a time; None: all.
    scratch : (H*W,) float32 array
        Zero between batches.
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
    probe_pace: float = 1.0
    propagator: Propagator = FarField()
    light: Array | None = None
    background: Background | None = None
    variation: Variation | None = None
    affine: NDArray[np.float64] | None = None
    backlash: NDArray[np.float64] | None = None
    support: ProbeSupport | None = None
    exposure: Exposure | None = None
    sampling: int = 1
    saturation: float | None = None
    offset: float = 0.0
    mean: Array | None = None
    misfit: float = 0.0
    total: float = 0.0
    at_once: int | None = None
    scratch: Array = field(init=False)

    @scratch.default
    def _nothing(self) -> Array:
        pixels = self.canvas.shape[-2] * self.canvas.shape[-1]
        return as_like(self.xp.zeros(pixels, dtype=self.xp.float32), self.canvas, self.xp)

    def patches(self, batch: NDArray[np.int64]) -> Array:
        """Return the object's patches (b, N, N) under these patterns."""
        return self.cut(self.place(batch))

    def place(self, batch: NDArray[np.int64]) -> tuple[Array, ...]:
        """Return where on the canvas patterns lie: see `corners`."""
        shape = (self.canvas.shape[-2], self.canvas.shape[-1])
        where = as_like(self.xp.asarray(self.positions[batch]), self.canvas, self.xp)
        return corners(where, self.probe.shape[-1], shape, self.canvas, self.xp)

    def cut(self, place: tuple[Array, ...]) -> Array:
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
            probe = probe * xp.sqrt(self.light_of(batch))[:, None, None, None]
        return probe

    def light_of(self, batch: NDArray[np.int64]) -> Array:
        """Return the relative intensity (b,) of the beam in patterns."""
        which = as_like(self.xp.asarray(batch), self.canvas, self.xp)
        return self.xp.take(self.light, which, axis=0)

    def layers(self, on_patches: Array) -> Iterator[tuple[Any, Array, Array]]:
        """Yield where on the canvas a layer of the object is, its wanted change, and its light.

        Of a thin object there is one. ``on_patches`` (b, N, N) is what the waves ask of the
        patches; the light comes as the probe (M, N, N) that falls on the layer.
        """
        yield ..., on_patches, self.probe

    def first_layer(self, patches: Array) -> Array:
        """Return the part (b, N, N) of patches that the probe falls on."""
        return patches

    def detected(self, values: Array) -> Array:
        """Sum values (b, M, sN, sN) of waves over the modes, and over each detector pixel."""
        return collected(over_modes(values, self.xp), self.sampling, self.xp)

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

    def fix_gauge(self, *, probe_refined: bool) -> None:
        """Share out the factors that the patterns do not tell apart.

        The probe gets unit power, light and share of the background get a mean of one over the
        patterns that are used; the object takes the factors. Where light and probe are refined, the
        logarithm of the light gets no slope over the scan: `_level_light`. See `Variation` for its
        own gauge.
        """
        xp, used = self.xp, self.measured.used
        varies = self.variation is not None and self.variation.begun
        if self.variation is not None and varies:
            if self.light is not None and len(self.probe) == 1:
                self.light = self.light * self.variation.factor_out(self.probe[0], xp)
            self.probe[0] += self.variation.fix_gauge(used, xp)
        factor = math.sqrt(float(xp.sum(abs2(self.probe, xp))))
        self.probe = self.probe / factor
        if self.variation is not None and varies:
            self.variation.coefficients = self.variation.coefficients / factor
        if self.light is not None:
            if probe_refined:
                self._level_light()
            mean = float(xp.mean(self.light_of(used)))
            self.light = self.light / mean
            factor *= math.sqrt(mean)
        if self.background is not None:
            self.background.fix_gauge(used, xp)
        self._multiply(factor)

    def _level_light(self) -> None:
        """Give a slope of the light over the scan to object and probe.

        An object with the factor ``exp(h r)`` and a probe with ``exp(-h r)`` about its centre have
        the same patterns where the light is ``exp(-2 h r_j)`` as strong.
        """
        xp, used, N = self.xp, self.measured.used, self.probe.shape[-1]
        middle = self.positions[used].mean(axis=0)
        places = self.positions - middle
        light = to_numpy(self.light).astype(np.float64)
        known = np.column_stack([np.ones(len(used)), places[used]])
        logs = np.log(np.maximum(light[used], SMALLEST_LIGHT))
        slope = np.linalg.lstsq(known, logs, rcond=None)[0][1:]

        def ramp(shape: tuple[int, int], centre: NDArray[np.float64], sign: float) -> Array:
            y, x = (np.arange(side) - at for side, at in zip(shape, centre[::-1], strict=True))
            values = np.exp(sign / 2 * (slope[0] * x + slope[1] * y[:, None]))
            return as_like(xp.asarray(values, dtype=xp.float32), self.canvas, xp)

        level = xp.asarray(np.exp(-places @ slope), dtype=xp.float32)
        self.light = self.light * as_like(level, self.canvas, xp)
        self._multiply_first(ramp((self.canvas.shape[-2], self.canvas.shape[-1]), middle, 1.0))
        down = ramp((N, N), np.full(2, N // 2), -1.0)
        self.probe = self.probe * down
        if self.variation is not None:
            self.variation.modes = self.variation.modes * down

    def _multiply_first(self, factor: Array) -> None:
        """Multiply the layer (H, W) that the probe falls on."""
        self.canvas = self.canvas * factor

    def _multiply(self, factor: float) -> None:
        self.canvas = self.canvas * factor

    def damp_probe(self, denominator: Array, share: float) -> None:
        """Damp the light outside the support after a step: see `ProbeSupport.damped`."""
        if self.support is None:
            return
        self.probe = self.support.damped(self.probe, denominator, share)
        if self.variation is not None:
            modes = self.variation.modes
            self.variation.modes = self.support.damped(modes, denominator, share)

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

    def agree(self) -> None:
        """Begin with the object and the probe of the first process in all of them."""
        processes, first = self.measured.processes, self.measured.processes.rank == 0
        if not processes.alone:
            self.canvas = processes.total(self.canvas * first)
            self.probe = processes.total(self.probe * first)

    def join(self) -> None:
        """Exchange, after an epoch, what each process knows of its own patterns alone."""
        self.join_patterns()
        sums = self.measured.processes.total(np.array([self.misfit, self.total]))
        self.misfit, self.total = sums.tolist()

    def join_patterns(self) -> None:
        """Exchange what was fitted to single patterns."""
        for name, owner, attribute in self._parts():
            if name in OF_EACH_PATTERN:
                values = self.measured.processes.joined(getattr(owner, attribute), self.xp)
                setattr(owner, attribute, values)

    def _parts(self) -> Iterator[tuple[str, Any, str]]:
        """Yield all that is estimated: its name, what has it, and as which attribute."""
        for name in ("canvas", "probe", "positions", "light", "affine", "backlash", "mean"):
            if getattr(self, name) is not None:
                yield name, self, name
        if self.background is not None:
            yield "background", self.background, "values"
            if self.background.share is not None:
                yield "share", self.background, "share"
        if self.variation is not None:
            yield "variation", self.variation, "modes"
            yield "coefficients", self.variation, "coefficients"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copy all that is estimated, to NumPy."""
        return {
            name: np.array(to_numpy(getattr(owner, attribute)), order="C")
            for name, owner, attribute in self._parts()
        }

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
        for name, owner, attribute in self._parts():
            values = arrays[name].copy()
            if not isinstance(getattr(owner, attribute), np.ndarray):
                values = as_like(self.xp.asarray(values), self.canvas, self.xp)
            setattr(owner, attribute, values)
