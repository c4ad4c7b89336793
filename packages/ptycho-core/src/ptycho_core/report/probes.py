"""Probes in a report."""

from typing import Any

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from ptycho_data.views import COVERED, object_views

from ptycho_core.report.drawings import picture
from ptycho_core.report.elements import Content

__all__ = ["MODES", "probe_pictures"]

#: Modes of a probe that are drawn, at most, and longest side of their pictures.
MODES, PROBE_SIDE = 4, 192


def probe_pictures(
    modes: NDArray[np.complexfloating[Any]], pixel_size_m: float | None
) -> list[Content]:
    """Draw amplitude and phase of the strongest modes (M, N, N) of a probe, with their power."""
    power = np.array([np.sum(np.abs(mode) ** 2, dtype=np.float64) for mode in modes])
    drawn: list[Content] = []
    for number in np.argsort(-power, kind="stable")[:MODES]:
        name = f", mode {number}" if len(modes) > 1 else ""
        amplitude, phase = object_views(modes[number], suffix=name, longest_side=PROBE_SIDE)
        light = amplitude.image**2
        # a phase means nothing where there is hardly any light, and goes round elsewhere
        lit = np.ma.masked_where(light <= COVERED * light.max(), phase.image)
        phase = evolve(phase, image=lit, limits=(-np.pi, np.pi), colours="twilight_shifted")
        share = f"{power[number] / (power.sum() or 1):.1%} of the power" if len(modes) > 1 else ""
        drawn.append(picture(amplitude, pixel_size_m, note=share))
        where = f"where there is {COVERED:.0%} of the brightest"
        drawn.append(picture(phase, pixel_size_m, note=where))
    return drawn
