"""Plot and description of a Fourier ring correlation."""

from typing import Any

import numpy as np
from ptycho_physics.metrics import FourierRingCorrelation

from ptycho_core.formatting import format_number

__all__ = ["CRITERIA", "describe_resolution", "plot_ring_correlation", "ring_metrics"]

#: Names of the resolution criteria in metrics, and in text.
CRITERIA = {"half": "0.5", "half_bit": "half-bit"}


def ring_metrics(ring: FourierRingCorrelation, pixel_size_m: float | None) -> dict[str, Any]:
    """Return curve and resolutions as plain values for JSON.

    Resolutions are in pixels, and also in metres (``resolution_..._m``) if ``pixel_size_m`` is
    known.
    """
    metrics = ring.to_dict()
    if pixel_size_m is not None:
        for name in ("resolution_half", "resolution_half_bit"):
            pixels = metrics[name]
            metrics[f"{name}_m"] = None if pixels is None else pixels * pixel_size_m
    return metrics


def describe_resolution(metrics: dict[str, Any], criterion: str) -> str | None:
    """Write the full-period resolution by a criterion; None if there is none.

    Parameters
    ----------
    metrics
        From `ring_metrics`.
    criterion
        A key of `CRITERIA`.
    """
    pixels, metres = metrics[f"resolution_{criterion}"], metrics.get(f"resolution_{criterion}_m")
    if pixels is None:
        return None
    bound = "" if metrics[f"crossed_{criterion}"] else "better than "
    unit = "" if metres is None else f" ({format_number(metres * 1e9)} nm)"
    return f"{bound}{pixels:.2f} pixels{unit}"


def plot_ring_correlation(
    axes: Any,
    ring: FourierRingCorrelation,
    *,
    title: str = "Fourier ring correlation",
    pixel_size_m: float | None = None,
) -> None:
    """Draw a Fourier ring correlation with both thresholds and mark where it falls below them.

    Parameters
    ----------
    axes
        Matplotlib axes to draw into.
    ring
        The curve.
    title
        Title of the axes.
    pixel_size_m
        Object pixel in metres, for a second frequency axis in physical units.
    """
    metrics = ring_metrics(ring, pixel_size_m)
    axes.plot(ring.frequency, ring.correlation, label="FRC")
    thresholds = {"half": np.full_like(ring.half_bit, 0.5), "half_bit": ring.half_bit}
    for (name, values), colour in zip(thresholds.items(), ("0.6", "C1"), strict=True):
        label = f"{CRITERIA[name]}: {describe_resolution(metrics, name) or 'none'}"
        axes.plot(ring.frequency, values, "--", color=colour, linewidth=1, label=label)
        if metrics[f"crossed_{name}"]:
            axes.axvline(metrics[f"cutoff_{name}"], color=colour, linewidth=0.8)
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
