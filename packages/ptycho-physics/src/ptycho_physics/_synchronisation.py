r"""One phase for each of many images that overlap: angular synchronisation.

A diffraction pattern does not change when its patch of the object is multiplied by a phase factor,
so what is reconstructed from one pattern has a phase of its own. Where two patches overlap, their
inner product tells the phase between them. The phases :math:`\theta` that fit all of these best,

.. math:: \min_\theta \sum_{ij} |g_{ij}| \, wrap(\theta_j - \theta_i + \arg g_{ij})^2
          + \lambda \sum_i e_i \theta_i^2, \qquad g_{ij} = \langle V_i, V_j \rangle,

solve a sparse linear system, again for every wrap (A. Singer, *Appl. Comput. Harmon. Anal.* 30, 20,
2011, states the problem; for ptychography see S. Marchesini, Y.-C. Tu and H.-T. Wu, *Appl. Comput.
Harmon. Anal.* 41, 815, 2016).
The strongest overlaps give a first guess, one tree of them through all images that hang together.
"""

import heapq

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

Real = NDArray[np.float64]

PRIOR = 1e-2
"""Belief in the phases that images come with, relative to that in their overlaps: what overlaps
nothing keeps its phase, and a long chain does not drift away from what all its members say."""

ROUNDS = 10
ENOUGH = 1e-4
"""Radians by which no phase changes any more."""


def synchronise(
    pairs: NDArray[np.int64],
    products: NDArray[np.complex128],
    energies: Real,
    *,
    prior: float = PRIOR,
) -> NDArray[np.complex128]:
    """Return the phase factor of each image that makes all agree where they overlap.

    Parameters
    ----------
    pairs : (m, 2) int array
        The two images, different ones, of each overlap.
    products : (m,) complex array
        Sum over the overlap of conj(first) times second.
    energies : (n,) real array
        Squared norm of each image.
    prior
        Weight, relative to its energy, of the phase that an image came with.

    Returns
    -------
    (n,) complex128 array
        To multiply the images with, of modulus one.

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
    """Return phases that the strongest overlaps fit exactly, of each island near those it had."""
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
        island: list[int] = []
        waiting = [(0.0, seed, 0.0)]
        while waiting:
            _, k, value = heapq.heappop(waiting)
            if reached[k]:
                continue
            theta[k], reached[k] = value, True
            island.append(k)
            for size, other, angle in around[k]:
                heapq.heappush(waiting, (size, other, value + angle))
        theta[island] -= np.angle(np.sum(energies[island] * np.exp(1j * theta[island])))
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
    wanted = 1e-12 * power
    for _ in range(10 * n):
        if power <= wanted:
            break
        image = apply(direction)
        step = power / (direction @ image)
        x += step * direction
        residual -= step * image
        scaled = residual / diagonal
        power, before = residual @ scaled, power
        direction = scaled + (power / before) * direction
    return x
