"""What a detector adds to the light and what it cuts off: background and saturation.

A pattern ``j`` with the light ``I_j`` is expected to have ``r_j = I_j + s_j b`` counts. The
background ``b`` of each pixel and its share ``s_j`` follow by the fixed-point step of expectation
maximisation, which is that of the Poisson likelihood and keeps both positive,

    b <- b mean_j(n_j / r_j),    s_j <- s_j sum(b n_j / r_j) / sum(b)

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

UNBIASED = 0.25
"""Counts added to the measured ones before the root, with a background: ``sqrt(n + 1/4)`` of a
Poisson count has the mean ``sqrt(r)`` but for terms of the order ``r**-1.5`` (M. Bartlett, *J. R.
Stat. Soc. Suppl.* 3, 68, 1936), where ``sqrt(n)`` would pull dim pixels down."""


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
        total = xp.zeros_like(measured.relative(np.arange(1))[0])
        for batch in np.array_split(measured.used, max(1, len(measured) // 64)):
            total = total + xp.sum(without(measured.relative(batch), measured.bad, xp), axis=0)
        mean = to_numpy(total) / len(measured.used)
        good = mean if measured.bad is None else mean[~to_numpy(measured.bad)]
        dim = np.sort(good, axis=None)[: max(1, int(DIMMEST * good.size))].mean()
        # from nothing, the steps lead nowhere
        dim = max(float(dim), 1e-3 * float(good.mean()))
        values = xp.zeros_like(total) + dim
        share = xp.zeros_like(measured.counts[:, 0, 0], dtype=xp.float32) + 1 if scaled else None
        return cls(values=values, share=share)

    def of(self, batch: NDArray[np.int64], xp: Any) -> Array:
        """Return the background (b, N, N) or (N, N) of patterns."""
        if self.share is None:
            return self.values
        which = as_like(xp.asarray(batch), self.values, xp)
        return self.values * xp.take(self.share, which, axis=0)[:, None, None]

    def learn(self, ratio: Array, part: float) -> None:
        """Take a step by ``ratio``, the mean (N, N) of measured over expected counts.

        ``part`` is the share of the scan that it is the mean of.
        """
        speed = min(1.0, LEARNED_BY * part)
        self.values = self.values * (1 - speed + speed * ratio)

    def learn_share(self, ratio: Array, batch: NDArray[np.int64], xp: Any) -> None:
        """Take a step of each pattern's share; ``ratio`` (b, N, N), one where nothing is known."""
        if self.share is None:
            return
        which = as_like(xp.asarray(batch), self.values, xp)
        step = xp.sum(self.values * ratio, axis=(-2, -1)) / xp.sum(self.values)
        self.share[which] = xp.take(self.share, which, axis=0) * step

    def fix_gauge(self, used: NDArray[np.int64], xp: Any) -> None:
        """Bring the shares to a mean of one; the pixels take the factor."""
        if self.share is not None:
            mean = xp.mean(xp.take(self.share, as_like(xp.asarray(used), self.values, xp), axis=0))
            self.share = self.share / mean
            self.values = self.values * mean
