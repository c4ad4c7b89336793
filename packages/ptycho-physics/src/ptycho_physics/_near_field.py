r"""The near field: a detector so close behind the sample that it records an in-line hologram.

The wave behind the sample propagates by Fresnel's integral, so a pattern is an image, with pixel
``[N//2, N//2]`` behind patch pixel ``[N//2, N//2]``. With the pixel :math:`p` of the object, the
wavelength and the distance :math:`z`, it depends on one number, the Fresnel number of a pixel

.. math:: F = p^2 / (\lambda z).

A point source at the distance :math:`z_1` before the sample magnifies the image by
:math:`M = (z_1 + z_2) / z_1`. By the Fresnel scaling theorem the pattern is that of a plane wave at
the distance :math:`z_2 / M`, with the detector's pixel divided by :math:`M` (D. Paganin, *Coherent
X-Ray Optics*, 2006, sec. 1.5 and app. B).
"""

import math
from typing import Any

from attrs import frozen
from ptycho_config.errors import InvalidValueError, describe

from ptycho_physics._namespace import Array
from ptycho_physics._propagation import FreeSpace, fresnel_phase


@frozen(kw_only=True)
class NearFieldGeometry:
    """Where sample and detector are in a near-field experiment; lengths in metres.

    Attributes
    ----------
    wavelength_m
        Wavelength.
    detector_pixel_m
        Pixel of the detector.
    distance_m
        From the sample to the detector.
    source_distance_m
        From the point source, or focus, to the sample; None for a parallel beam.

    Raises
    ------
    InvalidValueError
        If a length is not positive and finite.

    Examples
    --------
    >>> geometry = NearFieldGeometry(
    ...     wavelength_m=1e-10, detector_pixel_m=6.5e-6, distance_m=5.0, source_distance_m=0.05
    ... )
    >>> round(geometry.magnification), f"{geometry.pixel_size_m:.2e}"
    (101, '6.44e-08')
    >>> f"{geometry.fresnel_number:.2e}"
    '8.37e-04'
    """

    wavelength_m: float
    detector_pixel_m: float
    distance_m: float
    source_distance_m: float | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse lengths that are not positive."""
        for name in ("wavelength_m", "detector_pixel_m", "distance_m", "source_distance_m"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InvalidValueError(name, "metres > 0", describe(value))

    @property
    def magnification(self) -> float:
        """Size of the image over that of the object."""
        source = self.source_distance_m
        return 1.0 if source is None else (source + self.distance_m) / source

    @property
    def pixel_size_m(self) -> float:
        """Pixel of the object."""
        return self.detector_pixel_m / self.magnification

    @property
    def fresnel_number(self) -> float:
        """Fresnel number of a pixel of the object."""
        effective = self.distance_m / self.magnification
        return self.pixel_size_m**2 / (self.wavelength_m * effective)


@frozen(eq=False)
class NearField:
    """A detector in the near field of a thin object, for `Estimate.propagator` of the solver.

    Attributes
    ----------
    space : FreeSpace
        Between sample and detector; for waves that `centring` has multiplied.
    """

    space: FreeSpace

    @classmethod
    def of(cls, fresnel_number: float, N: int, like: Array, xp: Any) -> "NearField":
        """Prepare the propagation of waves (..., N, N).

        Parameters
        ----------
        fresnel_number
            Of a pixel, at least 1/N: below, light of the smallest detail leaves the waves.
        N
            Size of the waves.
        like
            An array of the library, device and precision of the waves.
        """
        phase = fresnel_phase((N, N), 1.0, wavelength=1 / fresnel_number, pixel_size=1.0)
        return cls(FreeSpace.of(phase, like, xp, shifted=True))

    def forward(self, patches: Array, probe: Array, xp: Any) -> tuple[Array, None]:
        """Return the waves (b, M, N, N) on the detector.

        Parameters
        ----------
        patches : (b, N, N) complex array
        probe : (M, N, N) or (b, M, N, N) complex array
            Multiplied by `centring`.
        """
        return self.space.forward(xp.expand_dims(patches, axis=1) * probe), None

    def backward(
        self,
        change: Array,
        patches: Array,
        probe: Array,
        kept: None,  # noqa: ARG002 - a thin object keeps nothing of the way there
        xp: Any,
        *,
        probe_too: bool,
    ) -> tuple[Array, Array | None]:
        """Apply the adjoint of the derivative of `forward` by patches, and by the probe."""
        residual = self.space.back(change)
        on_probe = xp.conj(xp.expand_dims(patches, axis=1)) * residual if probe_too else None
        return xp.sum(xp.conj(probe) * residual, axis=1), on_probe
