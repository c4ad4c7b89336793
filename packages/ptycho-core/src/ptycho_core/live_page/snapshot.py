"""What a run looks like at one moment."""

from typing import Self

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

    @classmethod
    def of(
        cls,
        rec: Reconstruction,
        row: int,
        counts: NDArray[np.floating],
        bad_pixels: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Set a pattern beside what object, probe and position make of it.

        Parameters
        ----------
        rec
            The reconstruction so far.
        row
            Which of its patterns.
        counts : (N, N) array
            The pattern, as counts in any unit: the model is scaled to fit it.
        bad_pixels : (N, N) bool array, optional
            True where the detector is bad.
        """
        # the process of the page reads snapshots, and makes none
        from ptycho_physics import coarse_intensity, expected_counts, extract_patches

        patch = extract_patches(rec.object, rec.positions[row : row + 1], rec.N)
        counts = np.array(counts, dtype=np.float64)
        sampling = rec.N // counts.shape[-1]
        if sampling == 1:
            (light,) = expected_counts(patch, rec.probe, 1.0)
        else:
            (light,) = coarse_intensity(patch, rec.probe, sampling)
        rates = np.asarray(light, dtype=np.float64)
        good = np.ones(counts.shape, bool) if bad_pixels is None else ~bad_pixels
        power = float(rates[good].sum())
        scale = float(np.sqrt(rates * counts)[good].sum()) / power if power else 0.0
        return cls(
            reconstruction=rec,
            measured=np.where(good, counts, np.nan),
            modelled=np.where(good, scale**2 * rates, np.nan),
            pattern=f"pattern {rec.indices[row]}",
        )
