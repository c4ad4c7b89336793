r"""Fly scans: the sample moves on while a pattern is exposed.

Pattern j sees the sample from :math:`p_j - v_j / 2` to :math:`p_j + v_j / 2` and adds up the
intensities of the way. A shift of the sample is one of the probe, but for a phase in the far field,
so its rate is that of incoherent modes, the probe at points of the path:

.. math:: I_j = \sum_k w_k |F[P(r - t_k v_j) O(r + p_j)]|^2

(J. Clark et al., *Phys. Rev. Lett.* 112, 113901, 2014; P. Pelz et al., *Appl. Phys. Lett.* 105,
251101, 2014). :math:`t_k` and :math:`w_k` are those of Gauss and Legendre, which need fewest points
for a smooth integrand. The probe is shifted by a phase ramp on its spectrum: what it moves out of
the patch comes in at the other side, so the rim has to be dark as far as half the path.
"""

import math
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, describe

from ptycho_physics._forward import centring
from ptycho_physics._namespace import Array, abs2, as_like, fft2, ifft2, namespace

MOST_ALONE = 0.1
"""Largest share of patterns that may belong to no line."""

PIXELS_PER_POINT = 2.0
"""A point of the path for so many pixels, and one more: see `path_points`."""

LONGEST_PATH = 1 / 2
"""Longest path during an exposure, relative to the side of a pattern."""

TURN = 1.0
"""A step that differs from both neighbours by more than this part of itself leads to another line:
it is across them, or back."""


def exposure_path(positions: NDArray[np.float64], share: float = 1.0) -> NDArray[np.float64]:
    """Return the path of each exposure of a fly scan from the positions of the patterns.

    Parameters
    ----------
    positions : (n, 2) float64 array
        Patch centres ``(x, y)`` in the middle of each exposure, in the order of the scan.
    share
        Part of the time from pattern to pattern in which the detector counts, in (0, 1].

    Returns
    -------
    (n, 2) float64 array
        Displacement ``(x, y)`` during the exposure, in the unit of the positions. The step to
        another line counts for neither of its ends.

    Raises
    ------
    InvalidValueError
        If the share is out of range, or the positions are no lines that a stage could fly along.
    """
    if not 0 < share <= 1:
        raise InvalidValueError("share", "in (0, 1]", describe(share))
    rule = "in lines of at least three, in the order of the scan"
    if len(positions) < 3:
        raise InvalidValueError("positions", rule, f"{len(positions)}")
    steps = np.diff(np.asarray(positions, np.float64), axis=0)
    change = np.linalg.norm(np.diff(steps, axis=0), axis=1)
    length = np.linalg.norm(steps, axis=1)
    unlike_last = np.concatenate([[np.inf], change]) > TURN * length
    unlike_next = np.concatenate([change, [np.inf]]) > TURN * length
    flown = ~(unlike_last & unlike_next)
    before, after = np.append(False, flown), np.append(flown, False)
    alone = ~(before | after)
    if alone.sum() > MOST_ALONE * len(positions):
        got, advice = f"{alone.sum()} patterns of no line", "give the path of an exposure instead"
        raise InvalidValueError("positions", rule, got, advice)
    # a sharp turn, as in the middle of a spiral: half of it before and half after the pattern
    before[1:] |= alone[1:]
    after[:-1] |= alone[:-1]
    both = np.pad(steps, ((1, 0), (0, 0))) * before[:, None]
    both += np.pad(steps, ((0, 1), (0, 0))) * after[:, None]
    return np.asarray(share * both / (before.astype(np.int64) + after)[:, None])


def path_points(path: NDArray[np.float64]) -> int:
    """Return the number of points that the paths (n, 2) of exposures, in pixels, need."""
    longest = float(np.linalg.norm(path, axis=1).max(initial=0.0))
    return math.ceil(longest / PIXELS_PER_POINT) + 1


def check_path(path: NDArray[np.float64], patterns: int, N: int) -> NDArray[np.float64]:
    """Return the path of each pattern (n, 2), of one for all (2,) or of each.

    Raises
    ------
    InvalidValueError
        If it has another shape, or is longer than `LONGEST_PATH`.
    """
    path = np.asarray(path, dtype=np.float64)
    if path.shape not in ((2,), (patterns, 2)):
        rule = f"(x, y) for all patterns, or a ({patterns}, 2) array"
        raise InvalidValueError("exposure_path", rule, f"shape {path.shape}")
    longest = float(np.linalg.norm(path, axis=-1).max(initial=0.0))
    if not longest <= LONGEST_PATH * N:
        rule = f"at most {LONGEST_PATH * N:g} pixels long, for patterns of {N}"
        raise InvalidValueError("exposure_path", rule, f"{longest:.3g}")
    return np.array(np.broadcast_to(path, (patterns, 2)))


