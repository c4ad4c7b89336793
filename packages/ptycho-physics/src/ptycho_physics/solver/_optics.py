"""The optics between probe and detector, from the settings of an experiment."""

import math
from typing import Any

import numpy as np
from attrs import evolve, frozen
from ptycho_config.errors import InvalidValueError, describe

from ptycho_physics._detector_sampling import (
    SampledFarField,
    check_sampling,
    widened,
)
from ptycho_physics._multislice import MultiSlice, Slices
from ptycho_physics._namespace import Array, as_like, namespace, to_numpy
from ptycho_physics._near_field import NearField
from ptycho_physics._propagated import propagated_intensity
from ptycho_physics.solver._estimate import Estimate
from ptycho_physics.solver._measurement import Measurement
from ptycho_physics.solver._processes import ALONE, Processes
from ptycho_physics.solver._propagator import FarField, Propagator
from ptycho_physics.solver._slices import SlicedEstimate

WIDEST_BORDER = 1 / 4
"""Largest width of the border of a near-field pattern, relative to its side."""


def propagator_of(
    N: int,
    like: Array,
    xp: Any,
    *,
    near_field: float | None = None,
    slices: Slices | None = None,
    sampling: int = 1,
) -> Propagator:
    """Choose the propagator.

    Parameters
    ----------
    N
        Size of the waves.
    like
        An array of their library, device and precision.
    near_field
        Fresnel number of a pixel; None: the detector is in the far field.
    slices
        The slices of a thick object; None, or one slice: it is thin.
    sampling
        Pixels of the waves along a side of a pixel of a detector in the far field.
    """
    detector: Propagator = FarField()
    if near_field is not None:
        detector = NearField.of(near_field, N, like, xp)
    elif sampling > 1:
        detector = SampledFarField.of(sampling, N, like, xp)
    if slices is None or slices.number == 1:
        return detector
    return MultiSlice(slices.step(N, like, xp), detector)


def near_field_border(near_field: float | None, N: int) -> int:
    r"""Return the width of the border around a pattern from which light may reach it, in pixels.

    Light of the highest frequency moves by :math:`1 / (2 F)` pixels on the way to the detector.
    What is further away than `WIDEST_BORDER` is left out. The waves are a little larger where
    their FFT is faster then.

    Raises
    ------
    InvalidValueError
        If the pattern is too small for this Fresnel number.
    """
    if near_field is None:
        return 0
    if not (isinstance(near_field, int | float) and 1 / N <= near_field < math.inf):
        raise InvalidValueError(
            "near_field",
            f"a Fresnel number of a pixel of at least 1/N = {1 / N:.3g}",
            describe(near_field),
            "use larger patterns or larger pixels",
        )
    border = math.ceil(min(0.5 / near_field, N * WIDEST_BORDER))
    while math.gcd(N + 2 * border, 30**16) < N + 2 * border:
        border += 1
    return border


