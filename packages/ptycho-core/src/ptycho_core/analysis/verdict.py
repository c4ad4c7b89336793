"""The verdict on a result: its R-factor over the one that photon noise alone gives.

An R-factor alone says little: 0.13 is right for a scan of few photons, and 0.006 is wrong for one
whose detector gaps were taken for light. The model's own rates tell which R-factor their photon
noise would give. A ratio near one means that the patterns are explained up to their noise; below
one, that noise was fitted as well. A background that was subtracted leaves its noise behind.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import Reconstruction, Scan
from ptycho_physics import expected_counts, extract_patches
from ptycho_physics.metrics import noise_r_factor_sums, r_factor_sums

from ptycho_core.cautions import Caution
from ptycho_core.fitted import Fitted
from ptycho_core.sample_optics import THIN, SampleOptics

__all__ = [
    "JUDGED_PATTERNS",
    "Verdict",
    "describe_fit",
    "drawn_counts",
    "file_name",
    "judge",
    "model_rates",
    "photons_known",
    "picture_caption",
]

#: Patterns that are compared, spread evenly over those of the reconstruction.
JUDGED_PATTERNS = 128
#: A result is doubted if both its ratio and its misfit beyond the noise are larger: on a scan of
#: very many photons any small error is many times the noise.
DOUBTFUL_RATIO = 1.15
DOUBTFUL_EXCESS = 0.12
#: Below this ratio the model follows the noise.
OVERFITTED_RATIO = 0.9
#: More cannot be drawn; noise is nothing there.
_LARGEST_RATE = 1e15


@frozen(kw_only=True)
class Verdict:
    """How well a result explains its patterns.

    Attributes
    ----------
    r_factor : float
        ``sum|sqrt(rate) - sqrt(counts)| / sum sqrt(counts)`` of some patterns, with one factor on
        all rates that fits best.
    noise : float or None
        The R-factor that photon noise of these rates gives on average; None if the number of
        photons is unknown, as for amplitudes without a scale.
    """

    r_factor: float
    noise: float | None

    @property
    def ratio(self) -> float | None:
        """R-factor over that of photon noise: one for a model that is right."""
        return None if self.noise is None else self.r_factor / self.noise

    @property
    def excess(self) -> float:
        """The part of the R-factor that noise does not explain, ``sqrt(R^2 - noise^2)``."""
        return float(np.sqrt(max(0.0, self.r_factor**2 - (self.noise or 0.0) ** 2)))

    @property
    def doubtful(self) -> bool:
        """Whether the result explains its patterns badly."""
        if self.ratio is None:
            return False
        return self.ratio > DOUBTFUL_RATIO and self.excess > DOUBTFUL_EXCESS

    def cautions(self, *, network: bool = False, probed: bool = False) -> list[Caution]:
        """Return the doubt about a result that explains its patterns badly, if it does.

        Parameters
        ----------
        network
            Whether it is the result of a network that was not refined: it may be trained too
            little.
        probed
            Whether its probe was found or refined for this scan already.
        """
        if not self.doubtful:
            return []
        first, last = "", ", and refine the probe"
        if network:
            last = ""
            first = "train the network longer on such scans, or refine its result (--refine 10); "
        if network and not probed:
            first = (
                "find a better probe (ptycho infer --refine-probe, or --first-probe auto if it is "
                f"unknown), {first}"
            )
        return [
            Caution(
                code="poor-fit",
                text=f"the result explains its patterns badly: R-factor {self.r_factor:.3f}, "
                f"{self.ratio:.2f} times that of photon noise alone; {first}check the signs and "
                f"axes of the positions, the centre of the patterns and bad pixels{last}",
                measured={"r_factor": self.r_factor, **self.metrics},
            )
        ]

    @property
    def metrics(self) -> dict[str, float | None]:
        """The entries of ``metrics.json``; None if the number of photons is unknown."""
        return {"noise_r_factor": self.noise, "r_over_noise": self.ratio}


def describe_fit(metrics: Mapping[str, Any]) -> str:
    """R-factor and verdict of ``metrics.json`` as text."""
    text = f"R-factor {metrics['r_factor']:.4f}"
    if "r_over_noise" not in metrics:
        return text
    ratio = metrics["r_over_noise"]
    if ratio is None:
        return f"{text} (photon scale unknown)"
    return f"{text} ({ratio:.2f} times photon noise alone)"


def picture_caption(
    name: str,
    metrics: Mapping[str, Any],
    patterns: int,
    method: str,
    pixel_size_m: float | None = None,
) -> str:
    """Return the caption of pictures of a reconstruction.

    Parameters
    ----------
    name
        Of the scan; may be empty.
    metrics
        R-factor and verdict, and the uncertainty if it was asked for.
    patterns
        Number of patterns that were used.
    method
        What made the reconstruction.
    pixel_size_m
        Object pixel in metres, if known.
    """
    parts = [describe_fit(metrics), f"{patterns} patterns", method]
    if sure := metrics.get("uncertainty"):
        parts.insert(1, f"phase +-{sure['phase_median_rad']:.2g} rad")
    if pixel_size_m is not None:
        parts.append(f"pixel {pixel_size_m * 1e9:.3g} nm")
    return f"{name}: {', '.join(parts)}" if name else ", ".join(parts)


def file_name(scan: Scan) -> str:
    """Return what captions call a scan: the name of its file."""
    return scan.source.name if scan.source is not None else "scan"


def judge(
    rec: Reconstruction,
    scan: Scan,
    nphotons: float | None = None,
    fitted: Fitted = Fitted(),  # noqa: B008 - it is frozen
    optics: SampleOptics = THIN,
) -> Verdict:
    """Compare a reconstruction with its patterns and with their photon noise.

    Parameters
    ----------
    rec : Reconstruction
    scan : Scan
        The measured patterns; at most `JUDGED_PATTERNS` of them are read.
    nphotons
        Mean photons per pattern, if the scan holds amplitudes and does not state it.
    fitted : Fitted
        Light and background of the patterns, if they were fitted.
    optics : SampleOptics
        Near field and slices.

    Returns
    -------
    Verdict
        Without ``noise`` if the number of photons is unknown.

    Raises
    ------
    InvalidValueError
        If the R-factor is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # told as one error, by what comes of it
        verdict = _judge(rec, optics.judged(scan), nphotons, fitted, optics)
    if not math.isfinite(verdict.r_factor):
        advice = "object or probe are of an absurd size: train or solve again"
        raise InvalidValueError("R-factor", "finite", f"{verdict.r_factor}", advice)
    return verdict


