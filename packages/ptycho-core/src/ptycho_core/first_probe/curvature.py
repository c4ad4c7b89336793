"""The curvature of an unknown probe, found by trying: from coarse to fine, on a part of a scan.

The far field of the probe has about the amplitude of the mean pattern; what is missing is its
phase, which for most beams is that of a defocus. Whether a defocus is right, the solver tells: it
explains the patterns better. Two things make this quick and sure: neighbouring patterns suffice,
and so do their bright middles. What the object scatters beyond says little about the probe, and
without it the R-factor falls smoothly towards the right defocus from further away.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from ptycho_data import Scan
from ptycho_physics import (
    DivergenceError,
    Solution,
    apply_symmetry_to_positions,
    solve,
)
from ptycho_physics.optics import curved_probe
from ptycho_physics.probe_sampling import resample_probe

from ptycho_core.starting_probe import light_varies, spread_part

__all__ = [
    "CentralPart",
    "Trial",
    "curvatures",
    "defocus_of",
    "far_field_amplitude",
    "search_curvature",
    "tried",
    "unrefined",
]

Real = NDArray[np.float64]

#: Patterns that a trial uses if their middles have `USUAL` pixels, the most of smaller ones at the
#: same cost, and those averaged for the amplitude of the far field.
TRIED, USUAL, MOST, AVERAGED = 64, 64, 256, 256
#: The middle of the patterns has one of these sizes, and at least this share of the light.
SIZES, SHARE = (32, 48, 64, 96, 128, 192, 256), 0.92
#: Largest beam, and difference between two trials, as fractions of the patch.
WIDEST, STEP = 0.8, 0.05
#: Largest difference of two trials in the phase at the rim of the pupil, in radians: the solver
#: corrects more than half of it.
RIM_STEP = 3.0
#: Epochs of the rounds, and the number of trials that enter the second.
EPOCHS, KEPT = (6, 16, 40), 6
BATCH = 8


@frozen(kw_only=True, eq=False)
class CentralPart:
    """The bright middles of neighbouring patterns.

    Attributes
    ----------
    counts : (n, M, M) float32 array
    positions : (n, 2) float64 array
        In pixels of the object that belong to M.
    mask : (M, M) bool array or None
        Bad pixels.
    background, subtracted : (M, M) float32 array or None
        As of a `Scan`.
    known : (m, M, M) complex64 array or None
        Probe of the scan, if it is right: no curvature is tried then.
    amplitude : (M, M) float64 array
        Root of the mean pattern, bad pixels interpolated.
    shrink : float
        N / M: the object's pixel relative to that of the scan.
    light_varies : bool
        Whether the light of each pattern is to be fitted.
    """

    counts: NDArray[np.float32]
    positions: Real
    mask: NDArray[np.bool_] | None
    amplitude: Real
    shrink: float
    background: NDArray[np.float32] | None = None
    subtracted: NDArray[np.float32] | None = None
    known: NDArray[np.complex64] | None = None
    light_varies: bool = False

    @classmethod
    def of(cls, scan: Scan, number: int = TRIED, *, known: bool = False) -> "CentralPart":
        """Return the part of a scan around its middle, with its probe if that is right.

        `number` is that of patterns whose middles have `USUAL` pixels. Smaller ones tell less each.
        """
        amplitude = far_field_amplitude(scan)
        M = _middle(amplitude)
        part = spread_part(scan, max(number, min(MOST, round(number * (USUAL / M) ** 2))))
        return cls(
            counts=np.ascontiguousarray(_cropped(part.counts(nphotons=1.0), M)),
            positions=part.positions * (M / scan.N),
            mask=None if scan.bad_pixels is None else _cropped(scan.bad_pixels, M),
            amplitude=_cropped(amplitude, M),
            shrink=scan.N / M,
            background=None if scan.background is None else _cropped(scan.background, M),
            subtracted=None if scan.subtracted is None else _cropped(scan.subtracted, M),
            known=resample_probe(scan.probe, M, scale=scan.N / M) if known else None,
            light_varies=light_varies(part),
        )

    def turned(self, trial: "Trial") -> "CentralPart":
        """Return the part with the positions of a trial."""
        positions = np.asarray(apply_symmetry_to_positions(self.positions, trial.symmetry))
        angle = math.radians(trial.degrees)
        cos, sin = math.cos(angle), math.sin(angle)
        return evolve(self, positions=positions @ np.array([[cos, sin], [-sin, cos]]))

    @property
    def M(self) -> int:  # noqa: N802 (a size, as N)
        """Pixels along a side."""
        return int(self.amplitude.shape[-1])

    @property
    def aperture(self) -> float:
        """Diameter of the pupil as a fraction of the patterns: of a disk as wide as the light."""
        return _width(self.amplitude**2)

    def probe(self, diameter: float) -> NDArray[np.complex64]:
        """Return the probe (m, M, M) of a beam of this width in pixels; negative: converging."""
        if self.known is not None:
            return self.known
        return curved_probe(self.amplitude, diameter / self.aperture)


@frozen(kw_only=True, eq=False)
class Trial:
    """A trial of the solver with one curvature and one orientation.

    Attributes
    ----------
    diameter : float
        Width that the curvature gives to the beam on the sample, as a fraction of the patch;
        negative if the beam converges.
    symmetry : int
        Of the positions: see `apply_symmetry_to_positions`.
    degrees : float
        By which positions are turned after that, from x to y.
    r_factor : float
        Infinite if the solver diverged.
    solution : Solution or None
    """

    diameter: float
    symmetry: int = 0
    degrees: float = 0.0
    r_factor: float = math.inf
    solution: Solution | None = field(default=None, repr=False)


def far_field_amplitude(scan: Scan) -> Real:
    """Return the root of the mean pattern (N, N); bad pixels get the light around them."""
    from scipy.ndimage import gaussian_filter  # takes long to import

    chosen = np.linspace(0, scan.n - 1, min(scan.n, AVERAGED)).astype(int)
    total = np.zeros((scan.N, scan.N))
    for some in np.array_split(np.unique(chosen), max(1, len(chosen) // 32)):
        total += scan.counts(some, nphotons=1.0).sum(axis=0, dtype=np.float64)
    if scan.bad_pixels is not None and scan.bad_pixels.any() and not scan.bad_pixels.all():
        good = (~scan.bad_pixels).astype(np.float64)
        missing = scan.bad_pixels.copy()
        sigma = 1.0
        while missing.any() and sigma < scan.N:
            weight = gaussian_filter(good, sigma)
            near = missing & (weight > 0.05)
            total[near] = gaussian_filter(total * good, sigma)[near] / weight[near]
            missing &= ~near
            sigma *= 1.5
    return np.sqrt(total / len(np.unique(chosen)))


def curvatures(part: CentralPart) -> list[float]:
    """Return the diameters to try, as fractions of the patch: evenly spaced, of both signs."""
    step = min(STEP, RIM_STEP * 4 / (math.pi * part.M * part.aperture))
    count = round(WIDEST / step)
    return [step * k for k in range(-count, count + 1)]


def search_curvature(part: CentralPart, symmetries: Sequence[int] = (0,)) -> list[Trial]:
    """Try curvatures of both signs, with some orientations of the positions.

    Parameters
    ----------
    part : CentralPart
    symmetries
        Orientations to try, see `apply_symmetry_to_positions`.

    Returns
    -------
    list of Trial
        Those of the last round, the best first: the best of each orientation among them.
    """
    grid = curvatures(part)
    step = grid[1] - grid[0]
    starts = [Trial(diameter=d, symmetry=s) for s in symmetries for d in grid]
    first = sorted(tried(part, starts, EPOCHS[0]), key=_r_factor)
    kept = _with_each(_different(first, KEPT, step), first)
    near = [
        Trial(diameter=trial.diameter + shift * step, symmetry=trial.symmetry)
        for trial in kept
        for shift in (-0.5, 0.0, 0.5)
    ]
    second = sorted(tried(part, near, EPOCHS[1]), key=_r_factor)
    finalists = _with_each(_different(second, 2, step), second)
    return sorted(tried(part, finalists, EPOCHS[2]), key=_r_factor)


def defocus_of(probe: NDArray[np.complex64]) -> tuple[float, float]:
    """Return the curvature of a probe's far field, and the width that it gives to the beam.

    Parameters
    ----------
    probe : (M, N, N) complex array

    Returns
    -------
    curvature : float
        As in `ptycho_physics.optics.curved_probe`, in square pixels.
    diameter : float
        In pixels, negative if the beam converges.
    """
    shifted = np.fft.ifftshift(probe, axes=(-2, -1))
    field = np.fft.fftshift(np.fft.fft2(shifted), axes=(-2, -1))
    N = probe.shape[-1]
    product = spread = 0.0
    for axis in (-2, -1):
        ahead = np.moveaxis(field, axis, -1)
        steps = ahead[..., :-1].conj() * ahead[..., 1:]
        weight, slope = np.abs(steps), np.angle(steps)
        q = np.arange(N - 1) + 0.5 - N // 2
        total = weight.sum()
        q = q - np.sum(weight * q) / total
        product += float(np.sum(weight * q * (slope - np.sum(weight * slope) / total)))
        spread += float(np.sum(weight * q**2))
    # the phase is -pi curvature (q / N)^2, and its slope -2 pi curvature q / N^2
    curvature = -product / spread * N**2 / (2 * math.pi)
    return curvature, curvature * _width(np.sum(np.abs(field) ** 2, axis=0))


def tried(part: CentralPart, trials: Iterable[Trial], epochs: int) -> list[Trial]:
    """Run the solver for every trial."""
    return [_one(part, trial, epochs) for trial in trials]


def unrefined(part: CentralPart, trial: Trial) -> Trial | None:
    """Return the best curvature without refinement of the probe, if that explains as much.

    At few photons refinement adds more noise to the probe than it takes errors away. The curvature
    alone is then better, and found more sharply.

    Returns
    -------
    Trial or None
        None if refinement pays.
    """
    first = _one(part, trial, EPOCHS[1], refine=False)
    if first.r_factor > _one(part, trial, EPOCHS[1]).r_factor:
        return None
    shifts = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) * STEP
    near = [
        first if shift == 0 else _one(part, evolve(trial, diameter=trial.diameter + shift),
                                      EPOCHS[1], refine=False)
        for shift in shifts
    ]  # fmt: skip
    r_factors = [one.r_factor for one in near]
    if not np.isfinite(r_factors).all():
        return first
    bend, slope, _ = np.polyfit(shifts, r_factors, 2)
    lowest = -slope / (2 * bend) if bend > 0 else shifts[int(np.argmin(r_factors))]
    shift = float(np.clip(lowest, shifts[0], shifts[-1]))
    return _one(part, evolve(trial, diameter=trial.diameter + shift), EPOCHS[1], refine=False)


def _one(part: CentralPart, trial: Trial, epochs: int, *, refine: bool = True) -> Trial:
    turned = part.turned(trial)
    try:
        solution = solve(
            turned.counts,
            turned.positions,
            turned.probe(trial.diameter * part.M),
            mask=turned.mask,
            epochs=epochs,
            batch_size=BATCH,
            average=False,  # few epochs
            update_probe=refine,
            probe_start=1,
            refine_light=part.light_varies,  # this misleads more than a wrong probe
        )
    except DivergenceError:
        return evolve(trial, r_factor=math.inf, solution=None)
    return evolve(trial, r_factor=solution.r_factors[-1], solution=solution)


def _different(ranked: Iterable[Trial], number: int, step: float) -> list[Trial]:
    """Return the best trials that are no neighbours of a better one."""
    kept: list[Trial] = []
    for trial in ranked:
        neighbour = any(
            trial.symmetry == other.symmetry and abs(trial.diameter - other.diameter) < 1.6 * step
            for other in kept
        )
        if not neighbour and len(kept) < number:
            kept.append(trial)
    return kept


def _with_each(kept: list[Trial], ranked: Iterable[Trial]) -> list[Trial]:
    """Return some trials, and the best of every orientation that is not among them."""
    found = {trial.symmetry for trial in kept}
    best: dict[int, Trial] = {}
    for trial in ranked:
        if trial.symmetry not in found:
            best.setdefault(trial.symmetry, trial)
    return [*kept, *best.values()]


def _r_factor(trial: Trial) -> float:
    return trial.r_factor


def _width(light: Real) -> float:
    """Diameter of a uniform disk as wide as the light, as a fraction of the patterns."""
    N = light.shape[-1]
    x = (np.arange(N) - N // 2) / N
    return float(np.sqrt(8 * np.sum(light * (x**2 + x[:, None] ** 2)) / light.sum()))


def _middle(amplitude: Real) -> int:
    """Return the size of the middle that has most of the light."""
    N, light = int(amplitude.shape[-1]), amplitude**2
    total = float(light.sum())
    for size in SIZES:
        if size < N and float(_cropped(light, size).sum()) >= SHARE * total:
            return size
    return N


def _cropped(array: NDArray, size: int) -> NDArray:  # type: ignore[type-arg]
    """Return the middle of the last two axes."""
    first = array.shape[-1] // 2 - size // 2
    return array[..., first : first + size, first : first + size]
