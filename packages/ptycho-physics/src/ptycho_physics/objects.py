"""Objects for simulations: a Siemens star, wires, cells, or any image.

Every object is a thin transmission: a map of absorption and one of phase, both between 0 (empty)
and 1 (thickest), become

    amplitude = a0 * (a1 / a0) ** absorption        (Beer-Lambert)
    phase     = p0 + (p1 - p0) * phase_map          (radians)

with ``amplitude=(a0, a1)`` and ``phase=(p0, p1)``, the values at 0 and at 1. All edges of
shapes are soft over two or three pixels: aliased detail would make sub-pixel positions ambiguous.

Objects multiply: ``siemens_star(...) * random_cells(...)`` is a star in front of cells.
"""

import math

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._shapes import blur, offsets, resize, soft_step, unit

Real = NDArray[np.float64]
Object = NDArray[np.complex64]

AMPLITUDE = (1.0, 0.6)
PHASE = (-0.8, 0.8)

# In pixels: attenuates the Nyquist frequency to less than a tenth.
_BLUR = 0.7


def _transmission(
    absorption: Real, phase_map: Real, amplitude: tuple[float, float], phase: tuple[float, float]
) -> Object:
    if not min(amplitude) > 0:
        raise InvalidValueError("amplitude", "> 0 at both ends", str(amplitude))
    modulus = amplitude[0] * (amplitude[1] / amplitude[0]) ** absorption
    angle = phase[0] + (phase[1] - phase[0]) * phase_map
    return np.asarray(modulus * np.exp(1j * angle), dtype=np.complex64)


def _check_shape(shape: tuple[int, int]) -> None:
    if len(shape) != 2 or min(shape) < 1:
        raise InvalidValueError("shape", "(H, W) with at least one pixel", str(shape))


def siemens_star(
    shape: tuple[int, int],
    *,
    spokes: int = 24,
    radius: float | None = None,
    rings: int = 3,
    edge: float = 2.0,
    amplitude: tuple[float, float] = AMPLITUDE,
    phase: tuple[float, float] = PHASE,
) -> Object:
    """Return a Siemens star, the resolution target whose spokes narrow towards the centre.

    Towards the centre, where spokes are closer than ``edge``, the star fades to grey.

    Parameters
    ----------
    shape
        ``(H, W)`` in pixels.
    spokes
        Number of spokes, >= 1.
    radius
        Radius in pixels; 0.48 of the shorter side if not given.
    rings
        Number of rings the spokes are cut into by narrow gaps, >= 1.
    edge
        Width of the edges in pixels, > 0.
    amplitude
        Amplitude of the empty substrate and of the spokes, > 0.
    phase
        Phase of the empty substrate and of the spokes, in radians.

    Returns
    -------
    (H, W) complex64 array

    Raises
    ------
    InvalidValueError
        If a size is outside its range.
    """
    _check_shape(shape)
    for name, value in (("spokes", spokes), ("rings", rings)):
        if value < 1:
            raise InvalidValueError(name, ">= 1", str(value))
    if not edge > 0:
        raise InvalidValueError("edge", "> 0 pixels", f"{edge:g}")
    radius = 0.48 * min(shape) if radius is None else radius
    x, y = offsets(shape, ((shape[1] - 1) / 2, (shape[0] - 1) / 2))
    r, angle = np.hypot(x, y), np.arctan2(y, x)
    # Distance in pixels to the nearest edge of a spoke, for spokes much narrower than they are far.
    across = np.sin(spokes * angle) * r / spokes
    gap = radius / rings / 24
    rim = np.abs((r / radius * rings + 0.5) % 1 - 0.5) * radius / rings - gap
    first_ring = r < radius / rings / 2  # no gap around the very centre
    cut = np.where(first_ring, radius, rim)
    thickness = soft_step(across, edge) * soft_step(np.minimum(cut, radius - gap - r), edge)
    thickness = blur(thickness, _BLUR)
    return _transmission(thickness, thickness, amplitude, phase)


