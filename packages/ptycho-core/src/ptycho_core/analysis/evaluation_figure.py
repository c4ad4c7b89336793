"""Picture of an evaluation: both objects, their differences, and the ring correlation."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from ptycho_data.figures import draw, new_figure
from ptycho_data.views import View, object_views, robust_limits
from ptycho_physics.metrics import Comparison

from ptycho_core.analysis.comparison import Box
from ptycho_core.analysis.ring_correlation import plot_ring_correlation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["difference_view", "draw_evaluation"]

#: Sizes in inches: side of a square picture, smallest and largest side of any, and what titles,
#: labels and a colour bar need beside and below it.
PICTURE, SMALLEST_SIDE, LARGEST_SIDE = 2.9, 1.0, 8.0
LABELS = (1.7, 0.75)
#: Width and height of the column with curve and table, inches.
SIDE = (4.3, 6.6)
#: Gap before a colour bar and its width, inches.
BAR = (0.09, 0.14)
#: Preferred ratio of width to height of the figure.
PAGE = 1.8
#: Reconstruction, reference and difference, of amplitude and of phase.
PANELS = 6


def draw_evaluation(
    comparison: Comparison, box: Box, text: str, *, pixel_size_m: float | None = None
) -> "Figure":
    """Draw amplitude and phase of both objects, their differences, ring correlation and a table.

    Parameters
    ----------
    comparison, box
        From an `ptycho_core.analysis.evaluation.Evaluation`.
    text
        Table of the figures of merit.
    pixel_size_m
        Object pixel in metres, for the scale bar.
    """
    columns, panel = _layout((box[2] - box[0]) / (box[3] - box[1]))
    rows = PANELS // columns
    widths, height = (columns * panel[0], SIDE[0]), max(rows * panel[1], SIDE[1])
    figure = new_figure(sum(widths), height)
    figure.set_layout_engine("constrained", w_pad=0.12)
    parts: Any = figure.subfigures(1, 2, width_ratios=widths)
    pictures, side = parts
    panels = pictures.subplots(rows, columns, squeeze=False)
    # Amplitudes side by side and phases below them, or amplitudes in one column, phases in another.
    axes = (panels.T if columns == 2 else panels).reshape(2, 3)
    corner = (float(box[0]), float(box[1]))
    ours = object_views(comparison.aligned, origin=corner, suffix=", reconstruction")
    theirs = object_views(comparison.reference, origin=corner, suffix=", reference")
    for row, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        # Both use the colour limits of the reference, so that differences in contrast show.
        rescaled = View(
            image=a.image, title=a.title, label=a.label, limits=b.limits, colours=b.colours,
            extent=a.extent,
        )  # fmt: skip
        difference = difference_view(a, b, circular=row == 1)
        for panel_axes, view in zip(axes[row], (rescaled, b, difference), strict=True):
            draw(panel_axes, view, pixel_size_m)
            _fit_colour_bar(panel_axes)
    curve_axes, text_axes = side.subplots(2, 1)
    plot_ring_correlation(curve_axes, comparison.frc, pixel_size_m=pixel_size_m)
    text_axes.axis("off")
    text_axes.text(-0.1, 0.95, text, va="top", family="monospace", size=8)
    return figure


def difference_view(a: View, b: View, *, circular: bool) -> View:
    """Difference of two views with symmetric colour limits; phases modulo 2 pi."""
    values = np.asarray(a.image - b.image)
    if circular:
        values = np.angle(np.exp(1j * values))
    low, high = robust_limits(values)
    limit = max(abs(low), abs(high))
    return View(
        image=np.ma.masked_array(values),
        title=f"{a.title.split(',')[0]}, difference",
        label=a.label,
        limits=(-limit, limit),
        colours="RdBu_r",
        extent=a.extent,
    )


def _fit_colour_bar(axes: Any) -> None:
    """Place the colour bar of a picture beside it, with the height of the picture.

    By default it is as tall as the frame that the picture is centred in, or shorter.
    """
    from matplotlib.transforms import Bbox

    def beside(bar: Any, _renderer: Any) -> Any:
        bar.set_box_aspect(None)  # the layout engine has set one
        axes.apply_aspect()
        picture = axes.get_position()
        inch = axes.figure.dpi / axes.figure.bbox.width
        left = picture.x1 + BAR[0] * inch
        return Bbox.from_bounds(left, picture.y0, BAR[1] * inch, picture.height)

    axes.images[0].colorbar.ax.set_axes_locator(beside)


def _layout(aspect: float) -> tuple[int, tuple[float, float]]:
    """Arrange the pictures so that the figure has about the aspect ratio of a page.

    Parameters
    ----------
    aspect
        Width of the object divided by its height.

    Returns
    -------
    columns : int
        Number of columns of pictures.
    panel : (float, float)
        Width and height of a picture with its labels, inches. The panel has the object's aspect
        ratio, which avoids blank margins and gives the colour bar the picture's height.
    """
    width = min(max(PICTURE * math.sqrt(aspect), SMALLEST_SIDE), LARGEST_SIDE)
    height = min(max(width / aspect, SMALLEST_SIDE), LARGEST_SIDE)
    width = min(width, max(height * aspect, SMALLEST_SIDE))
    panel = (width + LABELS[0], height + LABELS[1])

    def distance_from_page(columns: int) -> float:
        across = columns * panel[0] + SIDE[0]
        down = max(PANELS // columns * panel[1], SIDE[1])
        return abs(math.log(across / down / PAGE))

    return min((1, 2, 3, 6), key=distance_from_page), panel
