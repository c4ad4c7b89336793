"""Simulation of a scan from object, probe, positions, photon number and detector."""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import Scan
from ptycho_physics import Canvas, Slices, simulate_counts
from ptycho_physics.memory import require_memory
from ptycho_physics.noise import beam_stop as beam_stop_pixels
from ptycho_physics.noise import random_bad_pixels

from ptycho_core.simulation_parts import SimulationParts

__all__ = ["bad_pixel_mask", "pad_with_vacuum", "simulate_scan"]

log = logging.getLogger(__name__)


def simulate_scan(
    parts: SimulationParts,
    photons: float = 1e6,
    seed: int = 0,
    *,
    read_noise: float = 0.0,
    saturation: float | None = None,
    bad_pixels: NDArray[np.bool_] | None = None,
    near_field: float | None = None,
    slices: Slices | None = None,
    border: int = 0,
) -> Scan:
    """Simulate the counts of a scan.

    An object too small for the outer patches is surrounded by vacuum, which is logged, and so is
    the number of saturated patterns.

    Parameters
    ----------
    parts : SimulationParts
        Object, probe and positions; see `SimulationParts.completed`.
    photons
        Mean photons per pattern.
    seed
        Seed of the noise.
    read_noise, saturation, bad_pixels
        Properties of the detector, as in `ptycho_physics.read_out`.
    near_field, slices, border
        As in `ptycho_physics.simulate_counts`. The probe of ``parts`` contains the border, that
        of the scan does not.

    Returns
    -------
    Scan
        Counts, with the object as ``object_guess``: of slices, their product.

    Raises
    ------
    InvalidValueError
        If a part is missing.

    Examples
    --------
    >>> from ptycho_core import SimulationParts, simulate_scan
    >>> parts = SimulationParts().completed(N=64, n_patterns=20)
    >>> scan = simulate_scan(parts, photons=1e5)
    >>> scan.n, scan.N, round(float(scan.counts().sum()) / scan.n, -4)
    (20, 64, 100000.0)
    """
    for name in ("object", "probe", "positions"):
        if getattr(parts, name) is None:
            raise InvalidValueError(name, "an array", "None", "SimulationParts.completed makes it")
    assert parts.object is not None  # noqa: S101 - for the type checker
    assert parts.probe is not None  # noqa: S101
    assert parts.positions is not None  # noqa: S101
    levels = parts.object[None] if parts.behind is None else parts.slices()
    N = parts.probe.shape[-1]
    around = [pad_with_vacuum(level, parts.positions, N) for level in levels]
    _, local, n_outside = around[0]
    padded = np.stack([values for values, _, _ in around])
    if n_outside:
        log.info(
            "%d of %d patches extend beyond the object %s: padded with vacuum (ones)",
            n_outside,
            len(local),
            parts.object.shape[::-1],
        )
    counts = simulate_counts(
        padded if slices is not None else padded[0],
        parts.probe,
        local,
        photons,
        seed,
        read_noise=read_noise,
        saturation=saturation,
        bad_pixels=bad_pixels,
        near_field=near_field,
        slices=slices,
        border=border,
    )
    inner = slice(border, N - border)
    full = 0 if saturation is None else int((counts >= saturation).any(axis=(1, 2)).sum())
    if full:
        log.info("%d of %d patterns have pixels saturated at %g", full, len(counts), saturation)
    return Scan(
        diffraction=_integers(counts),
        xcoords=parts.positions[:, 0],
        ycoords=parts.positions[:, 1],
        probe=parts.probe[:, inner, inner],
        domain="counts",
        object_guess=parts.object if parts.behind is None else levels.prod(axis=0),
        bad_pixels=bad_pixels,
        nphotons=photons,
        **parts.stated,
    )


def bad_pixel_mask(
    N: int, *, beam_stop: float | None = None, dead_fraction: float = 0.0, seed: int = 0
) -> NDArray[np.bool_] | None:
    """Return the bad pixels (N, N) of a detector; None if it has none.

    Parameters
    ----------
    N
        Side of a pattern, pixels.
    beam_stop
        Diameter of a beam stop in the centre, pixels.
    dead_fraction
        Fraction of dead pixels, scattered over the detector.
    seed
        Seed of the locations of the dead pixels.
    """
    if beam_stop is None and not dead_fraction:
        return None
    bad = random_bad_pixels(N, dead_fraction, seed)
    return bad if beam_stop is None else bad | beam_stop_pixels(N, beam_stop)


def pad_with_vacuum(
    values: NDArray[np.complex64], positions: NDArray[np.float64], N: int
) -> tuple[NDArray[np.complex64], NDArray[np.float64], int]:
    """Pad an object with ones where patches extend beyond it.

    Parameters
    ----------
    values : (H, W) complex array
        The object.
    positions : (n, 2) float64 array
        Patch centres ``(x, y)`` in object pixels.
    N
        Side of a patch, pixels.

    Returns
    -------
    padded : complex64 array
        Contains every patch.
    local : (n, 2) float64 array
        Positions in pixels of ``padded``.
    n_outside : int
        Number of patches that extend beyond ``values``.
    """
    require_memory(positions, N)
    needed = Canvas.covering(positions, N)
    left, top = (max(0, -start) for start in needed.origin)
    right = max(0, needed.origin[0] + needed.shape[1] - values.shape[1])
    bottom = max(0, needed.origin[1] + needed.shape[0] - values.shape[0])
    first = np.floor(positions) - N // 2
    last = np.ceil(positions) - N // 2 + N
    inside = np.all((first >= 0) & (last <= values.shape[::-1]), axis=1)
    padded = np.pad(values, ((top, bottom), (left, right)), constant_values=1)
    return padded, positions + np.array([left, top]), int(np.sum(~inside))


def _integers(counts: NDArray[np.float32]) -> NDArray[Any]:
    """Convert counts to uint16, or to uint32 if they exceed it."""
    fits = float(counts.max(initial=0)) <= np.iinfo(np.uint16).max
    return counts.astype(np.uint16 if fits else np.uint32)
