"""Checks of the light: how much there is, and where it falls."""

from collections.abc import Iterator

from ptycho_core.cautions._caution import Caution
from ptycho_core.cautions._facts import ScanFacts
from ptycho_core.centring import corner_centring_advice, region_intensities
from ptycho_core.formatting import format_number
from ptycho_core.scan_statistics import photon_statistics

__all__ = ["corner_centred", "few_photons"]

#: Mean photons per pattern below which the result is noisy.
FEW_PHOTONS = 1e4


def corner_centred(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt patterns whose zero frequency seems to lie in the corner."""
    regions = region_intensities(facts.scan)
    if regions is not None and regions.corner_centred:
        yield Caution(
            code="corner-centred",
            text=corner_centring_advice(facts.scan.N),
            measured={"centre": regions.centre, "corners": regions.corners},
        )


def few_photons(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt a scan of so few photons that the result is noisy."""
    photons = photon_statistics(facts.scan)
    if photons is not None and photons.mean < FEW_PHOTONS:
        yield Caution(
            code="few-photons",
            text=f"{format_number(photons.mean)} photons per pattern are few: expect a noisy "
            "result",
            measured={"mean": photons.mean},
        )
