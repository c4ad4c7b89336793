"""What a detector adds to the light and what it cuts off: background and saturation.

A pattern ``j`` with the light ``I_j`` is expected to have ``r_j = I_j + s_j b`` counts. The
background ``b`` of each pixel and its share ``s_j`` follow by the fixed-point step of expectation
maximisation, which is that of the Poisson likelihood and keeps both positive,

    s_j <- s_j sum(b n_j / r_j) / sum(b),    b <- b sum_j(s_j n_j / r_j) / sum_j(s'_j)

with the new shares ``s'_j`` in the last denominator, so that a factor of both is not taken twice
(L. Shepp and Y. Vardi, *IEEE Trans. Med. Imaging* 1, 113, 1982). A saturated pixel is a censored
count: it only says that there were at least as many, so no prediction above it is a misfit.
"""

from typing import Any

import numpy as np
from attrs import define
from numpy.typing import NDArray

from ptycho_physics._namespace import Array, as_like, to_numpy
from ptycho_physics.solver._measurement import Measurement, without

DIMMEST = 0.05
"""The background begins with the mean counts of the dimmest pixels, this share of them."""

LEARNED_BY = 2.0
"""Steps of expectation maximisation of the background in an epoch."""

SMALLEST_SHARE = 1e-6
"""Mean share of a batch below which its patterns say nothing of the background."""


@define(kw_only=True, eq=False)
class Background:
    """Counts that come with no light, in the unit of `Measurement`.

    Attributes
    ----------
    values : (N, N) real array
        Of each pixel.
    share : (n,) real array, or None
        Factor on it of each pattern, of mean one; None: one.
    """

    values: Array
    share: Array | None

    @classmethod
    def first(cls, measured: Measurement, *, scaled: bool) -> "Background":
        """Begin with one number for all pixels, that of the dimmest."""
        xp = measured.xp
        N = measured.counts.shape[-1]
        total = as_like(xp.zeros((N, N), dtype=xp.float32), measured.like, xp)
        for batch in np.array_split(measured.mine(measured.used), max(1, len(measured) // 64)):
            total = total + xp.sum(without(measured.relative(batch), measured.bad, xp), axis=0)
        mean = to_numpy(measured.processes.total(total)) / len(measured.used)
        good = mean if measured.bad is None else mean[~to_numpy(measured.bad)]
        dim = np.sort(good, axis=None)[: max(1, int(DIMMEST * good.size))].mean()
        # from nothing, the steps lead nowhere
        dim = max(float(dim), 1e-3 * float(good.mean()))
        values = xp.zeros_like(total) + dim
        share = measured.ones() if scaled else None
        return cls(values=values, share=share)

    def of(self, batch: NDArray[np.int64], xp: Any) -> Array:
        """Return the background (b, N, N) or (N, N) of patterns."""
        if self.share is None:
            return self.values
        which = as_like(xp.asarray(batch), self.values, xp)
        return self.values * xp.take(self.share, which, axis=0)[:, None, None]

    def learn_share(self, ratio: Array, batch: NDArray[np.int64], xp: Any) -> Array:
        """Take a step of each pattern's share, and return what `learn` takes.

        ``ratio`` (b, N, N) is that of measured to expected counts, one where nothing is known.
        """
        if self.share is None:
            return ratio
        which = as_like(xp.asarray(batch), self.values, xp)
        wanted = xp.take(self.share, which, axis=0)[:, None, None] * ratio
        self.share[which] = xp.sum(self.values * wanted, axis=(-2, -1)) / xp.sum(self.values)
        return wanted

    def sums(
        self, wanted: Array, batch: NDArray[np.int64], xp: Any
    ) -> tuple[Array, Array, NDArray[np.float64]]:
        """Return what `learn` takes, of patterns whose shares have taken their step.

        ``wanted`` (b, N, N) is what `learn_share` returned.
        """
        number = np.array([len(batch)], dtype=np.float64)
        share = number
        if self.share is not None:
            which = as_like(xp.asarray(batch), self.values, xp)
            share = np.array([float(xp.sum(xp.take(self.share, which, axis=0)))])
        return xp.sum(wanted, axis=0), share, number

    def learn(
        self,
        wanted: Array,
        share: NDArray[np.float64],
        number: NDArray[np.float64],
        patterns: int,
    ) -> None:
        """Take a step of the pixels by the sums over a batch, of a scan of so many patterns."""
        ratio = wanted / (float(share[0]) + SMALLEST_SHARE * float(number[0]))
        speed = min(1.0, LEARNED_BY * float(number[0]) / patterns)
        self.values = self.values * (1 - speed + speed * ratio)

    def fix_gauge(self, used: NDArray[np.int64], xp: Any) -> None:
        """Bring the shares to a mean of one; the pixels take the factor."""
        if self.share is not None:
            mean = xp.mean(xp.take(self.share, as_like(xp.asarray(used), self.values, xp), axis=0))
            self.share = self.share / mean
            self.values = self.values * mean
