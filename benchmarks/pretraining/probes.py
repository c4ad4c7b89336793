"""Random probes: focused through a pupil with aberrations, or given by shape and curvature."""

import numpy as np
from numpy.typing import NDArray
from ptycho_physics import normalise_probe

from pretraining._random import Real, Rng, log_uniform, smooth_field, soft_edge

Complex = NDArray[np.complexfloating]

TRIALS = 20
"""Draws until a probe fits into the pattern in both spaces and lights enough pixels."""

MOST_OUTSIDE = 0.02
"""Largest share of the power near the edge of the patch, and of the detector."""

LEAST_LIT = 30
"""Smallest number of lit pixels."""


def random_probe(rng: Rng, N: int) -> NDArray[np.complex64]:
    """Draw a probe (M, N, N) of one to four modes at unit power."""
    for _ in range(TRIALS):
        probe = _through_pupil(rng, N) if rng.random() < 0.6 else _of_given_shape(rng, N)
        if _fits(probe):
            break
    if rng.random() < 0.3:
        probe = np.roll(probe, rng.integers(-N // 12, N // 12 + 1, 2), (0, 1))
    number = 1 if rng.random() < 0.7 else int(rng.integers(2, 5))
    return normalise_probe(_with_modes(rng, probe, number).astype(np.complex64))


def slightly_wrong(rng: Rng, probe: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Return a probe as it might be known: with smooth errors, and out of its true focus."""
    N, size = probe.shape[-1], log_uniform(rng, 0.01, 0.12)
    errors = [
        smooth_field(rng, (N, N), log_uniform(rng, 2, 20))
        + 1j * smooth_field(rng, (N, N), log_uniform(rng, 2, 20))
        for _ in probe
    ]
    wrong = probe * (1 + size * np.stack(errors) / np.sqrt(2))
    if rng.random() < 0.5:
        squared = np.fft.fftfreq(N)[:, None] ** 2 + np.fft.fftfreq(N) ** 2
        defocus = rng.normal() * log_uniform(rng, 0.3, 3) * 160 * np.pi / N
        wrong = np.fft.ifft2(np.fft.fft2(wrong) * np.exp(1j * defocus * squared))
    return normalise_probe(wrong.astype(np.complex64))


def _through_pupil(rng: Rng, N: int) -> Complex:
    """Focus through a zone plate, a Gaussian or slits, out of focus and with aberrations."""
    y, x = np.fft.fftfreq(N)[:, None] * 2, np.fft.fftfreq(N) * 2
    radius, kind, distance = rng.uniform(0.12, 0.7), int(rng.integers(4)), np.hypot(x, y)
    if kind <= 1:
        pupil = soft_edge(radius - distance, 0.02)
    elif kind == 2:
        height = radius * rng.uniform(0.6, 1.4)
        pupil = soft_edge(radius - abs(x), 0.02) * soft_edge(height - abs(y), 0.02)
    else:
        pupil = np.exp(-1.5 * (distance / radius) ** 2)
    if kind == 0 or rng.random() < 0.2:  # a central stop
        pupil = pupil * soft_edge(distance - radius * rng.uniform(0.25, 0.6), 0.02)
    if rng.random() < 0.4:
        uneven = 1 + 0.5 * smooth_field(rng, (N, N), log_uniform(rng, 2, 16))
        pupil = pupil * np.clip(uneven, 0.05, None)
    # defocus such that rays from the rim arrive this many pixels off the axis
    blur = rng.uniform(0, 0.33) * N * rng.choice([-1, 1])
    x, y = x / radius, y / radius
    squared = x * x + y * y
    phase = blur * np.pi * radius / 2 * squared
    if rng.random() < 0.5:
        astigmatism = (x * x - y * y, 2 * x * y)
        others = (
            *(x * (3 * squared - 2), y * (3 * squared - 2)),
            6 * squared**2 - 6 * squared,
            *(x**3 - 3 * x * y * y, 3 * x * x * y - y**3),
        )
        for shape, divisor in [*((a, 1) for a in astigmatism), *((a, 2) for a in others)]:
            phase = phase + rng.standard_normal() * rng.choice([0.3, 1, 2]) * shape / divisor
    return np.asarray(np.fft.fftshift(np.fft.fft2(pupil * np.exp(1j * phase))))


def _of_given_shape(rng: Rng, N: int) -> Complex:
    """Draw a beam of some shape in the plane of the sample, up to strongly divergent."""
    y, x = np.mgrid[:N, :N] - N / 2
    x, y = x - rng.normal() * N / 40, y - rng.normal() * N / 40
    radius, kind = rng.uniform(0.12, 0.33) * N, int(rng.integers(5))
    ratio = rng.uniform(0.7, 1.4) if rng.random() < 0.5 else 1.0
    distance, edge = np.hypot(x * ratio, y / ratio), rng.uniform(0.5, 3)
    if kind in {1, 4}:  # a Gaussian twice as often
        shape = np.exp(-((distance / radius) ** 2))
    elif kind == 2:
        shape = soft_edge(radius - abs(x), edge) * soft_edge(radius - abs(y), edge)
    else:
        shape = soft_edge(radius - distance, edge)
        if kind == 3:
            shape = shape * soft_edge(distance - radius * rng.uniform(0.2, 0.5), edge)
    if rng.random() < 0.6:
        uneven = smooth_field(rng, (N, N), log_uniform(rng, 2, 20))
        shape = shape * np.exp(rng.uniform(0.2, 0.7) * uneven)
    if rng.random() < 0.3:
        shape = shape + _hot_spot(rng, x, y, radius) * shape.max()
    # phase gradient at 1.2 radii up to 0.8 of what the pixels can carry
    steepest = 0.8 * np.pi / (2.4 * radius)
    least = 0.4 if rng.random() < 0.5 else 0.0
    phase = rng.choice([-1, 1]) * rng.uniform(least, 1) * steepest * distance**2
    if rng.random() < 0.5:
        phase = phase + rng.uniform(0, 1.5) * smooth_field(rng, (N, N), log_uniform(rng, 4, 24))
    return np.asarray(shape * np.exp(1j * phase))


def _hot_spot(rng: Rng, x: Real, y: Real, radius: float) -> Real:
    strength, size = rng.uniform(0.5, 3), rng.uniform(2, 6)
    dx, dy = rng.normal(size=2) * radius / 2
    return np.asarray(strength * np.exp(-((x - dx) ** 2 + (y - dy) ** 2) / (2 * size**2)))


def _with_modes(rng: Rng, probe: Complex, number: int) -> Complex:
    """Add weaker modes: the probe times polynomials, as of a partly coherent source, or fields."""
    N = probe.shape[-1]
    y, x = (np.mgrid[:N, :N] - N / 2) / (N / 6)
    factors, modes, power = (x, y, x * y), [probe], 1.0
    for factor in factors[: number - 1]:
        power *= rng.uniform(0.1, 0.6)
        smooth = smooth_field(rng, (N, N), log_uniform(rng, 4, 16))
        mode = probe * (factor if rng.random() < 0.7 else smooth)
        modes.append(mode * np.sqrt(power) * np.linalg.norm(probe) / np.linalg.norm(mode))
    return np.stack(modes)


def _fits(probe: Complex) -> bool:
    """Whether a probe stays inside the patch and the detector, and lights enough pixels."""
    margin = probe.shape[-1] // 10
    light = abs(probe) ** 2
    far = abs(np.fft.fftshift(np.fft.fft2(probe))) ** 2
    outside = [
        1 - part[rim:-rim, rim:-rim].sum() / part.sum()
        for part, rim in ((light, margin), (far, margin // 2))
    ]
    lit = light.sum() ** 2 / (light**2).sum()
    return max(outside) < MOST_OUTSIDE and lit > LEAST_LIT
