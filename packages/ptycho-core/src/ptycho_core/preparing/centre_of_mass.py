"""What the centres of mass of patterns say about the rotation between scan and detector.

The centre of mass of a pattern is the gradient of the phase of the object, averaged over the beam
(K. Muller et al., Nat. Commun. 5, 5653 (2014)). Gradients have no curl, unless the axes of scan and
detector are turned against each other.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["centres_of_mass", "curl_free_angle"]

#: Neighbours from which the derivatives at a position are fitted.
NEIGHBOURS = 9
#: Largest part of the derivatives that is curl at a trustworthy angle: noise has as much of both.
TRUSTED = 0.25


def centres_of_mass(
    counts: NDArray[np.floating], mask: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return the centres of mass of patterns, in pixels from ``[N//2, N//2]``.

    Parameters
    ----------
    counts : (n, N, N) real array
    mask : (N, N) bool array, optional
        Bad pixels.

    Returns
    -------
    (n, 2) float64 array
        ``(x, y)``; zero for patterns without light.
    """
    wide = counts.astype(np.float64) if mask is None else np.where(mask, 0.0, counts)
    pixels = np.arange(counts.shape[-1]) - counts.shape[-1] // 2
    total = np.maximum(wide.sum(axis=(1, 2)), np.finfo(np.float64).tiny)
    along = [(wide.sum(axis=axis) * pixels).sum(axis=1) / total for axis in (1, 2)]
    return np.stack(along, axis=1)


def curl_free_angle(centres: NDArray[np.float64], positions: NDArray[np.float64]) -> float | None:
    """Return by how much positions must be turned so that the centres of mass have no curl.

    Parameters
    ----------
    centres : (n, 2) float64 array
        Centres of mass ``(x, y)``.
    positions : (n, 2) float64 array
        Of the patterns, ``(x, y)``.

    Returns
    -------
    float or None
        Degrees from x to y, from -90 to 90: the opposite angle has no curl either. None if there
        are too few patterns, or their noise hides it.
    """
    from scipy.spatial import cKDTree  # takes long to import

    if len(positions) < 2 * NEIGHBOURS:
        return None
    _, near = cKDTree(positions).query(positions, k=NEIGHBOURS)
    offsets = positions[near] - positions[near].mean(axis=1, keepdims=True)
    values = centres[near] - centres[near].mean(axis=1, keepdims=True)
    # slopes[:, a, b]: change of component b along axis a
    slopes = np.linalg.pinv(offsets) @ values
    curl = slopes[:, 0, 1] - slopes[:, 1, 0]
    divergence = slopes[:, 0, 0] + slopes[:, 1, 1]
    products = [[curl @ curl, curl @ divergence], [curl @ divergence, divergence @ divergence]]
    weights, vectors = np.linalg.eigh(np.array(products))
    if not weights[0] < TRUSTED * weights[1]:
        return None
    # turning the centres by an angle leaves cos(angle) curl + sin(angle) divergence
    angle = float(np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0])))
    return (-angle + 90) % 180 - 90
