"""The verdict on a result: its R-factor over the one that photon noise alone gives.

An R-factor alone says little: 0.13 is right for a scan of few photons, and 0.006 is wrong for one
whose detector gaps were taken for light. The model's own rates tell which R-factor their photon
noise would give. A ratio near one means that the patterns are explained up to their noise; below
one, that noise was fitted as well.
"""

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data import Reconstruction, Scan
from ptycho_physics import expected_counts, extract_patches
from ptycho_physics.metrics import noise_r_factor_sums, r_factor_sums

from ptycho_core.cautions import Caution

__all__ = ["Verdict", "judge"]

#: Patterns that are compared, spread evenly over those of the reconstruction.
JUDGED_PATTERNS = 128
#: A result is doubted if both its ratio and its misfit beyond the noise are larger: on a scan of
#: very many photons any small error is many times the noise.
DOUBTFUL_RATIO = 1.15
DOUBTFUL_EXCESS = 0.12


@frozen(kw_only=True)
class Verdict:
    """How well a result explains its patterns.

    Attributes
    ----------
    r_factor : float
        ``sum|sqrt(rate) - sqrt(counts)| / sum sqrt(counts)`` of some patterns, with one factor on
        all rates that fits best.
    noise : float
        The R-factor that photon noise of these rates gives on average.
    """

    r_factor: float
    noise: float

    @property
    def ratio(self) -> float:
        """R-factor over that of photon noise: one for a model that is right."""
        return self.r_factor / self.noise

    @property
    def excess(self) -> float:
        """The part of the R-factor that noise does not explain, ``sqrt(R^2 - noise^2)``."""
        return float(np.sqrt(max(0.0, self.r_factor**2 - self.noise**2)))

    @property
    def doubtful(self) -> bool:
        """Whether the result explains its patterns badly."""
        return self.ratio > DOUBTFUL_RATIO and self.excess > DOUBTFUL_EXCESS

    @property
    def cautions(self) -> list[Caution]:
        """The doubt about a result that explains its patterns badly, if it does."""
        if not self.doubtful:
            return []
        return [
            Caution(
                code="poor-fit",
                text=f"the result explains its patterns badly: its R-factor is {self.ratio:.2f} "
                "times that of photon noise alone, where 1.0 to 1.3 is usual; check the signs and "
                "axes of the positions, the centre of the patterns and bad pixels, and refine the "
                "probe",
                measured={"r_factor": self.r_factor, **self.metrics},
            )
        ]

    @property
    def metrics(self) -> dict[str, float]:
        """The entries of ``metrics.json``."""
        return {"noise_r_factor": self.noise, "r_over_noise": self.ratio}


def judge(rec: Reconstruction, scan: Scan, nphotons: float | None = None) -> Verdict | None:
    """Compare a reconstruction with its patterns and with their photon noise.

    Parameters
    ----------
    rec : Reconstruction
    scan : Scan
        The measured patterns; at most `JUDGED_PATTERNS` of them are read.
    nphotons
        Mean photons per pattern, if the scan holds amplitudes and does not state it.

    Returns
    -------
    Verdict or None
        None if the absolute scale is unknown, so that the noise is.
    """
    if scan.domain == "amplitude" and scan.nphotons is None and nphotons is None:
        return None
    chosen = np.linspace(0, len(rec.indices) - 1, min(len(rec.indices), JUDGED_PATTERNS))
    rows = np.unique(chosen.astype(int))
    counts = scan.counts(rec.indices[rows], nphotons)
    rates = _rates(rec, rows)
    if scan.bad_pixels is not None:
        counts, rates = counts[:, ~scan.bad_pixels], rates[:, ~scan.bad_pixels]
    modulus, amplitude = np.sqrt(rates), np.sqrt(counts)
    power = float(np.sum(rates, dtype=np.float64))
    factor = float(np.sum(modulus * amplitude, dtype=np.float64)) / power if power else 0.0
    misfit, total = r_factor_sums(factor * modulus, amplitude)
    if not (total > 0 and factor > 0):
        return None
    noise, noise_total = noise_r_factor_sums(factor**2 * rates)
    return Verdict(r_factor=float(misfit / total), noise=noise / noise_total)


def _rates(rec: Reconstruction, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Rates (k, N, N) of some patterns, up to a common factor."""
    patches = extract_patches(rec.object, rec.positions[rows], rec.N)
    return np.asarray(expected_counts(patches, rec.probe, 1.0))
