"""What single patterns ask of their probe, for a probe that varies over the scan."""

import math

import numpy as np
from numpy.typing import NDArray

from ptycho_physics._namespace import Array, abs2, to_numpy
from ptycho_physics.solver._estimate import Estimate
from ptycho_physics.solver._measurement import CHUNK
from ptycho_physics.solver._step import moved_to_modulus

VALUES_AT_START = 2**23
"""Values of the probe changes that the modes of a variation are found from."""

MOST_AT_START = 512
"""Patterns that they are found from, at most."""

STEPS_ALONE = 3
"""Steps of coefficients at a time where the modes are not fitted as well."""


def wanted_probes(
    estimate: Estimate, batch: NDArray[np.int64], bad: Array | None
) -> tuple[Array, Array]:
    """Return the wanted change of the first mode (b, N, N) of patterns, and its weight."""
    xp, probe, patches = estimate.xp, estimate.probe_of(batch), estimate.patches(batch)
    fields, kept = estimate.propagator.forward(patches, probe, xp)
    amplitude, modulus = estimate.compared(estimate.detected(abs2(fields, xp)), batch)
    change = moved_to_modulus(estimate, fields, amplitude, modulus, bad)
    _, wanted = estimate.propagator.backward(change, patches, probe, kept, xp, probe_too=True)
    if wanted is None:
        raise AssertionError  # it was asked for
    if estimate.exposure is not None:
        wanted = estimate.exposure.gather(wanted, batch, xp)
    first, weight = wanted[:, 0], abs2(patches, xp)
    if estimate.light is None:
        return first, weight
    light = estimate.light_of(batch)[:, None, None]
    return first * xp.sqrt(light), weight * light


def begin_variation(estimate: Estimate) -> None:
    """Find the first modes of a probe that varies, from patterns spread over the scan."""
    measured, N, xp = estimate.measured, estimate.probe.shape[-1], estimate.xp
    if estimate.variation is None or estimate.variation.begun:
        return
    chosen = measured.spread(min(max(VALUES_AT_START // N**2, 1), MOST_AT_START))
    changes = np.zeros((measured.processes.number, len(chosen), N, N), dtype=np.complex64)
    for some in np.array_split(np.arange(len(chosen)), math.ceil(len(chosen) / CHUNK)):
        wanted, weight = wanted_probes(estimate, chosen[some], measured.bad)
        found = to_numpy(wanted / (weight + estimate.relaxation * xp.max(weight)))
        changes[measured.processes.rank, some] = found
    changes = measured.processes.total(changes).reshape(-1, N, N)
    estimate.variation.begin(changes, xp)
    used = measured.mine(measured.used)
    for batch in np.array_split(used, math.ceil(len(used) / CHUNK)):
        for _ in range(STEPS_ALONE):
            fit_variation(estimate, batch, measured.bad)


def fit_variation(estimate: Estimate, batch: NDArray[np.int64], bad: Array | None) -> None:
    """Fit the coefficients of patterns alone, to pixels that are not bad."""
    if estimate.variation is not None and len(batch):
        wanted, weight = wanted_probes(estimate, batch, bad)
        estimate.variation.fit(wanted, weight, batch, estimate.xp)
