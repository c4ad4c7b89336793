"""Patterns that are never used, and how well they are predicted.

Object and probe are fitted to the other patterns. What belongs to a held-out pattern alone, its
position or its light, is fitted to a random half of its pixels, and the prediction is compared with
the other half: no number is judged by counts that it was fitted to. When the prediction gets worse,
the solver has begun to fit the noise.
"""

import math
from typing import Any

import numpy as np
from attrs import define, evolve, field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, describe

from ptycho_physics._namespace import abs2, as_like, to_numpy
from ptycho_physics.losses import poisson_deviance
from ptycho_physics.metrics import r_factor_sums
from ptycho_physics.solver._estimate import Estimate
from ptycho_physics.solver._measurement import CHUNK, Measurement
from ptycho_physics.solver._probe_changes import STEPS_ALONE, fit_variation
from ptycho_physics.solver._step import Updates, fit_patterns_alone

NEIGHBOURS = 8
"""Neighbours that tell whether a pattern lies at the rim of the scan."""

INSIDE = 0.6
"""Share of the patterns that may be held out: those that lie best between their neighbours, because
what no other pattern has seen cannot be predicted."""

FLOOR = 0.1
"""Counts added to measured and expected ones in the deviance: a photon where the model has no light
at all then costs as much as some noise, and not everything."""

CERTAIN = 2.0
"""A difference of this many standard errors is no noise."""

LONG = 3
"""Factor on the patience where nothing gets worse, but nothing better either."""

DEVIANCE, LATEST = "deviance", "latest"
"""Names in `Record.kept`."""

LARGEST_PART = 0.5
"""Largest share of patterns that may be held out."""


@frozen(kw_only=True, eq=False)
class HeldOut:
    """The prediction of patterns that were held out.

    Attributes
    ----------
    indices : (k,) int64 array
        The patterns, ascending.
    deviance : (k,) float64 array
        Mean Poisson deviance per compared pixel of each, of the result.
    deviances : list of float
        The mean of all, after each epoch.
    r_factors : list of float
        Their R-factor, after each epoch.
    best : int
        Epoch of the result, counted from 1: the one with the smallest deviance.
    """

    indices: NDArray[np.int64]
    deviance: NDArray[np.float64]
    deviances: list[float]
    r_factors: list[float]
    best: int

    @property
    def r_factor(self) -> float:
        """R-factor of the result on these patterns."""
        return self.r_factors[self.best - 1]


@define(kw_only=True, eq=False)
class Record:
    """The predictions of a run so far.

    Attributes
    ----------
    deviances, r_factors : list of float
        As in `HeldOut`.
    kept : dict of NumPy arrays
        The estimate after the best epoch, see `Estimate.arrays`, its ``deviance`` (k,) and the
        ``latest`` one.
    """

    deviances: list[float] = field(factory=list)
    r_factors: list[float] = field(factory=list)
    kept: dict[str, NDArray[Any]] = field(factory=dict)

    def add(self, estimate: Estimate, updates: Updates) -> None:
        """Predict the held-out patterns after an epoch, and keep the estimate if it is the best."""
        deviance, r_factor = predict(estimate.averaged(), updates)
        estimate.join_patterns()
        self.deviances.append(float(np.mean(deviance)))
        self.r_factors.append(r_factor)
        if not self._since_best:
            self.kept = {**estimate.arrays(), DEVIANCE: deviance}
        self.kept[LATEST] = deviance

    @property
    def _since_best(self) -> int:
        return len(self.deviances) - 1 - int(np.argmin(self.deviances))

    def overdue(self, patience: int) -> bool:
        """Whether the best epoch is over: ``patience`` epochs ago and better by more than noise.

        The noise is that of the difference over the held-out patterns. Without such a difference,
        `LONG` times as many epochs have to pass.
        """
        if self._since_best < patience:
            return False
        worse = self.kept[LATEST] - self.kept[DEVIANCE]
        noise = float(np.std(worse)) / math.sqrt(len(worse))
        return self._since_best >= LONG * patience or float(np.mean(worse)) > CERTAIN * noise

    def result(self, estimate: Estimate) -> HeldOut | None:
        """Bring the best estimate back, and return its predictions; None if there are none."""
        if not self.deviances:
            return None
        estimate.set_arrays({name: self.kept[name] for name in estimate.arrays()})
        return HeldOut(
            indices=estimate.measured.held_out,
            deviance=self.kept[DEVIANCE],
            deviances=list(self.deviances),
            r_factors=list(self.r_factors),
            best=int(np.argmin(self.deviances)) + 1,
        )


