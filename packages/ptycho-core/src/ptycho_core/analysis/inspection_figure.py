"""Overview picture of a scan: mean pattern, brightest pattern, probe and positions."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from ptycho_data import Scan, read_patterns
from ptycho_data.figures import draw, new_figure, save_figure
from ptycho_data.plots import draw_positions
from ptycho_data.views import object_views

from ptycho_core.cautions import ScanFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["save_inspection_figure"]

#: Patterns to average, at most.
AVERAGED_PATTERNS = 256


def save_inspection_figure(scan: Scan, path: Path, *, overwrite: bool = False) -> None:
    """Draw mean pattern, brightest pattern, strongest probe mode and positions into a file."""
    figure, facts = new_figure(11, 9), ScanFacts(scan)
    axes = figure.subplots(2, 2)
    totals = scan.intensity_totals
    brightest = int(totals.argmax())
    averaged = np.unique(np.linspace(0, scan.n - 1, min(scan.n, AVERAGED_PATTERNS)).astype(int))
    patterns = {
        "Mean pattern": read_patterns(scan.diffraction, averaged, np.float64).mean(axis=0),
        f"Brightest pattern ({brightest})": read_patterns(scan.diffraction, brightest, np.float64),
    }
    for panel, (title, image) in zip(axes[0], patterns.items(), strict=True):
        _draw_pattern(panel, image, title, facts)
    draw(axes[1, 0], object_views(scan.probe[0], suffix=" of the probe")[0], scan.pixel_size_m)
    draw_positions(axes[1, 1], scan, totals, "sum of the pattern")
    save_figure(figure, path, overwrite=overwrite)


def _draw_pattern(axes: "Axes", image: NDArray[np.float64], title: str, facts: ScanFacts) -> None:
    """Draw a pattern on a logarithmic scale, with a cross at zero frequency and bad pixels grey."""
    counts = facts.scan.domain == "counts"
    values = np.log10(1 + np.where(facts.good, image, 0) * (1 if counts else 1e3))
    # Hot and stuck pixels would leave no colours for the light.
    brightest = float(values.max(initial=0, where=facts.clean)) or 1.0
    shown = np.ma.array(values, mask=~facts.good)
    picture = axes.imshow(shown, vmin=0, vmax=brightest)
    axes.set_facecolor("0.6")
    middle = facts.scan.N // 2
    axes.plot(middle, middle, "+", color="red", markersize=9, markeredgewidth=0.8)
    bad = ", bad pixels grey" * bool(shown.mask.any())
    axes.set(title=title + bad, xlabel="column / pixel", ylabel="row / pixel")
    label = "log10(1 + counts)" if counts else "log10(1 + 1000 amplitude)"
    axes.figure.colorbar(picture, ax=axes, label=label, fraction=0.046, pad=0.03)
