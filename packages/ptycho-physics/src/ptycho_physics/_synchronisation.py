r"""Angular synchronisation: the relative phases of overlapping images.

A diffraction pattern does not change when its patch of the object is multiplied by a phase factor,
so the phase of a patch reconstructed from one pattern is arbitrary. Where two patches overlap,
their inner product gives their phase difference. The phases :math:`\theta` that fit all of these
best,

.. math:: \min_\theta \sum_{ij} |g_{ij}| \, wrap(\theta_j - \theta_i + \arg g_{ij})^2
          + \lambda \sum_i e_i \theta_i^2, \qquad g_{ij} = \langle V_i, V_j \rangle,

solve a sparse linear system, which is repeated with the new wraps (A. Singer, *Appl. Comput.
Harmon. Anal.* 30, 20, 2011, states the problem; for ptychography see S. Marchesini, Y.-C. Tu and
H.-T. Wu, *Appl. Comput. Harmon. Anal.* 41, 815, 2016).
The initial guess follows a spanning tree of the strongest overlaps through each connected set of
images.
"""

import heapq

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

Real = NDArray[np.float64]

PRIOR = 1e-2
"""Weight of the phases that images had before, relative to that of their overlaps: an image without
overlap keeps its phase, and a long chain of images does not drift away from its mean phase."""

ROUNDS = 10
ENOUGH = 1e-4
"""Converged when no phase changes by more than this, in radians."""


def synchronise(
    pairs: NDArray[np.int64],
    products: NDArray[np.complex128],
    energies: Real,
    *,
    prior: float = PRIOR,
) -> NDArray[np.complex128]:
    """Return the phase factors by which overlapping images agree best.

    Parameters
    ----------
    pairs : (m, 2) int array
        The two images, different ones, of each overlap.
    products : (m,) complex array
        Sum over the overlap of conj(first) times second.
    energies : (n,) real array
        Squared norm of each image.
    prior
        Weight of the phase that an image had before, relative to its energy.

    Returns
    -------
    (n,) complex128 array
        Factors of modulus one on the images.

    Raises
    ------
    InvalidValueError
        If an overlap or an energy is not finite.
    """
    first, second = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    products = np.asarray(products, dtype=np.complex128)
    wrong = len(energies) - int(np.isfinite(energies).sum())
    if wrong or not np.isfinite(products).all():
        raise InvalidValueError(
            "images",
            "finite",
            f"NaN or infinity in {wrong} of {len(energies)}",
            "look for bad pixels in their patterns",
        )
    strength = np.abs(products)
    held = prior * np.asarray(energies, dtype=np.float64) + np.finfo(np.float64).tiny
    theta = _along_tree(first, second, products, np.asarray(energies, dtype=np.float64))
    for _ in range(ROUNDS):
        disagreement = np.angle(products * np.exp(1j * (theta[second] - theta[first])))
        pull = strength * disagreement
        force = _gather(first, pull, len(held)) - _gather(second, pull, len(held))
        force = force - held * np.angle(np.exp(1j * theta))
        change = _solve(first, second, strength, held, force)
        theta = theta + change
        if np.abs(change).max(initial=0.0) < ENOUGH:
            break
    return np.asarray(np.exp(1j * theta))


def _along_tree(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    products: NDArray[np.complex128],
    energies: Real,
) -> Real:
    """Return phases along spanning trees of the strongest overlaps.

    Each connected set of images keeps its mean phase.
    """
    around: list[list[tuple[float, int, float]]] = [[] for _ in energies]
    for a, b, size, angle in zip(
        first.tolist(),
        second.tolist(),
        np.abs(products).tolist(),
        np.angle(products).tolist(),
        strict=True,
    ):
        around[a].append((-size, b, -angle))
        around[b].append((-size, a, angle))
    theta, reached = np.zeros(len(energies)), np.zeros(len(energies), dtype=bool)
    for seed in range(len(energies)):
        if reached[seed]:
            continue
        members: list[int] = []
        waiting = [(0.0, seed, 0.0)]
        while waiting:
            _, k, value = heapq.heappop(waiting)
            if reached[k]:
                continue
            theta[k], reached[k] = value, True
            members.append(k)
            for size, other, angle in around[k]:
                heapq.heappush(waiting, (size, other, value + angle))
        theta[members] -= np.angle(np.sum(energies[members] * np.exp(1j * theta[members])))
    return theta


def _gather(index: NDArray[np.int64], values: Real, n: int) -> Real:
    return np.asarray(np.bincount(index, weights=values, minlength=n), dtype=np.float64)


def _solve(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    strength: Real,
    held: Real,
    force: Real,
) -> Real:
    """Solve (Laplacian of the graph + held) x = force by conjugate gradients."""
    n = len(held)
    diagonal = held + _gather(first, strength, n) + _gather(second, strength, n)

    def apply(x: Real) -> Real:
        return (
            diagonal * x
            - _gather(first, strength * x[second], n)
            - _gather(second, strength * x[first], n)
        )

    x = np.zeros(n)
    residual = force.copy()
    scaled = residual / diagonal
    direction = scaled
    power = residual @ scaled
    smallest = 1e-12 * power
    for _ in range(10 * n):
        if power <= smallest:
            break
        image = apply(direction)
        step = power / (direction @ image)
        x += step * direction
        residual -= step * image
        scaled = residual / diagonal
        power, before = residual @ scaled, power
        direction = scaled + (power / before) * direction
    return x