def predict(estimate: Estimate, updates: Updates) -> tuple[NDArray[np.float64], float]:
    """Fit what belongs to the held-out patterns alone, and predict their other pixels.

    Returns
    -------
    deviance : (k,) float64 array
        Mean Poisson deviance per compared pixel of each pattern.
    r_factor : float
    """
    measured, xp = estimate.measured, estimate.xp
    pixels = np.count_nonzero(~to_numpy(measured.uncompared))
    deviances, sums = np.zeros(len(measured.held_out)), np.zeros(2)
    mine = measured.mine(measured.held_out)
    for batch in np.split(mine, range(CHUNK, len(mine), CHUNK)) if len(mine) else ():
        if updates.variation and estimate.variation is not None:
            for _ in range(STEPS_ALONE):
                fit_variation(estimate, batch, measured.unfitted)
        probe, patches = estimate.probe_of(batch), estimate.patches(batch)
        fields, _ = estimate.propagator.forward(patches, probe, xp)
        light = estimate.detected(abs2(fields, xp))
        if updates.light or updates.background:
            fit_patterns_alone(estimate, light, batch, updates, measured.unfitted)
        amplitude, modulus = estimate.compared(light, batch)
        found = r_factor_sums(modulus, amplitude, measured.uncompared, xp=xp)
        sums += [float(value) for value in found]
        deviance = poisson_deviance(
            modulus**2 * measured.photons + FLOOR,
            measured.relative(batch) * measured.photons + FLOOR,
            measured.uncompared,
            xp=xp,
        )
        which = np.searchsorted(measured.held_out, batch)
        deviances[which] = to_numpy(deviance).astype(np.float64) / pixels
    misfit, total = measured.processes.total(sums).tolist()
    return measured.processes.total(deviances), misfit / total if total else 0.0


def check_held_out(held_out: float, patterns: int) -> int:
    """Return the number of patterns to hold out.

    Raises
    ------
    InvalidValueError
        If it is no share of the patterns, or leaves none of either kind.
    """
    if not 0 <= held_out <= LARGEST_PART:
        rule = f"a share of the patterns from 0 to {LARGEST_PART}"
        raise InvalidValueError("held_out", rule, describe(held_out))
    number = round(held_out * patterns)
    if held_out and not 1 <= number < patterns:
        rule = f"a share that holds out some of the {patterns} patterns"
        raise InvalidValueError("held_out", rule, describe(held_out))
    return number


def hold_out(
    measured: Measurement, positions: NDArray[np.float64], number: int, seed: int
) -> Measurement:
    """Set ``number`` patterns aside, drawn from those inside the scan.

    The choice depends on ``seed``, positions and number alone.
    """
    if not number:
        return measured
    from scipy.spatial import KDTree  # takes long to import, and few runs need it

    xp, N, n = measured.xp, measured.counts.shape[-1], len(measured)
    random = np.random.default_rng((seed, 1))
    near = min(NEIGHBOURS + 1, n)
    _, neighbours = KDTree(positions).query(positions, k=near)
    middle = positions[np.reshape(neighbours, (n, near))].mean(axis=1)
    offset = np.linalg.norm(middle - positions, axis=1)
    inside = np.argsort(offset, kind="stable")[: max(number, round(INSIDE * n))]
    chosen = np.sort(random.choice(inside, size=number, replace=False)).astype(np.int64)
    compared = random.random((N, N)) < 0.5
    bad = np.zeros((N, N), dtype=bool) if measured.bad is None else to_numpy(measured.bad)
    masks = (
        as_like(xp.asarray(mask), measured.like, xp) for mask in (bad | compared, bad | ~compared)
    )
    unfitted, uncompared = masks
    return evolve(measured, held_out=chosen, unfitted=unfitted, uncompared=uncompared)
