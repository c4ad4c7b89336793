"""Figures of scans, reconstructions and models: what their method ``plot`` returns."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptycho_data._fixture import fixture_indices
from ptycho_data._stack import read_patterns
from ptycho_data.figures import add_caption, draw, new_figure
from ptycho_data.views import object_views, reconstruction_views

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ptycho_data._reconstruction import Reconstruction
    from ptycho_data._scan import Scan

__all__ = [
    "draw_curves",
    "draw_positions",
    "losses",
    "plot_curves",
    "plot_model",
    "plot_object",
    "plot_scan",
]

#: Patterns to average, at most: a picture must not read the whole scan.
AVERAGED_PATTERNS = 64
#: Positions to draw, at most: more of them only hide each other.
MAX_POSITIONS = 20_000


def plot_scan(scan: "Scan") -> "Figure":
    """Draw the mean of some patterns, the strongest probe mode and the positions."""
    figure = _row(3)
    pattern, probe, places = figure.subplots(1, 3)
    chosen = np.unique(np.linspace(0, scan.n - 1, min(scan.n, AVERAGED_PATTERNS)).astype(int))
    mean = read_patterns(scan.diffraction, chosen, np.float64).mean(axis=0)
    good = np.ones(mean.shape, bool) if scan.bad_pixels is None else ~scan.bad_pixels
    shown = np.ma.masked_array(np.log10(1 + mean.clip(0)), ~good)
    image = pattern.imshow(shown)
    pattern.set_facecolor("0.6")
    pattern.set(
        title=f"Mean of {len(chosen)} patterns", xlabel="column / pixel", ylabel="row / pixel"
    )
    label = f"log10(1 + {'counts' if scan.domain == 'counts' else 'amplitude'})"
    figure.colorbar(image, ax=pattern, label=label, fraction=0.046, pad=0.03)
    draw(probe, object_views(scan.probe[0], suffix=" of the probe")[0], scan.pixel_size_m)
    draw_positions(places, scan)
    return figure


def draw_positions(
    axes: "Axes", scan: "Scan", values: NDArray[Any] | None = None, label: str = ""
) -> None:
    """Draw the positions of a scan, at most `MAX_POSITIONS`, coloured by a value of each pattern.

    Parameters
    ----------
    axes
        Where to draw.
    scan
        The scan.
    values : (n,) array, optional
        Value of each pattern.
    label
        Beside the colour bar.
    """
    shown = fixture_indices(scan.positions, min(scan.n, MAX_POSITIONS))
    colours: dict[str, Any] = {} if values is None else {"c": values[shown]}
    dots = axes.scatter(
        scan.xcoords[shown], scan.ycoords[shown], s=6 if scan.n < 2000 else 1, **colours
    )
    title = "Positions" if len(shown) == scan.n else f"{len(shown)} of {scan.n} positions"
    axes.set(title=title, xlabel="x / pixel", ylabel="y / pixel", aspect="equal")
    axes.invert_yaxis()
    if values is not None:
        axes.figure.colorbar(dots, ax=axes, label=label, fraction=0.046, pad=0.03)


def plot_object(
    rec: "Reconstruction",
    curves: Mapping[str, Sequence[float]] | None = None,
    *,
    caption: str = "",
    unwrap: bool = False,
) -> "Figure":
    """Draw amplitude and phase of an object, and beside them curves over the epochs.

    Parameters
    ----------
    rec
        The reconstruction, shown as in the pictures of its results.
    curves
        Values of each epoch by their name; none draws none.
    caption
        Below, with what was removed from the phase.
    unwrap
        Draw the phase without jumps of 2 pi.
    """
    figure = _row(3 if curves else 2)
    panels = figure.subplots(1, 3 if curves else 2)
    views = reconstruction_views(rec, unwrap=unwrap)
    for axes, view in zip(panels, views, strict=False):
        draw(axes, view, rec.pixel_size_m, rec.origin_m, lengths=True)
    if curves:
        draw_curves(panels[2], curves)
    add_caption(figure, "; ".join(part for part in (caption, views[1].note) if part))
    return figure


def plot_model(probe: NDArray[np.complex64], history: Mapping[str, Sequence[float]]) -> "Figure":
    """Draw the strongest mode (M, N, N) of the probe of a model, and its losses."""
    figure = _row(3 if history else 2)
    panels = figure.subplots(1, 3 if history else 2)
    for axes, view in zip(panels, object_views(probe[0], suffix=" of the probe"), strict=False):
        draw(axes, view)
    if history:
        draw_curves(panels[2], losses(history))
    return figure


def _row(panels: int) -> "Figure":
    """Return a figure for so many panels side by side."""
    figure = new_figure(4.5 * panels, 4)
    figure.set_layout_engine("constrained", w_pad=0.12)
    return figure


def losses(history: Mapping[str, Sequence[float]]) -> Mapping[str, Sequence[float]]:
    """Return the two losses of a training that tell how it went; all there are without them."""
    chosen = {name: history[name] for name in ("train_loss", "val_loss") if name in history}
    return chosen or history


def plot_curves(curves: Mapping[str, Sequence[float]]) -> "Figure":
    """Draw curves over the epochs alone."""
    figure = new_figure(5.2, 4)
    draw_curves(figure.subplots(), curves)
    return figure


def draw_curves(axes: "Axes", curves: Mapping[str, Sequence[float]]) -> None:
    """Draw values of each epoch, counted from one, by their name."""
    for name, values in curves.items():
        found = np.asarray(values, dtype=np.float64)
        marker = "o" if len(found) < 30 else ""
        axes.plot(np.arange(1, len(found) + 1), found, marker=marker, markersize=3, label=name)
    axes.set(xlabel="epoch", title="Losses" if len(curves) > 1 else next(iter(curves), ""))
    axes.locator_params(axis="x", integer=True)
    if len(curves) > 1:
        axes.legend(fontsize="small")
