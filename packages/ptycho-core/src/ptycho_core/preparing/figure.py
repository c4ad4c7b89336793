"""The picture of ``ptycho prepare``: detector, probe, positions, first reconstruction."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ptycho_data import Scan, fixture_indices
from ptycho_data.figures import add_caption, draw, new_figure, save_figure
from ptycho_data.rulers import Ruler
from ptycho_data.views import object_views

from ptycho_core.analysis.scan_statistics import lit_diameter
from ptycho_core.analysis.verdict import file_name
from ptycho_core.preparing.preparation import View
from ptycho_core.preparing.quick_look import QuickLook

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["save_preparing_figure"]

#: Positions to plot, at most: more of them only hide each other.
MAX_POSITIONS = 20_000


def save_preparing_figure(
    scan: Scan, view: View, look: QuickLook | None, path: Path, *, overwrite: bool = False
) -> None:
    """Draw what was prepared into a file.

    Parameters
    ----------
    scan : Scan
        The prepared scan.
    view : View
        Mean and bad pixels of the detector, and the part that became patterns.
    look : QuickLook, optional
        A first reconstruction.
    path
        Picture to write; its suffix says of which kind.
    overwrite
        Replace an existing file.

    Raises
    ------
    MissingPackageError
        matplotlib is not installed.
    OutputExistsError
        The file exists, and ``overwrite`` is not set.
    """
    figure = new_figure(14, 8.2)
    axes = figure.subplots(2, 3)
    _draw_detector(axes[0, 0], view)
    probe = scan.probe[0] if look is None or scan.probe_made else look.reconstruction.probe[0]
    for panel, shown in zip(axes[0, 1:], object_views(probe, suffix=" of the probe"), strict=True):
        draw(panel, shown, scan.pixel_size_m)
    _draw_positions(axes[1, 0], scan)
    if look is None:
        for panel in axes[1, 1:]:
            panel.set_axis_off()
        text = "no quick reconstruction: " + (
            "the probe is made of the mean pattern" if scan.probe_made else "the solver diverged"
        )
        axes[1, 1].text(0.5, 0.5, text, ha="center", va="center", wrap=True)
    else:
        rec = look.reconstruction
        origin = (float(rec.origin[0]), float(rec.origin[1]))
        views = object_views(rec.object, rec.coverage, origin, " of the object")
        for panel, shown in zip(axes[1, 1:], views, strict=True):
            draw(panel, shown, scan.pixel_size_m)
    name = file_name(scan)
    caption = f"{name}: {scan.n} patterns of {scan.N} x {scan.N}"
    add_caption(figure, caption if look is None else f"{caption}; {look.describe()}")
    save_figure(figure, path, overwrite=overwrite)


def _draw_detector(axes: "Axes", view: View) -> None:
    """Draw the mean frame: bad pixels grey, a cross at the beam, a frame around the patterns."""
    from matplotlib.patches import Rectangle

    window = view.window
    mean, bad = view.mean, view.bad
    if window.corner:
        mean, bad = np.fft.fftshift(mean), np.fft.fftshift(bad)
    values = np.log10(1 + np.maximum(np.where(bad, 0, mean), 0))
    brightest = float(values.max(initial=0)) or 1.0
    shown = np.ma.array(values, mask=bad)
    picture = axes.imshow(shown, vmin=0, vmax=brightest)
    axes.set_facecolor("0.6")
    row, column = window.centre
    axes.plot(column, row, "+", color="red", markersize=12, markeredgewidth=1)
    first, left = window.start
    box = Rectangle(
        (left - 0.5, first - 0.5), window.span, window.span, fill=False, edgecolor="red"
    )
    axes.add_patch(box)
    height, width = values.shape
    axes.set(
        title="Mean frame, bad pixels grey",
        xlabel="column / pixel",
        ylabel="row / pixel",
        xlim=(min(-0.5, left - 0.5), max(width - 0.5, left + window.span - 0.5)),
        ylim=(max(height - 0.5, first + window.span - 0.5), min(-0.5, first - 0.5)),
    )
    axes.figure.colorbar(picture, ax=axes, label="log10(1 + mean)", fraction=0.046, pad=0.03)


def _draw_positions(axes: "Axes", scan: Scan) -> None:
    """Draw positions, the probe's outline at the first of them, in a unit of length if known."""
    from matplotlib.patches import Circle

    shown = fixture_indices(scan.positions, min(scan.n, MAX_POSITIONS))
    width, height = np.ptp(scan.positions, axis=0)
    ruler = Ruler.of((float(width), float(height)), scan.pixel_size_m)
    unit, per = ruler.unit, ruler.per_pixel
    x, y = scan.xcoords[shown] * per, scan.ycoords[shown] * per
    axes.plot(x, y, "-", color="0.8", linewidth=0.5)
    dots = axes.scatter(x, y, c=np.arange(len(x)), s=6 if scan.n < 2000 else 1)
    title = "Positions" if len(shown) == scan.n else f"{len(shown)} of {scan.n} positions"
    if not scan.probe_made:
        radius = lit_diameter(scan.probe) / 2 * per
        place = (scan.xcoords[0] * per, scan.ycoords[0] * per)
        axes.add_patch(Circle(place, radius, fill=False, edgecolor="red"))
        title += ", outline of the probe"
    axes.set(title=title, xlabel=f"x / {unit}", ylabel=f"y / {unit}", aspect="equal")
    axes.invert_yaxis()
    axes.figure.colorbar(dots, ax=axes, label="order", fraction=0.046, pad=0.03)
