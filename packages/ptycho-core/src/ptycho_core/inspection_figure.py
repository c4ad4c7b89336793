"""Overview picture of a scan: mean pattern, brightest pattern, probe and positions."""

from pathlib import Path

import numpy as np
from ptycho_data import Scan, fixture_indices
from ptycho_data.figures import draw, new_figure, object_views, save_figure

__all__ = ["save_inspection_figure"]

#: Positions to plot, at most: more of them only hide each other.
MAX_POSITIONS = 20_000
#: Patterns to average, at most.
AVERAGED_PATTERNS = 256


def save_inspection_figure(scan: Scan, path: Path, *, overwrite: bool = False) -> None:
    """Draw mean pattern, brightest pattern, strongest probe mode and positions into a file."""
    figure = new_figure(11, 9)
    axes = figure.subplots(2, 2)
    totals = scan.intensity_totals
    brightest = int(totals.argmax())
    averaged = np.unique(np.linspace(0, scan.n - 1, min(scan.n, AVERAGED_PATTERNS)).astype(int))
    patterns = {
        "Mean pattern": np.asarray(scan.diffraction[averaged], dtype=np.float64).mean(axis=0),
        f"Brightest pattern ({brightest})": np.asarray(
            scan.diffraction[brightest], dtype=np.float64
        ),
    }
    for panel, (title, image) in zip(axes[0], patterns.items(), strict=True):
        picture = panel.imshow(np.log10(1 + image * (1e3 if scan.domain == "amplitude" else 1)))
        panel.set_title(title)
        label = "log10(1 + counts)" if scan.domain == "counts" else "log10(1 + 1000 amplitude)"
        figure.colorbar(picture, ax=panel, label=label, fraction=0.046, pad=0.03)
    draw(axes[1, 0], object_views(scan.probe[0], suffix=" of the probe")[0], scan.pixel_size_m)
    shown = fixture_indices(scan.positions, min(scan.n, MAX_POSITIONS))
    dots = axes[1, 1].scatter(
        scan.xcoords[shown], scan.ycoords[shown], c=totals[shown], s=6 if scan.n < 2000 else 1
    )
    title = "Positions" if len(shown) == scan.n else f"{len(shown)} of {scan.n} positions"
    axes[1, 1].set(title=title, xlabel="x / pixel", ylabel="y / pixel", aspect="equal")
    axes[1, 1].invert_yaxis()
    figure.colorbar(dots, ax=axes[1, 1], label="sum of the pattern", fraction=0.046, pad=0.03)
    save_figure(figure, path, overwrite=overwrite)
