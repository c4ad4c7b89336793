"""Diffraction patterns in a report."""

import numpy as np
from numpy.typing import NDArray
from ptycho_data.views import View

from ptycho_core.report.drawings import picture
from ptycho_core.report.elements import Content
from ptycho_core.report.pattern_fits import Example
from ptycho_core.report.rasters import reduced

__all__ = ["pattern_pair", "pattern_view"]

#: Longest side of a picture of a pattern.
PATTERN_SIDE = 256


def pattern_view(
    counts: NDArray[np.floating], title: str, highest: float | None = None, *, counted: bool = True
) -> View:
    """Make a view of a pattern (N, N) as square roots; NaN are bad pixels.

    Parameters
    ----------
    counts
        Counts, or what is proportional to them.
    title
        Above it.
    highest
        Value of the last colour; by default of the brightest but one of a thousand pixels.
    counted
        Whether they are photons.
    """
    side = counts.shape[-1]
    values = np.sqrt(reduced(counts, PATTERN_SIDE))
    top = brightness(counts) if highest is None else highest
    return View(
        image=np.ma.masked_invalid(values),
        title=title,
        label="√counts" if counted else "amplitude",
        limits=(0.0, top),
        colours="inferno",
        extent=(-0.5, side - 0.5, side - 0.5, -0.5),
    )


def brightness(counts: NDArray[np.floating]) -> float:
    """Square root of counts that all but one of a thousand pixels have less than."""
    known = counts[np.isfinite(counts)]
    return float(np.sqrt(np.percentile(known, 99.9))) or 1.0 if known.size else 1.0


def pattern_pair(name: str, example: Example, *, counted: bool) -> list[Content]:
    """Draw a pattern as measured and as modelled, with the same colours."""
    highest = brightness(example.measured)
    note = f"pattern {example.number}, R-factor {example.r_factor:.4f}"
    return [
        picture(pattern_view(values, f"{name.capitalize()}, {kind}", highest, counted=counted),
                note=note)
        for kind, values in (("measured", example.measured), ("modelled", example.modelled))
    ]  # fmt: skip