def _judge(
    rec: Reconstruction, scan: Scan, nphotons: float | None, fitted: Fitted, optics: SampleOptics
) -> Verdict:
    known = photons_known(scan, nphotons)
    chosen = np.linspace(0, len(rec.indices) - 1, min(len(rec.indices), JUDGED_PATTERNS))
    rows = np.unique(chosen.astype(int))
    counts = scan.counts(rec.indices[rows], nphotons if known else 1.0)
    rates: NDArray[Any] = model_rates(rec, rows, fitted, optics)
    dark = fitted.background_of(rows)
    if scan.bad_pixels is not None:
        counts, rates = counts[:, ~scan.bad_pixels], rates[:, ~scan.bad_pixels]
        dark = None if dark is None else dark[:, ~scan.bad_pixels]
    modulus, amplitude = np.sqrt(rates), np.sqrt(counts)
    power = float(np.sum(rates, dtype=np.float64))
    if dark is None:
        factor = float(np.sum(modulus * amplitude, dtype=np.float64)) / power if power else 0.0
        expected = factor * modulus
    else:
        above = max(0.0, float(np.sum(counts - dark, dtype=np.float64)))
        factor = math.sqrt(above / power) if power else 0.0
        expected = np.sqrt(factor**2 * rates + dark)
    misfit, total = r_factor_sums(expected, amplitude)
    r_factor = float(misfit / total) if total else 0.0
    if not (known and total and factor):  # without light there is no noise
        return Verdict(r_factor=r_factor, noise=None)
    light = factor**2 * rates if dark is None else expected**2
    if scan.background is None or scan.domain != "counts" or not math.isfinite(r_factor):
        noise, noise_total = noise_r_factor_sums(light)
    else:
        noise, noise_total = _noise_with_background(light, scan)
    return Verdict(r_factor=r_factor, noise=noise / noise_total)


def _noise_with_background(light: NDArray[Any], scan: Scan) -> tuple[float, float]:
    """Do as `noise_r_factor_sums` for rates (k, good pixels) of a scan with subtracted counts.

    Counts that are subtracted and clipped at zero have no closed form: noise is drawn, for enough
    pixels to make the sums precise.
    """
    good = slice(None) if scan.bad_pixels is None else ~scan.bad_pixels
    rng = np.random.default_rng(0)
    misfit = total = 0.0
    for rate in light.astype(np.float64):
        amplitude = np.sqrt(drawn_counts(rate, scan, rng, good))
        misfit += float(np.abs(amplitude - np.sqrt(rate)).sum())
        total += float(amplitude.sum())
    return misfit, total or 1.0


def drawn_counts(
    rates: NDArray[np.float64], scan: Scan, rng: np.random.Generator, good: Any = slice(None)
) -> NDArray[np.float64]:
    """Draw counts as a scan has them: with the noise of what was subtracted, clipped at zero.

    Parameters
    ----------
    rates : (..., N, N) float64 array, or (..., good pixels)
        Expected counts of the light.
    scan : Scan
        For what was subtracted.
    rng
        Source of the noise.
    good
        Which pixels of the detector the last axes of `rates` are.
    """
    if scan.background is None:
        return rng.poisson(np.minimum(rates, _LARGEST_RATE)).astype(np.float64)
    background = np.asarray(scan.background, np.float64)[good]
    subtracted = background if scan.subtracted is None else scan.subtracted[good]
    drawn = rng.poisson(np.minimum(rates + background, _LARGEST_RATE))
    return np.asarray(np.maximum(drawn - subtracted, 0.0))


def photons_known(scan: Scan, nphotons: float | None = None) -> bool:
    """Whether the counts of a scan have a scale; `nphotons` is what the user states."""
    return scan.domain == "counts" or scan.nphotons is not None or nphotons is not None


def model_rates(
    rec: Reconstruction,
    rows: NDArray[np.int64],
    fitted: Fitted = Fitted(),  # noqa: B008 - it is frozen
    optics: SampleOptics = THIN,
) -> NDArray[Any]:
    """Rates (k, N, N) of the light of some patterns, up to a common factor.

    With `fitted`, of the light and the probe that each pattern was found to have, on its detector;
    with `optics`, of a thick sample or in the near field.
    """
    probe = fitted.probes_of(rec.probe, rows)
    if optics != THIN or fitted.detector_sampling > 1:
        rates = optics.rates(rec, rows, probe, fitted.detector_sampling)
    else:
        patches = extract_patches(rec.object, rec.positions[rows], rec.N)
        rates = np.asarray(expected_counts(patches, probe, 1.0))
    return rates if fitted.light is None else rates * fitted.light[rows, None, None]
