"""Pictures of standard errors."""

from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from ptycho_data import Reconstruction
from ptycho_data.figures import add_caption, draw, new_figure
from ptycho_data.views import ScannedArea, View, object_views

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_uncertainty", "uncertainty_views"]


def draw_uncertainty(rec: Reconstruction, *, caption: str = "") -> "Figure":
    """Draw the standard errors of amplitude and phase, where the object is drawn.

    Parameters
    ----------
    rec : Reconstruction
        With both errors.
    caption
        Line below the picture.

    Raises
    ------
    MissingPackageError
        matplotlib is not installed.
    """
    figure = new_figure(9.4, 4.4)
    panels = figure.subplots(1, 2)
    for axes, view in zip(panels, uncertainty_views(rec), strict=True):
        draw(axes, view, rec.pixel_size_m)
    add_caption(figure, caption)
    return figure


def uncertainty_views(
    rec: Reconstruction, area: ScannedArea | None = None, *, longest_side: int | None = None
) -> tuple[View, View]:
    """Return standard errors of amplitude and phase, in the frame of the object, from zero up.

    Parameters
    ----------
    rec : Reconstruction
        With both errors.
    area
        Of its scan; by default of the patterns that were used.
    longest_side
        As for `ptycho_data.views.object_views`.
    """
    if area is None:
        area = ScannedArea.of(rec.positions + rec.origin, rec.N)
    parts = (
        ("Standard error of the amplitude", "amplitude", rec.amplitude_error),
        ("Standard error of the phase", "phase / rad", rec.phase_error),
    )
    amplitude, phase = (_view(rec, area, longest_side, *part) for part in parts)
    return amplitude, phase


def _view(
    rec: Reconstruction,
    area: ScannedArea,
    longest_side: int | None,
    title: str,
    label: str,
    errors: NDArray[np.float32] | None,
) -> View:
    """Return the view of one map; where there is no error the coverage counts as zero."""
    if errors is None:
        raise ValueError(f"{title}: the reconstruction has none")
    known = np.isfinite(errors)
    origin = (float(rec.origin[0]), float(rec.origin[1]))
    values, coverage = np.where(known, errors, 0), np.where(known, rec.coverage, 0)
    view, _ = object_views(values, coverage, origin, area=area, longest_side=longest_side)
    limits = (0.0, max(view.limits[1], 1e-6))
    return evolve(view, title=title, label=label, limits=limits, colours="magma")