def smeared_probe(
    probe: Array, path: NDArray[np.float64], *, points: int | None = None, xp: Any | None = None
) -> Array:
    """Return a probe smeared along the path of each exposure, as incoherent modes.

    Parameters
    ----------
    probe : (M, N, N) or (n, M, N, N) complex array
        The same for all patterns, or that of each.
    path : (n, 2) float64 NumPy array
        Displacement ``(x, y)`` during each exposure, in pixels; its sign does not matter.
    points
        Of the path; default: as many as its length needs.

    Returns
    -------
    (n, M * points, N, N) complex array
        The power is that of the probe.

    Examples
    --------
    >>> import numpy as np
    >>> from ptycho_physics import defocused_probe
    >>> smeared_probe(defocused_probe(32), np.array([[4.0, 0.0], [4.0, 0.0]])).shape
    (2, 3, 32, 32)
    """
    xp = namespace(probe, xp=xp)
    centre = centring(probe, xp)
    exposure = Exposure.of(path, path_points(path) if points is None else points)
    found = exposure.spread(probe * centre, np.arange(len(path)), xp) * xp.conj(centre)
    return xp.broadcast_to(found, (len(path), *found.shape[-3:]))


@frozen(kw_only=True, eq=False)
class Exposure:
    """The paths of all exposures, for probes that were multiplied by `centring`.

    Attributes
    ----------
    path : (n, 2) float64 array
        The sign is chosen so that there and back are equal.
    nodes, weights : (K,) float64 arrays
        Points of the path, from -1/2 to 1/2, and their share of the exposure.
    """

    path: NDArray[np.float64]
    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, path: NDArray[np.float64], points: int) -> "Exposure":
        """Choose the points of paths (n, 2)."""
        nodes, weights = np.polynomial.legendre.leggauss(points)
        backward = (path[:, 0] < 0) | ((path[:, 0] == 0) & (path[:, 1] < 0))
        path = np.where(backward[:, None], -path, path)
        return cls(path=path, nodes=nodes / 2, weights=weights / 2)

    def spread(self, probe: Array, batch: NDArray[np.int64], xp: Any) -> Array:
        """Return the probe (M, N, N) or (b, M, N, N) at all points, as modes of each pattern.

        Returns
        -------
        (b, M * K, N, N) complex array, or (1, M * K, N, N)
            One for all where probe and path are the same for all.
        """
        different, which = np.unique(self.path[batch], axis=0, return_inverse=True)
        own = len(probe.shape) == 4
        shifts = self._shifts(self.path[batch] if own else different, probe, xp)
        spectrum = fft2(probe, xp)[..., :, None, :, :]
        modes = ifft2(spectrum * shifts[:, None], xp)
        modes = xp.reshape(modes, (modes.shape[0], -1, *modes.shape[-2:]))
        if own or len(different) == 1:
            return modes
        return xp.take(modes, as_like(xp.asarray(which.ravel()), probe, xp), axis=0)

    def gather(self, on_modes: Array, batch: NDArray[np.int64], xp: Any) -> Array:
        """Return what changes (b, M * K, N, N) of the modes of `spread` ask of the probe.

        Returns
        -------
        (b, M, N, N) complex array
            The adjoint of `spread`.
        """
        b, _, N, _ = on_modes.shape
        shifts = xp.conj(self._shifts(self.path[batch], on_modes, xp))
        spectrum = fft2(xp.reshape(on_modes, (b, -1, len(self.nodes), N, N)), xp)
        return ifft2(xp.sum(spectrum * shifts[:, None], axis=2), xp)

    def light(self, probe: Array, batch: NDArray[np.int64], xp: Any) -> Array:
        """Return the intensity (b, N, N) of a probe (M, N, N) smeared along each path."""
        modes = self.spread(probe, batch, xp)
        light = xp.sum(abs2(modes, xp), axis=1)
        return xp.broadcast_to(light, (len(batch), *light.shape[1:]))

    def _shifts(self, path: NDArray[np.float64], like: Array, xp: Any) -> Array:
        """Return the factors (b, K, N, N) of spectra, whose zero frequency is in the centre."""
        N = like.shape[-1]
        turns = -2j * np.pi * (np.arange(N) - N // 2) / N
        x, y = (np.exp(turns * (self.nodes * along[:, None])[..., None]) for along in path.T)
        factors = np.sqrt(self.weights)[:, None, None] * y[..., :, None] * x[..., None, :]
        return as_like(xp.asarray(factors, dtype=like.dtype), like, xp)
