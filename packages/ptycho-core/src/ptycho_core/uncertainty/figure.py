"""The picture of standard errors."""

from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from ptycho_data import Reconstruction
from ptycho_data.figures import add_caption, draw, new_figure
from ptycho_data.views import ScannedArea, View, object_views

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_uncertainty"]


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
    parts = (
        ("Standard error of the amplitude", "amplitude", rec.amplitude_error),
        ("Standard error of the phase", "phase / rad", rec.phase_error),
    )
    for axes, (title, label, errors) in zip(panels, parts, strict=True):
        draw(axes, _view(rec, title, label, errors), rec.pixel_size_m)
    add_caption(figure, caption)
    return figure


def _view(rec: Reconstruction, title: str, label: str, errors: NDArray[np.float32] | None) -> View:
    """Return the view of one map, in the frame of the object, from zero up.

    Where there is no error the coverage counts as zero: nothing is drawn there.
    """
    if errors is None:
        raise ValueError(f"{title}: the reconstruction has none")
    known = np.isfinite(errors)
    origin = (float(rec.origin[0]), float(rec.origin[1]))
    values, coverage = np.where(known, errors, 0), np.where(known, rec.coverage, 0)
    area = ScannedArea.of(rec.positions + rec.origin, rec.N)
    view, _ = object_views(values, coverage, origin, area=area)
    limits = (0.0, max(view.limits[1], 1e-6))
    return evolve(view, title=title, label=label, limits=limits, colours="magma")
