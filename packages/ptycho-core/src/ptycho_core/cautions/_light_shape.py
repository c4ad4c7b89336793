"""Where the light of a scan falls: pure functions on patterns."""

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

__all__ = [
    "Floor",
    "Movement",
    "Offset",
    "bunching",
    "edge_brightness",
    "floor_of",
    "movement",
    "offset",
]

Pixels = NDArray[np.bool_]
Pattern = NDArray[np.float64]

#: Smaller shifts, in pixels, are not told from rest.
SMALLEST_SHIFT = 2.5


@frozen
class Offset:
    """The shift that fits best, and how much better it fits than none.

    Attributes
    ----------
    x, y : float
        Columns and rows, in pixels.
    correlation : float
        Normalised correlation of amplitudes with the reference at this shift.
    misfit : float
        ``1 - correlation`` over that without a shift: small if the shift explains the difference.
    """

    x: float
    y: float
    correlation: float
    misfit: float

    @property
    def distance(self) -> float:
        """Length of the shift, in pixels."""
        return float(np.hypot(self.x, self.y))


def offset(mean: Pattern, clean: Pixels, reference: Pattern | None) -> Offset:
    """Measure by how much the light is off the middle.

    Parameters
    ----------
    mean : (N, N) array
        Mean intensity.
    clean : (N, N) bool array
        Pixels to look at.
    reference : (N, N) array, optional
        The light in the middle. Without it, the light itself turned by half a turn about the
        middle: the far field of most probes is symmetric, or nearly.
    """
    N = len(mean)
    light = np.sqrt(np.where(clean, mean, 0))
    if reference is None:
        turned = np.roll(light[::-1, ::-1], (1 - N % 2,) * 2, axis=(0, 1))
        found = _best_shift(light, turned, clean)
        return Offset(found.x / 2, found.y / 2, found.correlation, found.misfit)
    return _best_shift(light, np.sqrt(reference), clean)


def _best_shift(light: Pattern, reference: Pattern, clean: Pixels) -> Offset:
    """Correlate over clean pixels alone, for every shift of the reference."""
    N, weight = len(light), clean.astype(np.float64)
    overlap = _correlate(weight * light, reference)
    power = np.maximum(_correlate(weight, reference**2), 1e-12 * (reference**2).sum())
    quality = overlap / np.sqrt((weight * light**2).sum() * power)
    row, column = np.unravel_index(int(quality.argmax()), quality.shape)
    y, x = ((int(i) + N // 2) % N - N // 2 for i in (row, column))
    best, none = float(quality[row, column]), float(quality[0, 0])
    return Offset(x, y, best, (1 - best) / max(1 - none, 1e-9))


def _correlate(a: Pattern, b: Pattern) -> Pattern:
    """Circular correlation: entry s is the sum of ``a(r + s) b(r)`` over r."""
    return np.asarray(np.fft.ifft2(np.fft.fft2(a) * np.conj(np.fft.fft2(b))).real)


def edge_brightness(pattern: Pattern, clean: Pixels) -> float:
    """Mean of the outer eighth on each side over that of the whole pattern."""
    N = len(pattern)
    edge = np.ones((N, N), bool)
    edge[N // 8 : N - N // 8, N // 8 : N - N // 8] = False
    if not (edge & clean).any() or not pattern[clean].any():
        return 0.0
    return float(pattern[edge & clean].mean() / pattern[clean].mean())


@frozen
class Floor:
    """The darkest pixels of a scan.

    Attributes
    ----------
    level : float
        Light that nine of ten pixels exceed on average, in units of the patterns.
    share : float
        That level in every pixel, as a part of all light.
    rise : float
        Brighter of the dark pixels (30 %) over darker ones (5 %).
    bunching : float
        `bunching` of the dark pixels.
    """

    level: float
    share: float
    rise: float
    bunching: float


def floor_of(photons: NDArray[np.floating], mean: Pattern, clean: Pixels) -> Floor | None:
    """Measure the darkest pixels; None without light in them.

    Parameters
    ----------
    photons : (k, N, N) array
        Patterns in photons.
    mean : (N, N) array
        Their mean.
    clean : (N, N) bool array
    """
    ranked = np.sort(mean[clean])
    darkest, level, darker = (float(ranked[int(part * len(ranked))]) for part in (0.05, 0.1, 0.3))
    if not darkest > 0:
        return None
    share = level * len(ranked) / float(ranked.sum())
    return Floor(level, share, darker / darkest, bunching(photons, clean & (mean <= darker)))


def bunching(photons: NDArray[np.floating], chosen: Pixels) -> float:
    """``<n (n - 1)> / <n>^2`` over the patterns, of some pixels with light.

    One for steady light, of which noise is all that changes; two for speckle (J. Goodman,
    *Statistical Optics*, ch. 6).

    Parameters
    ----------
    photons : (k, N, N) array
        Patterns in photons.
    chosen : (N, N) bool array
    """
    n = photons[:, chosen].astype(np.float64)
    return float((n * (n - 1)).mean(axis=0).sum() / (n.mean(axis=0) ** 2).sum())


@frozen
class Movement:
    """How the changes of patterns move with the positions.

    Attributes
    ----------
    factor : float
        Detector pixels for each pixel of the positions.
    correlation : float
        Mean correlation of pairs of patterns, shifted by that factor times their movement.
    at_rest : float
        The same without a shift, and its neighbourhood.
    significance : float
        That correlation over its standard deviation for unrelated patterns.
    """

    factor: float
    correlation: float
    at_rest: float
    significance: float


def movement(
    first: NDArray[np.floating], second: NDArray[np.floating], moved: Pattern
) -> Movement | None:
    """Find the factor by which patterns follow their positions.

    All pairs are judged together, so that few photons suffice.

    Parameters
    ----------
    first, second : (k, N, N) arrays
        Pairs of patterns without their mean.
    moved : (k, 2) array
        From the position of the first to that of the second, ``(x, y)`` in pixels, not zero.

    Returns
    -------
    Movement or None
        None if nothing changes.
    """
    from scipy.ndimage import map_coordinates  # takes long to import

    N = first.shape[-1]
    norms = np.sqrt((first**2).sum(axis=(1, 2)) * (second**2).sum(axis=(1, 2)))
    used = norms > 0
    if not used.any():
        return None
    step = float(np.median(np.hypot(*moved[used].T)))
    pixels = np.arange(SMALLEST_SHIFT, N / 3, 0.5)
    factors = np.concatenate([-pixels[::-1], pixels]) / step
    total, rest, variance = np.zeros(len(factors)), 0.0, 0.0
    for a, b, vector, norm in zip(first[used], second[used], moved[used], norms[used], strict=True):
        quality = _correlate(b, a) / norm
        variance += float(quality.var())
        rest += float(np.roll(quality, (1, 1), axis=(0, 1))[:3, :3].max())
        at = vector[::-1, None] * factors
        total += map_coordinates(quality, at, order=1, mode="grid-wrap")
    number, best = int(used.sum()), int(total.argmax())
    return Movement(
        factor=float(factors[best]),
        correlation=float(total[best]) / number,
        at_rest=rest / number,
        significance=float(total[best] / np.sqrt(variance)),
    )