def line_object(
    shape: tuple[int, int],
    *,
    number: int | None = None,
    width: tuple[float, float] = (2.0, 8.0),
    seed: int = 0,
    amplitude: tuple[float, float] = AMPLITUDE,
    phase: tuple[float, float] = PHASE,
) -> Object:
    """Return straight wires in all directions, each of its own material.

    Absorption and phase of a wire are drawn independently, so that a reconstruction whose phase
    merely copies its amplitude is recognised as wrong.

    Parameters
    ----------
    shape
        ``(H, W)`` in pixels.
    number
        Number of wires; one per 6 pixels of the longer side if not given.
    width
        Smallest and largest diameter of a wire in pixels, > 0.
    seed
        Seed of the random generator.
    amplitude
        Amplitude where nothing and where most is absorbed, > 0.
    phase
        Lowest and highest phase, in radians.

    Returns
    -------
    (H, W) complex64 array

    Raises
    ------
    InvalidValueError
        If a size is outside its range.
    """
    _check_shape(shape)
    number = max(max(shape) // 6, 1) if number is None else number
    if number < 1:
        raise InvalidValueError("number", ">= 1", str(number))
    if not 0 < width[0] <= width[1]:
        raise InvalidValueError("width", "(smallest, largest) with 0 < smallest", str(width))
    generator = np.random.default_rng(seed)
    absorption, phase_map = np.zeros(shape), np.zeros(shape)
    for _ in range(number):
        angle = generator.uniform(0, math.pi)
        x, y = offsets(shape, (generator.uniform(0, shape[1]), generator.uniform(0, shape[0])))
        half = generator.uniform(*width) / 2
        distance = np.abs(x * math.sin(angle) - y * math.cos(angle))
        # A round wire, with its edge spread over a pixel.
        profile = np.sqrt(np.clip(1 - (distance / (half + 0.5)) ** 2, 0, 1))
        absorption += generator.uniform(0.2, 1.0) * profile
        phase_map += generator.uniform(0.3, 1.0) * generator.choice((-1.0, 1.0)) * profile
    # Saturate where many wires cross, so that crossings do not set the contrast.
    absorption, phase_map = blur(1 - np.exp(-absorption), _BLUR), blur(np.tanh(phase_map), _BLUR)
    return _transmission(absorption, unit(phase_map), amplitude, phase)


def random_cells(
    shape: tuple[int, int],
    *,
    number: int | None = None,
    radius: tuple[float, float] = (8.0, 20.0),
    seed: int = 0,
    amplitude: tuple[float, float] = AMPLITUDE,
    phase: tuple[float, float] = PHASE,
) -> Object:
    """Return randomly placed round cells, each with a membrane and a nucleus.

    Cell bodies shift the phase and hardly absorb; nuclei absorb: amplitude and phase differ.

    Parameters
    ----------
    shape
        ``(H, W)`` in pixels.
    number
        Number of cells; if not given, enough to cover the object about once.
    radius
        Smallest and largest radius of a cell in pixels, > 0.
    seed
        Seed of the random generator.
    amplitude
        Amplitude where nothing and where most is absorbed, > 0.
    phase
        Lowest and highest phase, in radians.

    Returns
    -------
    (H, W) complex64 array

    Raises
    ------
    InvalidValueError
        If a size is outside its range.
    """
    _check_shape(shape)
    if not 0 < radius[0] <= radius[1]:
        raise InvalidValueError("radius", "(smallest, largest) with 0 < smallest", str(radius))
    if number is None:
        number = max(round(shape[0] * shape[1] / (math.pi * (sum(radius) / 2) ** 2)), 1)
    if number < 1:
        raise InvalidValueError("number", ">= 1", str(number))
    generator = np.random.default_rng(seed)
    absorption, phase_map = np.zeros(shape), np.zeros(shape)
    for _ in range(number):
        _add_cell(absorption, phase_map, generator.uniform(*radius), generator)
    absorption, phase_map = (blur(1 - np.exp(-a), _BLUR) for a in (absorption, phase_map))
    return _transmission(absorption, phase_map, amplitude, phase)


def _add_cell(
    absorption: Real, phase_map: Real, radius: float, generator: np.random.Generator
) -> None:
    """Add one cell to both maps, in the window that contains it."""
    H, W = absorption.shape
    cx, cy = generator.uniform(0, W), generator.uniform(0, H)
    reach = math.ceil(1.4 * radius) + 2
    top, left = max(int(cy) - reach, 0), max(int(cx) - reach, 0)
    window = np.s_[top : int(cy) + reach + 1, left : int(cx) + reach + 1]
    x, y = offsets(absorption[window].shape, (cx - left, cy - top))
    # An outline of a few low harmonics: round, but no two alike.
    angle = np.arctan2(y, x)
    outline = np.ones_like(angle)
    for harmonic, strength in ((2, 0.16), (3, 0.08), (5, 0.04)):
        phase = generator.uniform(0, 2 * math.pi)
        outline += generator.uniform(0, strength) * np.cos(harmonic * angle + phase)
    distance = np.hypot(x, y)
    inside = radius * outline - distance
    body = soft_step(inside, 2.0)
    dome = np.sqrt(np.clip(1 - (distance / (radius * outline)) ** 2, 0, 1))
    membrane = body * np.exp(-((inside / 2.0 - 0.5) ** 2))
    nx, ny = generator.uniform(-0.25, 0.25, 2) * radius
    nucleus = soft_step(0.35 * radius - np.hypot(x - nx, y - ny), 2.0)
    strength = generator.uniform(0.6, 1.0)
    phase_map[window] += strength * (0.9 * dome + 0.35 * membrane + 0.2 * nucleus)
    absorption[window] += strength * (0.25 * body + 0.2 * membrane + 1.1 * nucleus)


def object_from_image(
    image: NDArray[np.generic],
    *,
    phase_image: NDArray[np.generic] | None = None,
    shape: tuple[int, int] | None = None,
    amplitude: tuple[float, float] = AMPLITUDE,
    phase: tuple[float, float] = PHASE,
) -> Object:
    """Make an object of a grey image.

    Each image is scaled from its darkest to its brightest pixel.

    Parameters
    ----------
    image : (h, w) real array
        Grey values of any real dtype; bright means thick.
    phase_image : real array, optional
        A second image for the phase; without it ``image`` is used for both. It is resized to the
        shape of the object.
    shape
        ``(H, W)`` to resize to, bilinearly and anti-aliased; that of the image if not given.
    amplitude
        Amplitude of the darkest and of the brightest pixel, > 0.
    phase
        Phase of the darkest and of the brightest pixel, in radians.

    Returns
    -------
    (H, W) complex64 array

    Raises
    ------
    InvalidValueError
        If an image is not a 2-D array of finite real numbers.
    """
    first = _grey(image, "image")
    shape = (first.shape[0], first.shape[1]) if shape is None else shape
    _check_shape(shape)
    absorption = unit(resize(first, shape))
    if phase_image is None:
        return _transmission(absorption, absorption, amplitude, phase)
    phase_map = unit(resize(_grey(phase_image, "phase_image"), shape))
    return _transmission(absorption, phase_map, amplitude, phase)


def _grey(image: NDArray[np.generic], name: str) -> Real:
    array = np.asarray(image)
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "biuf":
        raise InvalidValueError(
            name,
            "a 2-D array of real grey values",
            f"shape {array.shape} of {array.dtype}",
            "convert colour to grey first",
        )
    grey = array.astype(np.float64)
    if not np.all(np.isfinite(grey)):
        raise InvalidValueError(name, "finite", "NaN or infinity")
    return grey
