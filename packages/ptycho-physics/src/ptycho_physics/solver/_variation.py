"""A probe that varies over the scan: orthogonal modes with coefficients for each pattern.

The first mode of pattern ``j`` is ``P_j = P + sum_k a_jk Q_k`` (M. Odstrcil et al., *Optics
Express* 24, 8360, 2016). Both are fitted to the wanted change ``g_j`` of the probe, by least
squares:

    a_jk <- a_jk + c sum(Q_k* g_j) / sum(|O_j|^2 |Q_k|^2)
    Q_k  <- Q_k + sum_j a_jk* g_j / sum_j |a_jk|^2 |O_j|^2

To the denominator of the second its usual value over the scan is added: a batch of patterns that
vary little says little about the modes. They begin as the principal components of these changes.
Gauge: the mean of each coefficient is zero, the modes are
orthogonal and of unit power, the strongest first. A factor on the probe of one pattern is part of
its light, where that is refined and the probe has one mode: the modes are then orthogonal to it.
"""

from typing import Any

import numpy as np
from attrs import define
from numpy.typing import NDArray

from ptycho_physics._namespace import Array, abs2, as_like, to_numpy
from ptycho_physics.solver._processes import Processes

SPEED = 0.5
"""``c`` above: object, probe and coefficients share one misfit."""

SMALLEST = 1e-12


@define(kw_only=True, eq=False)
class Variation:
    """Modes of the variation, and their coefficients.

    Attributes
    ----------
    modes : (K, N, N) complex64 array
        Multiplied by `centring` like the probe; zero before the variation begins.
    coefficients : (n, K) complex64 array
    """

    modes: Array
    coefficients: Array

    @classmethod
    def none(cls, number: int, patterns: int, probe: Array, xp: Any) -> "Variation":
        """Return ``number`` modes of a probe that does not vary yet."""
        modes = xp.zeros((number, *probe.shape[-2:]), dtype=xp.complex64)
        coefficients = xp.zeros((patterns, number), dtype=xp.complex64)
        return cls(modes=as_like(modes, probe, xp), coefficients=as_like(coefficients, probe, xp))

    @property
    def begun(self) -> bool:
        """Whether there are modes yet."""
        return bool(np.any(to_numpy(self.modes)))

    def begin(self, changes: NDArray[np.complex64], xp: Any) -> None:
        """Take the principal components of the wanted changes (m, N, N) of some patterns' probe."""
        flat = changes.reshape(len(changes), -1)
        flat = flat - flat.mean(axis=0)
        _, vectors = np.linalg.eigh(flat @ flat.conj().T)
        strongest = vectors[:, ::-1][:, : len(self.modes)].conj().T @ flat
        strongest /= np.linalg.norm(strongest, axis=1, keepdims=True) + SMALLEST
        modes = np.zeros(tuple(self.modes.shape), dtype=np.complex64)
        modes[: len(strongest)] = strongest.reshape(-1, *changes.shape[1:])
        self.modes = as_like(xp.asarray(modes), self.modes, xp)

    def of(self, batch: NDArray[np.int64], xp: Any) -> Array:
        """Return what is added to the probe (b, N, N) of patterns."""
        return xp.sum(self._of(batch, xp)[:, :, None, None] * self.modes, axis=1)

    def _of(self, batch: NDArray[np.int64], xp: Any) -> Array:
        return xp.take(self.coefficients, as_like(xp.asarray(batch), self.modes, xp), axis=0)

    def fit(self, wanted: Array, weight: Array, batch: NDArray[np.int64], xp: Any) -> None:
        """Fit the coefficients of patterns to ``g_j`` (b, N, N); the weight is ``|O_j|^2``."""
        power = xp.sum(weight[:, None] * abs2(self.modes, xp), axis=(-2, -1)) + SMALLEST
        step = xp.sum(xp.conj(self.modes) * wanted[:, None], axis=(-2, -1)) / power
        which = as_like(xp.asarray(batch), self.modes, xp)
        self.coefficients[which] = self._of(batch, xp) + SPEED * step

    def sums(
        self, wanted: Array, weight: Array, batch: NDArray[np.int64], xp: Any
    ) -> tuple[Array, Array]:
        """Return both sums of the second formula over patterns, with their ``g_j`` (b, N, N)."""
        shares = self._of(batch, xp)[:, :, None, None]
        gradient = xp.sum(xp.conj(shares) * wanted[:, None], axis=0)
        return gradient, xp.sum(abs2(shares, xp) * weight[:, None], axis=0)

    def learn(
        self, gradient: Array, total: Array, brightest: Array, processes: Processes, xp: Any
    ) -> None:
        """Fit the modes by the sums over a batch; ``brightest`` is its largest ``sum |O_j|^2``."""
        mine = as_like(xp.asarray(processes.share(len(self.coefficients))), self.modes, xp)
        squares = xp.sum(abs2(xp.take(self.coefficients, mine, axis=0), xp), axis=0)
        usual = processes.total(squares)[:, None, None] / len(self.coefficients)
        self.modes = self.modes + gradient / (total + usual * brightest + SMALLEST)

    def fix_gauge(self, used: NDArray[np.int64], xp: Any) -> Array:
        """Bring modes and coefficients to their gauge, and return the mean to add to the probe.

        ``used`` are the patterns that the mean and the strengths are taken over.
        """
        number, *shape = tuple(self.modes.shape)
        modes = to_numpy(self.modes).reshape(number, -1).astype(np.complex128)
        coefficients = to_numpy(self.coefficients).astype(np.complex128)
        mean = coefficients[used].mean(axis=0)
        coefficients = coefficients - mean
        rest = (mean @ modes).reshape(shape)
        basis, triangle = np.linalg.qr(modes.T)
        coefficients = coefficients @ triangle.T
        _, _, turn = np.linalg.svd(coefficients[used], full_matrices=False)
        if len(turn) == number:
            coefficients, basis = coefficients @ turn.conj().T, basis @ turn.T
        self.modes = self._put(basis.T.reshape(number, *shape), xp)
        self.coefficients = self._put(coefficients, xp)
        return self._put(rest, xp)

    def factor_out(self, probe: Array, xp: Any) -> Array:
        """Take multiples of a probe (N, N) out of the modes, and return their intensity (n,).

        What is left is the same probe of each pattern but for this factor.
        """
        power = xp.sum(abs2(probe, xp))
        share = xp.sum(xp.conj(probe) * self.modes, axis=(-2, -1)) / power
        self.modes = self.modes - share[:, None, None] * probe
        factor = 1 + xp.sum(self.coefficients * share, axis=1)
        self.coefficients = self.coefficients / factor[:, None]
        return abs2(factor, xp)

    def _put(self, values: NDArray[np.complex128], xp: Any) -> Array:
        return as_like(xp.asarray(np.ascontiguousarray(values, np.complex64)), self.modes, xp)
