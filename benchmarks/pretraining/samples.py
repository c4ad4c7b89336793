"""Random samples: cells, wires, stars, grains, circuits, lattices, textures, particles."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from ptycho_physics import random_cells
from ptycho_physics.objects import line_object
from scipy import ndimage
from scipy.spatial import cKDTree

from pretraining._random import Real, Rng, log_uniform, power_law_field, smooth_field

Shape = tuple[int, int]


def random_sample(rng: Rng, shape: Shape) -> NDArray[np.complex64]:
    """Draw a transmission (H, W): phase of 0.1 to 3 rad of either sign, with absorption."""
    plane = _plane(rng, shape)
    if rng.random() < 0.5:
        plane = plane + rng.uniform(0.1, 1) * _plane(rng, shape)
    if rng.random() < 0.3:
        slow = smooth_field(rng, shape, log_uniform(rng, 15, 80))
        plane = plane + 0.3 * rng.uniform(0.1, 0.8) * slow
    plane = plane / (np.abs(plane).max() + 1e-9)
    phase = log_uniform(rng, 0.1, 3) * rng.choice([-1, 1]) * plane
    absorption = np.clip(plane if rng.random() < 0.6 else _plane(rng, shape), 0, 1)
    return np.exp(-log_uniform(rng, 0.01, 1.2) * absorption + 1j * phase).astype(np.complex64)


def _plane(rng: Rng, shape: Shape) -> Real:
    """Draw one image between zero and one."""
    image = KINDS[rng.integers(len(KINDS))](rng, shape)
    image = image - image.min()
    image = image / (image.max() + 1e-9)
    if rng.random() < 0.6:
        image = ndimage.gaussian_filter(image, log_uniform(rng, 0.4, 1.5))
    return np.asarray(image)


def _cells(rng: Rng, shape: Shape) -> Real:
    return np.angle(random_cells(shape, seed=int(rng.integers(2**30))))


def _wires(rng: Rng, shape: Shape) -> Real:
    return np.angle(line_object(shape, seed=int(rng.integers(2**30))))


def _star(rng: Rng, shape: Shape) -> Real:
    y, x = np.mgrid[: shape[0], : shape[1]]
    x0, y0 = rng.uniform(0.1, 0.9, 2) * shape[::-1]
    angle, radius = np.arctan2(y - y0, x - x0), np.hypot(y - y0, x - x0)
    spokes = np.sin(rng.integers(12, 60) * angle + rng.uniform(0, 6)) > 0
    period = log_uniform(rng, 15, 80)
    rings = radius % period > period * rng.uniform(0.05, 0.3)
    return np.asarray(spokes * rings * (radius > rng.uniform(0, 12)), float)


def _grains(rng: Rng, shape: Shape) -> Real:
    number = int(log_uniform(rng, 10, 400))
    seeds = cKDTree(rng.uniform(0, 1, (number, 2)) * shape)
    _, nearest = seeds.query(np.indices(shape).reshape(2, -1).T)
    return np.asarray(rng.uniform(0, 1, number)[nearest].reshape(shape))


def _circuit(rng: Rng, shape: Shape) -> Real:
    image = np.zeros(shape)
    for _ in range(int(log_uniform(rng, 10, 150))):
        height, width = (int(log_uniform(rng, 2, 60)) for _ in range(2))
        if rng.random() < 0.4:  # a conductor
            height, width = (max(2, height // 6), width) if rng.random() < 0.5 else (height, 2)
        y, x = rng.integers(-10, shape[0]), rng.integers(-10, shape[1])
        inside = np.s_[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        value = rng.uniform(0.3, 1)
        image[inside] = value if rng.random() < 0.7 else image[inside] + value
    return image


def _lattice(rng: Rng, shape: Shape) -> Real:
    y, x = np.mgrid[: shape[0], : shape[1]]
    period, turn, angle = rng.uniform(5, 20), rng.uniform(0, np.pi), rng.uniform(1, np.pi / 2)
    waves = sum(
        np.cos(2 * np.pi * (x * np.cos(t) + y * np.sin(t)) / period) for t in (turn, turn + angle)
    )
    return np.exp(rng.uniform(0.5, 2.5) * np.asarray(waves))


def _texture(rng: Rng, shape: Shape) -> Real:
    return power_law_field(rng, shape, log_uniform(rng, 20, 200), rng.uniform(1, 2.2))


def _islands(rng: Rng, shape: Shape) -> Real:
    field = smooth_field(rng, shape, log_uniform(rng, 2, 12))
    return np.asarray(field > rng.uniform(-1, 1), float)


def _particles(rng: Rng, shape: Shape) -> Real:
    places = rng.random(shape) < log_uniform(rng, 0.001, 0.02)
    return np.asarray(ndimage.gaussian_filter(places.astype(float), rng.uniform(0.7, 4)))


KINDS: tuple[Callable[[Rng, Shape], Real], ...] = (
    _cells,
    _wires,
    _star,
    _grains,
    _circuit,
    _lattice,
    _texture,
    _islands,
    _particles,
)
