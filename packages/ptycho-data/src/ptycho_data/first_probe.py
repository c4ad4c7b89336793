"""A first probe for files that have none."""

import numpy as np
from numpy.typing import NDArray

from ptycho_data.lazy import Stack
from ptycho_data.stacks import release

__all__ = ["first_probe"]

#: Patterns to average, spread over the scan.
_PATTERNS = 256


def first_probe(
    stack: Stack, bad_pixels: NDArray[np.bool_] | None, domain: str
) -> NDArray[np.complex64]:
    """Make a probe from the mean pattern, as if the object were nothing and the probe in focus.

    The far field of the probe alone has the mean intensity, roughly; its phase is taken as flat.
    That is a start for refinement, not a probe (Thibault et al., Ultramicroscopy 109, 338 (2009)
    start from less).

    Parameters
    ----------
    stack : (n, N, N)
        Patterns; at most 256 of them are read.
    bad_pixels : (N, N) bool, optional
        Taken as dark.
    domain : {"counts", "amplitude"}
        What the patterns are.

    Returns
    -------
    ndarray, (1, N, N) complex64
        Centred at ``[N//2, N//2]``, of unit power.
    """
    chosen = np.unique(np.linspace(0, len(stack) - 1, min(len(stack), _PATTERNS)).astype(int))
    total = np.zeros(stack.shape[1:])
    for index in chosen:
        values = np.asarray(stack[index], dtype=np.float64)
        total += values if domain == "counts" else values**2
        release(stack)  # a page fault brings in far more than one pattern
    if bad_pixels is not None:
        total[bad_pixels] = 0
    if not total.any():
        total[:] = 1  # dark in all that was looked at: some probe is needed all the same
    field = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(np.sqrt(total))))
    probe: NDArray[np.complex64] = (field / np.linalg.norm(field)).astype(np.complex64)
    return probe[np.newaxis]
