"""Resolution without a ground truth: two reconstructions, each of half of the patterns.

What both halves show alike is in the sample; noise is not. Their Fourier ring correlation says up
to which detail they agree (M. van Heel and M. Schatz, J. Struct. Biol. 151, 250, 2005).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_data import Reconstruction, spatial_batches
from ptycho_data.figures import new_figure, save_figure
from ptycho_physics.metrics import FourierRingCorrelation

from ptycho_cli.comparison import Placed, compare_placed
from ptycho_cli.console import note

__all__ = ["CURVE_FILE", "half_scan_frc", "halves", "ring_plot", "said"]

#: Picture of the curve.
CURVE_FILE = "half_scan_frc.png"

Indices = NDArray[np.int64]


def halves(positions: NDArray[np.float64], seed: int = 0) -> tuple[Indices, Indices]:
    """Deal positions out to two halves that lie between each other.

    Of every two neighbours one goes to each half, by chance to this or that.

    Parameters
    ----------
    positions
        (n, 2), at least two.
    seed
        Of the pairs and of chance.

    Returns
    -------
    first, second
        Ascending indices, without a common one; the first may have one more.

    Raises
    ------
    ValueError
        There are fewer than two positions.
    """
    if len(positions) < 2:
        msg = f"half-scan FRC: at least 2 patterns expected, found {len(positions)}"
        raise ValueError(msg)
    rng = np.random.default_rng(seed)
    parts: tuple[list[int], list[int]] = ([], [])
    for pair in spatial_batches(positions, 2, seed):
        turn = int(rng.integers(2)) if len(pair) == 2 else 0
        for k, index in enumerate(pair):
            parts[(k + turn) % 2].append(int(index))
    first, second = (np.sort(np.array(part, dtype=np.int64)) for part in parts)
    return first, second


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
        Figures and curve, ready for JSON; None where the halves cannot be compared, which is
        logged.
    """
    parts = halves(positions)
    made = [reconstruct(part) for part in parts]
    names = ("first half of the patterns", "second half")
    placed = [Placed.of(rec, name) for rec, name in zip(made, names, strict=True)]
    try:
        comparison, _ = compare_placed(*placed, remove_ramp=remove_ramp)
    except ValueError as error:
        note(f"no half-scan FRC: {error}")
        return None
    found: dict[str, Any] = comparison.to_dict()["frc"]
    found["patterns"] = [len(part) for part in parts]
    size = made[0].pixel_size_m
    if size is not None:
        for name in ("resolution_half", "resolution_half_bit"):
            found[f"{name}_m"] = None if found[name] is None else found[name] * size
    figure = new_figure(5.2, 5.2)
    ring_plot(figure.subplots(), comparison.frc)
    save_figure(figure, folder / CURVE_FILE, overwrite=overwrite)
    return found


def ring_plot(axes: Any, ring: FourierRingCorrelation) -> None:
    """Draw a Fourier ring correlation with both of its thresholds."""
    axes.plot(ring.frequency, ring.correlation, label="FRC")
    axes.plot(ring.frequency, ring.half_bit, "--", label="half-bit")
    axes.axhline(0.5, color="0.6", linewidth=0.8, label="0.5")
    axes.set(
        xlabel="spatial frequency / cycles per pixel",
        title="Fourier ring correlation",
        ylim=(min(-0.05, float(ring.correlation.min())), 1.05),
        xlim=(0, 0.5),
        box_aspect=1,
    )
    axes.legend(loc="lower left", fontsize="small")


def said(found: dict[str, Any] | None) -> str:
    """One line about the resolution."""
    if found is None:
        return "half-scan FRC: the halves cannot be compared"
    texts = []
    for name, criterion in (("resolution_half", "0.5"), ("resolution_half_bit", "half-bit")):
        pixels = found[name]
        if pixels is None:
            texts.append(f"none by {criterion}")
            continue
        metres = found.get(f"{name}_m")
        unit = "" if metres is None else f" ({metres * 1e9:.3g} nm)"
        texts.append(f"{pixels:.2f} pixels{unit} by {criterion}")
    return f"half-scan FRC: resolution {', '.join(texts)}"