@frozen(kw_only=True)
class Optics:
    """What the solver has to know of detector and sample.

    Attributes
    ----------
    near_field, slices
        As in `propagator_of`.
    coupling
        See `SlicedEstimate`.
    border
        Pixels around each pattern from which light reaches it: see `near_field_border`.
    sampling
        Pixels of the waves along a side of a pixel of the detector: see `SampledFarField`.
    """

    near_field: float | None = None
    slices: Slices | None = None
    coupling: float = 0.0
    border: int = 0
    sampling: int = 1

    @classmethod
    def of(
        cls,
        N: int,
        near_field: float | None,
        slices: Slices | None,
        coupling: float,
        sampling: int = 1,
    ) -> "Optics":
        """Check the settings for patterns of N pixels; one slice is none.

        Raises
        ------
        InvalidValueError
            If one is out of its range.
        """
        if not 0 <= coupling < math.inf:
            raise InvalidValueError("slice_coupling", "a number >= 0", describe(coupling))
        check_sampling(sampling)
        if sampling > 1 and near_field is not None:
            rule = "left out with near_field, where a pattern is an image"
            raise InvalidValueError("detector_sampling", rule, describe(sampling))
        return cls(
            near_field=near_field,
            slices=None if slices is None or slices.number == 1 else slices,
            coupling=coupling,
            border=near_field_border(near_field, N),
            sampling=sampling,
        )

    @property
    def levels(self) -> tuple[int, ...]:
        """Axes of the object before (H, W)."""
        return () if self.slices is None else (self.slices.number,)

    @property
    def middle(self) -> tuple[int, ...]:
        """Index of the slice that an object to start from is put into."""
        return tuple(number // 2 for number in self.levels)

    def check(self, **refined: Any) -> None:
        """Refuse what is refined for a thin sample, or for a detector far away, alone.

        Raises
        ------
        InvalidValueError
            If slices are solved together with positions; or a probe that varies, or a fly scan,
            with slices or in the near field.
        """
        if self.near_field is None and self.slices is None:
            return
        names = ["probe_variation", "exposure_path"]
        if self.slices is not None:
            names += ["refine_positions", "refine_affine", "refine_backlash"]
        for name in names:
            if refined[name] is not None and refined[name] is not False:
                rule = "left out with " + ("slices" if self.slices is not None else "near_field")
                raise InvalidValueError(name, rule, describe(refined[name]))

    def with_border(
        self, counts: Array, probe: Array, mask: Array | None, xp: Any
    ) -> tuple[Array, Array, Array | None]:
        """Surround patterns by a border of bad pixels, and the probe by its mirror image.

        With a coarse detector, the probe by darkness.
        """
        b, N = self.border, counts.shape[-1]
        if not b:
            return counts, widened(probe, self.sampling * N, xp), mask
        inner = slice(b, b + N)
        there, shape = namespace(counts), (counts.shape[0], N + 2 * b, N + 2 * b)
        wide = as_like(there.zeros(shape, dtype=counts.dtype), counts, there)
        wide[:, inner, inner] = counts
        bad = as_like(xp.ones((N + 2 * b, N + 2 * b), dtype=xp.bool), probe, xp)
        bad[inner, inner] = False if mask is None else mask
        rows = np.pad(np.arange(N), b, mode="symmetric")
        index = as_like(xp.asarray(rows), probe, xp)
        return wide, xp.take(xp.take(probe, index, axis=-1), index, axis=-2), bad

    def measured(
        self,
        counts: Array,
        probe: Array,
        mask: Array | None,
        xp: Any,
        processes: Processes = ALONE,
    ) -> Measurement:
        """Determine the scale of a scan: see `Measurement.of`."""
        if self.near_field is None or mask is None:
            return Measurement.of(counts, probe, mask, xp, processes)
        there = namespace(counts)
        bad = to_numpy(mask) if isinstance(counts, np.ndarray) else mask
        good_alone = there.where(bad, there.zeros_like(counts), counts)
        counts_of = Measurement.of(good_alone, probe, None, xp, processes)
        N = probe.shape[-1]
        empty = as_like(xp.ones((1, N, N), dtype=probe.dtype), probe, xp)
        optics = propagator_of(N, probe, xp, near_field=self.near_field)
        light = propagated_intensity(empty, probe, optics, xp=xp)
        good = float(xp.sum(xp.where(mask, xp.zeros_like(light), light)) / xp.sum(light))
        if not good > 0:
            rule = "False on some pixels that the near field of the probe lights"
            raise InvalidValueError("mask", rule, f"a share of {good:g} of its light")
        return evolve(counts_of, counts=counts, photons=counts_of.photons / good, bad=mask)

    def estimate(self, *, probe: Array, xp: Any, **more: Any) -> Estimate:
        """Set up an estimate with this optics."""
        N, near, slices = probe.shape[-1], self.near_field, self.slices
        propagator = propagator_of(
            N, probe, xp, near_field=near, slices=slices, sampling=self.sampling
        )
        more |= {"probe": probe, "xp": xp, "propagator": propagator, "sampling": self.sampling}
        if slices is None:
            return Estimate(**more)
        return SlicedEstimate(slices=slices, coupling=self.coupling, **more)


THIN = Optics()
"""A thin object, and a detector in the far field."""
