"""Checks of the values of patterns: where the light is, and what the detector did to it."""

from collections.abc import Iterator

from ptycho_core.cautions._caution import Caution
from ptycho_core.cautions._facts import ScanFacts
from ptycho_core.centring import corner_centring_advice, region_intensities
from ptycho_core.formatting import format_number
from ptycho_core.scan_statistics import photon_statistics, saturation

__all__ = ["corner_centred", "few_photons", "saturated"]

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


def saturated(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt a plateau at the largest value, as a saturated detector produces it."""
    found = saturation(facts.scan)
    if found.suspected:
        yield Caution(
            code="saturated",
            text=f"{found.pixels} pixels in {found.patterns} patterns have the largest value "
            f"{found.largest:g}: the detector may be saturated; mark these pixels in bad_pixels",
            measured={"largest": found.largest, "pixels": found.pixels},
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
