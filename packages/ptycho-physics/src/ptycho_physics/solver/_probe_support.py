r"""A probe that is expected within a circle: light outside is a matter of its photon noise.

A refined probe has the noise of all photons in each of its pixels, also where there is no light.
Outside the circle the values are expected to be small: independent and normal, of a variance
:math:`\sigma^2(r)` that adds up to `OUTSIDE` of the power. The most probable probe then has the
penalty :math:`|P(r)|^2 / \sigma^2` beside the likelihood, whose amplitudes have a variance of
:math:`1 / (4 \Phi)` for :math:`\Phi` photons per pattern (F. Anscombe, *Biometrika* 35, 246, 1948).
In the units of the step of a batch of :math:`b` of the :math:`n` patterns,

.. math:: P \leftarrow \frac{d}{d + \mu} P, \quad
          \mu = \frac{b}{n} \frac{1}{2 \Phi \sigma^2},

with the denominator :math:`d` of the step. So the penalty goes with the number of photons: where
these are many, the probe is what they tell, also outside.
"""

import math
from typing import Any

import numpy as np
from attrs import frozen
from ptycho_config.errors import InvalidValueError, describe

from ptycho_physics._forward import probe_intensity
from ptycho_physics._namespace import Array, constant, to_numpy

OUTSIDE = 0.02
"""Share of the power that is expected outside."""

EDGE = 4.0
"""Pixels across which the penalty rises."""


@frozen(eq=False)
class ProbeSupport:
    r"""The circle that the probe is expected in.

    Attributes
    ----------
    penalty : (N, N) real array
        :math:`1 / (2 \Phi \sigma^2)`; zero inside.
    """

    penalty: Array

    @classmethod
    def of(cls, radius: float, probe: Array, photons: float, xp: Any) -> "ProbeSupport":
        """Draw a circle around the centre of intensity of a probe (M, N, N).

        Parameters
        ----------
        radius
            In pixels.
        probe
            To begin with.
        photons
            Of a pattern behind an object of unit amplitude.
        xp
            Namespace of the probe.

        Raises
        ------
        InvalidValueError
            If the radius is not positive, or nothing lies outside.
        """
        light = to_numpy(probe_intensity(probe, xp=xp)).astype(np.float64)
        rows, columns = np.indices(light.shape)
        middle = [float(np.sum(axis * light) / light.sum()) for axis in (rows, columns)]
        distance = np.hypot(rows - middle[0], columns - middle[1])
        if not 0 < radius < distance.max():
            rule = f"pixels > 0 that leave some of the {len(light)} x {len(light)} outside"
            raise InvalidValueError("probe_support", rule, describe(radius))
        outside = np.clip((distance - radius) / EDGE, 0, 1)
        penalty = outside * outside.sum() / (2 * photons * OUTSIDE)
        return cls(constant(penalty, probe, xp))

    def damped(self, values: Array, denominator: Array, share: float) -> Array:
        """Return values (..., N, N) of the probe after a step with this denominator (N, N).

        ``share`` is the part of the patterns that the step was made from.
        """
        return values * (denominator / (denominator + share * self.penalty))


def check_support(radius: float | None, update_probe: bool) -> None:
    """Refuse a support that is no length, or that of a probe that stays.

    Raises
    ------
    InvalidValueError
        If it is either.
    """
    if radius is None:
        return
    if not isinstance(radius, int | float) or not math.isfinite(radius):
        raise InvalidValueError("probe_support", "a radius in pixels", describe(radius))
    if not update_probe:
        rule, advice = "left out unless the probe is refined", "set update_probe as well"
        raise InvalidValueError("probe_support", rule, describe(radius), advice)
