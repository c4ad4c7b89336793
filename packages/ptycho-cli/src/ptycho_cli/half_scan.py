"""Resolution without a ground truth: two reconstructions, each of half of the patterns.

What both halves show alike is in the sample; noise is not. Their Fourier ring correlation says up
to which detail they agree (M. van Heel and M. Schatz, J. Struct. Biol. 151, 250, 2005).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_data import Reconstruction
from ptycho_data.figures import new_figure, save_figure
from ptycho_physics.metrics import FourierRingCorrelation, frc_of_halves, split_halves

from ptycho_cli.comparison import canvas_of
from ptycho_cli.console import plain
from ptycho_cli.errors import sparing_results

__all__ = ["CURVE_FILE", "half_scan_frc", "ring_plot", "said"]

#: Picture of the curve.
CURVE_FILE = "half_scan_frc.png"

CRITERIA = {"half": "0.5", "half_bit": "half-bit"}

Indices = NDArray[np.int64]


def half_scan_frc(
    positions: NDArray[np.float64],
    reconstruct: Callable[[Indices], Reconstruction],
    folder: Path,
    *,
    remove_ramp: bool = False,
    overwrite: bool = False,
) -> dict[str, Any] | None:
    """Reconstruct both halves, compare them where both were scanned, and plot the curve.

    Parameters
    ----------
    positions
        (n, 2) of all patterns.
    reconstruct
        Makes a reconstruction of the patterns with these indices.
    folder
        Where the picture goes.
    remove_ramp
        Remove a phase ramp between both: where each had its probe refined.
    overwrite
        Replace the picture.

    Returns
    -------
    dict or None
        Figures and curve, ready for JSON; None where they cannot be had, which is warned of: a
        whole reconstruction that is finished shall not be lost to its halves.
    """
    with sparing_results("no half-scan FRC"):
        parts = split_halves(positions)
        first, second = (reconstruct(part) for part in parts)
        ring = frc_of_halves(
            first.object,
            canvas_of(first),
            second.object,
            canvas_of(second),
            margin=first.N // 2,  # from there on inwards lie the patch centres
            remove_ramp=remove_ramp,
        )
        found = _figures(ring, first.pixel_size_m)
        found["patterns"] = [len(part) for part in parts]
        figure = new_figure(5.2, 5.2)
        title = "Fourier ring correlation of half scans"
        ring_plot(figure.subplots(), ring, title=title, pixel_size_m=first.pixel_size_m)
        save_figure(figure, folder / CURVE_FILE, overwrite=overwrite)
        return found
    return None


def _figures(ring: FourierRingCorrelation, pixel_size_m: float | None) -> dict[str, Any]:
    """Numbers and curves ready for JSON; resolutions in metres, too, if they are known."""
    found = ring.to_dict()
    if pixel_size_m is not None:
        for name in ("resolution_half", "resolution_half_bit"):
            pixels = found[name]
            found[f"{name}_m"] = None if pixels is None else pixels * pixel_size_m
    return found


def ring_plot(
    axes: Any,
    ring: FourierRingCorrelation,
    *,
    title: str = "Fourier ring correlation",
    pixel_size_m: float | None = None,
) -> None:
    """Draw a Fourier ring correlation with both of its thresholds, and where it falls below them.

    Parameters
    ----------
    axes
        Where to draw.
    ring
        The curve.
    title
        Above it.
    pixel_size_m
        Object pixel in metres, for a second scale of the frequency.
    """
    found = _figures(ring, pixel_size_m)
    axes.plot(ring.frequency, ring.correlation, label="FRC")
    thresholds = {"half": np.full_like(ring.half_bit, 0.5), "half_bit": ring.half_bit}
    for (name, values), colour in zip(thresholds.items(), ("0.6", "C1"), strict=True):
        label = f"{CRITERIA[name]}: {_resolution(found, name) or 'none'}"
        axes.plot(ring.frequency, values, "--", color=colour, linewidth=1, label=label)
        if found[f"crossed_{name}"]:
            axes.axvline(found[f"cutoff_{name}"], color=colour, linewidth=0.8)
    axes.set(
        xlabel="spatial frequency / cycles per pixel",
        ylabel="correlation",
        title=title,
        ylim=(min(0.0, float(ring.correlation.min())) - 0.05, 1.05),
        xlim=(0, 0.5),
        box_aspect=1,
    )
    if pixel_size_m is not None:
        scale = 1e-6 / pixel_size_m
        upper = axes.secondary_xaxis("top", functions=(lambda f: f * scale, lambda f: f / scale))
        upper.set_xlabel("cycles per \N{MICRO SIGN}m")
    axes.legend(loc="lower left", fontsize="small")


def _resolution(found: dict[str, Any], name: str) -> str | None:
    """Full-period resolution by a criterion, in words; None where there is none."""
    pixels, metres = found[f"resolution_{name}"], found.get(f"resolution_{name}_m")
    if pixels is None:
        return None
    bound = "" if found[f"crossed_{name}"] else "better than "
    unit = "" if metres is None else f" ({plain(metres * 1e9)} nm)"
    return f"{bound}{pixels:.2f} pixels{unit}"


def said(found: dict[str, Any] | None) -> str:
    """One line about the resolution."""
    if found is None:
        return "half-scan FRC: none could be made"
    texts = []
    for name, criterion in CRITERIA.items():
        resolution = _resolution(found, name)
        texts.append(f"{resolution} by {criterion}" if resolution else f"none by {criterion}")
    return f"half-scan FRC: resolution {', '.join(texts)}"
