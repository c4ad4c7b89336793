"""What a run looks like at one moment."""

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data import Reconstruction

__all__ = ["Snapshot"]


@frozen(kw_only=True, eq=False)
class Snapshot:
    """The object so far, and one pattern beside what the model makes of it.

    Arrays are neither copied nor changed: give ones that do not change any more.

    Attributes
    ----------
    reconstruction : Reconstruction
        Object, coverage, positions and probe so far.
    measured, modelled : (N, N) array, optional
        Counts of one pattern, zero frequency at pixel ``[N//2, N//2]``: as they were detected, and
        as the model expects them. NaN where a pixel is bad.
    pattern : str
        Which pattern it is, in words: ``pattern 1203``.
    """

    reconstruction: Reconstruction
    measured: NDArray[np.floating] | None = None
    modelled: NDArray[np.floating] | None = None
    pattern: str = ""
