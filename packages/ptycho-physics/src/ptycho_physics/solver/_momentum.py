"""Momentum: object and probe go on in the direction in which the last batches have moved them.

A few times in an epoch, object and probe ``x`` first glide by a share of what they have moved by
since the last time, before batches move them on from there:

    y <- x + m (x - x_before),    x_before <- x,    x <- y + steps of the batches

This is the accelerated gradient of Y. Nesterov (*Soviet Math. Doklady* 27, 372, 1983). The change
by many batches stands for the gradient, as in the mPIE of A. Maiden, D. Johnson and P. Li
(*Optica* 4, 736, 2017): that by a single one is its noise as well. An epoch ends before a glide,
which would add noise to the result. After an epoch with a larger R-factor than the one before, they
start from rest.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import define
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, describe

from ptycho_physics._namespace import Array, as_like, to_numpy
from ptycho_physics.solver._estimate import Estimate

TIMES = 3
"""Glides in an epoch. A third of the patterns says where most of the object has to go."""


@define(kw_only=True, eq=False)
class Momentum:
    """The velocity of object and probe.

    Attributes
    ----------
    share : float
        ``m`` above, above 0 and below 1.
    velocity : dict of arrays
        ``x - x_before`` of ``canvas`` and ``probe``.
    before : dict of arrays
        Both before the last glide.
    """

    share: float
    velocity: dict[str, Array]
    before: dict[str, Array]

    @classmethod
    def of(cls, share: float, estimate: Estimate) -> "Momentum":
        """Begin at rest."""
        xp, parts = estimate.xp, _parts(estimate)
        return cls(
            share=share,
            velocity={name: xp.zeros_like(part) for name, part in parts.items()},
            before={name: xp.asarray(part, copy=True) for name, part in parts.items()},
        )

    def begin_epoch(self, r_factors: list[float]) -> None:
        """Stop where the last epoch had a larger R-factor than the one before."""
        if len(r_factors) > 1 and r_factors[-1] > r_factors[-2]:
            self.velocity = {name: part * 0 for name, part in self.velocity.items()}

    def begin_batch(self, estimate: Estimate, batch: int, batches: int) -> None:
        """Glide before a batch, counted from 0, of an epoch of so many, where it is time to."""
        if batch % math.ceil(batches / TIMES):
            return
        for name, part in _parts(estimate).items():
            self.before[name] = part
            setattr(estimate, name, part + self.share * self.velocity[name])

    def end_batch(self, estimate: Estimate, batch: int, batches: int) -> None:
        """Measure the velocity after a batch, before the next glide or the end of the epoch."""
        if (batch + 1) % math.ceil(batches / TIMES) and batch + 1 < batches:
            return
        for name, part in _parts(estimate).items():
            self.velocity[name] = part - self.before[name]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copy velocity and last places, to NumPy."""
        return {
            f"{name}_{kind}": np.array(to_numpy(values[name]), order="C")
            for kind, values in self._kinds().items()
            for name in values
        }

    def take(self, arrays: Mapping[str, NDArray[Any]], like: Array, xp: Any) -> dict[str, Any]:
        """Take what `arrays` gave from among other arrays, and return those.

        Raises
        ------
        InvalidValueError
            If it is missing.
        """
        rest = dict(arrays)
        for kind, values in self._kinds().items():
            for name in values:
                if f"{name}_{kind}" not in rest:
                    raise InvalidValueError("state", "that of a run with momentum", "one without")
                values[name] = as_like(xp.asarray(rest.pop(f"{name}_{kind}").copy()), like, xp)
        return rest

    def _kinds(self) -> dict[str, dict[str, Array]]:
        return {"velocity": self.velocity, "before": self.before}


def _parts(estimate: Estimate) -> dict[str, Array]:
    return {"canvas": estimate.canvas, "probe": estimate.probe}


def check_momentum(momentum: float) -> None:
    """Refuse a momentum that is no share.

    Raises
    ------
    InvalidValueError
        If it is not at least 0 and below 1.
    """
    if not 0 <= momentum < 1:
        advice = "0.9 is usual, 0 is none"
        raise InvalidValueError("momentum", "at least 0 and below 1", describe(momentum), advice)
