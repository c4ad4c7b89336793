r"""Thick samples: slices, with free space between them.

With probe modes :math:`P_m`, slices :math:`O_1 \dots O_L` and the propagation :math:`A` from slice
to slice, the wave behind the sample is

.. math:: \psi_1 = P_m, \quad \psi_{l+1} = A (O_l \psi_l), \quad O_L \psi_L

(J. Cowley and A. Moodie, *Acta Cryst.* 10, 609, 1957; for ptychography A. Maiden, M. Humphry and
J. Rodenburg, *J. Opt. Soc. Am. A* 29, 1606, 2012). :math:`A` multiplies the angular spectrum. The
derivatives follow backwards: a change :math:`r` asked of the wave behind slice l asks

.. math:: \sum_m \psi_l^* r \text{ of } O_l, \quad A^\dagger (O_l^* r) \text{ behind slice } l - 1.
"""

import math
from typing import TYPE_CHECKING, Any

from attrs import frozen
from ptycho_config.errors import InvalidValueError, describe

from ptycho_physics._namespace import Array
from ptycho_physics._propagation import FreeSpace, angular_spectrum_phase

if TYPE_CHECKING:
    from ptycho_physics.solver._propagator import Propagator

MOST = 256
"""Largest number of slices."""


@frozen(kw_only=True)
class Slices:
    """The slices of a thick sample.

    Attributes
    ----------
    number
        How many.
    thickness
        Distance from slice to slice.
    wavelength, pixel_size
        In the same unit of length as `thickness`, for X-rays and electrons alike.
    tilt
        Angles (x, y) in radians between the beam and the normal of the slices: from slice to slice
        the beam moves by ``thickness * tan(tilt)``.

    Raises
    ------
    InvalidValueError
        If a value is out of its range.
    """

    number: int
    thickness: float
    wavelength: float
    pixel_size: float
    tilt: tuple[float, float] = (0.0, 0.0)

    def __attrs_post_init__(self) -> None:
        """Refuse values out of range."""
        if not isinstance(self.number, int) or not 1 <= self.number <= MOST:
            raise InvalidValueError("slices", f"from 1 to {MOST}", describe(self.number))
        for name in ("thickness", "wavelength", "pixel_size"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InvalidValueError(name, "a length > 0", describe(value))
        if len(self.tilt) != 2 or not all(abs(angle) < math.pi / 4 for angle in self.tilt):
            rule = "two angles (x, y) of less than 45 degrees, in radians"
            raise InvalidValueError("tilt", rule, describe(self.tilt))

    @property
    def depth_of_focus(self) -> float:
        r"""Depth of focus of the detail of one pixel, :math:`4 p^2 / \lambda`.

        That is :math:`\lambda / NA^2` for the angle :math:`NA = \lambda / (2 p)` of the highest
        frequency.
        """
        return 4 * self.pixel_size**2 / self.wavelength

    def step(self, N: int, like: Array, xp: Any, *, shifted: bool = True) -> FreeSpace:
        """Prepare the propagation from slice to slice; arguments as of `FreeSpace.of`.

        Raises
        ------
        InvalidValueError
            If light of the smallest detail travels further than the patch from slice to slice.
        """
        travel = self.wavelength * self.thickness / self.pixel_size**2
        if travel > N:
            most = N * self.pixel_size**2 / self.wavelength
            raise InvalidValueError(
                "thickness",
                f"at most N pixel_size^2 / wavelength = {most:.3g}",
                describe(self.thickness),
                "use more slices, or larger patterns",
            )
        phase = angular_spectrum_phase(
            (N, N),
            self.thickness,
            wavelength=self.wavelength,
            pixel_size=self.pixel_size,
            tilt=self.tilt,
        )
        return FreeSpace.of(phase, like, xp, shifted=shifted)


@frozen(eq=False)
class MultiSlice:
    """A detector behind a thick object, for `Estimate.propagator` of the solver.

    Attributes
    ----------
    step : FreeSpace
        From slice to slice.
    detector : Propagator
        From the last slice to the detector: far or near field.
    """

    step: FreeSpace
    detector: "Propagator"

    def forward(self, patches: Array, probe: Array, xp: Any) -> tuple[Array, tuple[Any, Any]]:
        """Return the waves (b, M, N, N) on the detector, and those in front of the slices.

        Parameters
        ----------
        patches : (b, L, N, N) complex array
            Patches of the slices, in the order in which the light passes them.
        probe : (M, N, N) or (b, M, N, N) complex array
            In front of the first slice.
        """
        waves = [probe]
        for level in range(patches.shape[1] - 1):
            behind = xp.expand_dims(patches[:, level, ...], axis=1) * waves[-1]
            waves.append(self.step.forward(behind))
        fields, kept = self.detector.forward(patches[:, -1, ...], waves[-1], xp)
        return fields, (waves, kept)

    def backward(
        self,
        change: Array,
        patches: Array,
        probe: Array,  # noqa: ARG002 - the first of the waves that were kept
        kept: tuple[Any, Any],
        xp: Any,
        *,
        probe_too: bool,
    ) -> tuple[Array, Array | None]:
        """Apply the adjoint of the derivative of `forward` by patches, and by the probe.

        Returns
        -------
        on_patches : (b, L, N, N) complex array
        on_probe : (b, M, N, N) complex array, or None
        """
        waves, last = kept
        L = patches.shape[1]
        on_slice, on_wave = self.detector.backward(
            change, patches[:, -1, ...], waves[-1], last, xp, probe_too=probe_too or L > 1
        )
        on_slices = [on_slice]
        for level in range(L - 2, -1, -1):
            behind = self.step.back(on_wave)
            on_slices.append(xp.sum(xp.conj(waves[level]) * behind, axis=1))
            on_wave = None
            if probe_too or level:
                on_wave = xp.conj(xp.expand_dims(patches[:, level, ...], axis=1)) * behind
        return xp.stack(on_slices[::-1], axis=1), on_wave
