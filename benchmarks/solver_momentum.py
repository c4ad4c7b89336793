"""What momentum brings the solver: strong phases, divergent beams, measured data, few photons.

    python benchmarks/solver_momentum.py [--data DATA_FOLDER] [--seeds 3] [--share 0.9] [--only few]
    python benchmarks/solver_momentum.py --auto --only refined

Scenes are 180 patterns of 64 x 64 pixels, 1e6 photons each unless a name says otherwise, with the
true probe, or with one of another defocus that is refined. The phase of ``rough`` has 4 rad rms and
of ``beads`` up to 10 rad and more; ``divergent`` beams fill 0.6 and 0.8 of the width of the
detector, and that of ``electrons`` a third. DATA_FOLDER holds ``run1084.npz`` (see
`real_data.py`). For each scene, without momentum and with it: CPU seconds until the correlation
with the truth is 0.99 and 0.999, over the scanned rectangle without phase ramp, and the correlation
in the end. The last line counts the scenes whose correlation misses 0.99 in the end. With
``--auto``, what the ladder of ``ptycho reconstruct --auto`` chooses takes the place of momentum,
and is printed; CPU seconds are without the ladder.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_physics import (
    Solution,
    defocused_probe,
    fermat_scan,
    random_cells,
    simulate_counts,
    solve,
)
from real_solver import Data, correlation, defocused, run1084
from scipy.ndimage import gaussian_filter
from solver_faults import ladder

N, SHAPE, EPOCHS = 64, (160, 168), 40
EVERY = 4  # epochs between comparisons, which take longer than an epoch
LEVELS = (0.99, 0.999)


@frozen(kw_only=True, eq=False)
class Scene:
    """A scan, and the probe that the solver starts from."""

    name: str
    data: Data
    start: NDArray[np.complex64]
    refined: bool
    epochs: int = EPOCHS


@frozen(kw_only=True)
class Course:
    """Correlations of a run, after epochs that took so many CPU seconds."""

    seconds: list[float] = field(factory=list)
    correlations: list[float] = field(factory=list)

    def until(self, level: float) -> str:
        """Return the CPU seconds until the correlation is that good."""
        pairs = zip(self.seconds, self.correlations, strict=True)
        return next((f"{seconds:.1f}" for seconds, found in pairs if found >= level), "never")


def rough(seed: int) -> NDArray[np.complex64]:
    """Return an object whose phase has 4 rad rms, and detail of 5 pixels."""
    phase = gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 5.0)
    return np.exp(4j * phase / phase.std()).astype(np.complex64)


def beads(seed: int) -> NDArray[np.complex64]:
    """Return balls that lie over each other, of a phase of up to 10 rad each."""
    rng, thickness = np.random.default_rng(seed), np.zeros(SHAPE)
    rows, columns = np.indices(SHAPE)
    for _ in range(45):
        y, x, radius = rng.uniform(0, SHAPE[0]), rng.uniform(0, SHAPE[1]), rng.uniform(6, 16)
        distance = (columns - x) ** 2 + (rows - y) ** 2
        thickness += np.sqrt(np.clip(radius**2 - distance, 0, None)) / 16
    return np.exp((10j - 0.05) * gaussian_filter(thickness, 0.8)).astype(np.complex64)


def lens(diameter: float, aperture: float) -> NDArray[np.complex64]:
    """Return the beam of a lens without a stop."""
    return defocused_probe(N, diameter, aperture=aperture, central_stop=0.0)


PROBES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "zone plate": (lambda: defocused_probe(N), lambda: defocused_probe(N, 40.0)),
    "divergent .6": (lambda: lens(40.0, 0.6), lambda: lens(32.0, 0.6)),
    "divergent .8": (lambda: lens(48.0, 0.8), lambda: lens(36.0, 0.8)),
    "electrons": (lambda: lens(30.0, 0.33), lambda: lens(22.0, 0.33)),
}
"""True probes, and those of another defocus."""


def simulated(
    name: str,
    truth: NDArray[np.complex64],
    optics: str,
    seed: int,
    *,
    photons: float = 1e6,
    known: bool = False,
) -> Iterator[Scene]:
    """Make a scan whose probe is refined, and before that one where it is known, if wanted."""
    probe, wrong = (make() for make in PROBES[optics])
    positions = fermat_scan(SHAPE, N, number=180, jitter=0.3, seed=seed)
    counts = simulate_counts(truth, probe, positions, photons, seed=seed)
    data = Data(counts=counts, positions=positions, probe=probe, truth=truth)
    name = f"{name}, {optics}, {seed}"
    if known:
        yield Scene(name=name, data=data, start=probe, refined=False)
    yield Scene(name=f"{name}, refined", data=data, start=wrong, refined=True)


def scenes(folder: Path | None, seeds: int) -> Iterator[Scene]:
    """Make all scenes, one after the other."""
    if folder is not None:
        data = run1084(folder)
        wrong = defocused(data.probe, 10)
        yield Scene(name="run1084", data=data, start=data.probe, refined=False, epochs=30)
        yield Scene(name="run1084, refined", data=data, start=wrong, refined=True, epochs=30)
    for seed in range(seeds):
        for optics in PROBES:
            yield from simulated("rough", rough(seed), optics, seed, known=True)
        for optics in ("divergent .6", "divergent .8"):
            yield from simulated("beads", beads(seed), optics, seed)
        for photons in (1e3, 1e4):
            cells = random_cells(SHAPE, seed=seed)
            name = f"few, {photons:g} photons"
            yield from simulated(name, cells, "zone plate", seed, photons=photons)


def run(scene: Scene, settings: Mapping[str, Any]) -> Course:
    """Solve a scene, and compare it with the truth every few epochs, and in the end."""
    course, last, data = Course(), [], scene.data
    nothing = np.empty(0)  # the coverage is not asked for
    begun = time.process_time()

    def score(epoch: int, r_factor: float) -> None:  # noqa: ARG001
        nonlocal begun
        if epoch % EVERY and epoch < scene.epochs:
            return
        now = time.process_time()
        solution: Solution = last[-1](nothing)
        course.seconds.append(now - begun)
        course.correlations.append(correlation(solution, data, ramp=True))
        begun += time.process_time() - now

    def look(so_far: Callable[..., Solution]) -> None:
        last[:] = [so_far]

    options = {"epochs": scene.epochs, "update_probe": scene.refined, **settings}
    solve(data.counts, data.positions, scene.start, callback=score, look=look, **options)
    return course


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.9, help="the momentum")
    parser.add_argument("--auto", action="store_true", help="what the ladder chooses, instead")
    parser.add_argument("--only", default="", help="scenes whose name has this in it")
    options = parser.parse_args()
    levels = " | ".join(f"CPU s to {level}" for level in LEVELS)
    print(f"| scene | {levels} | correlation |\n|{'---|' * (2 + len(LEVELS))}", flush=True)
    ends: list[tuple[float, float]] = []
    for scene in scenes(options.data, options.seeds):
        if options.only not in scene.name:
            continue
        chosen: Mapping[str, Any] = {"momentum": options.share}
        if options.auto:
            chosen = ladder(scene.data.counts, scene.data.positions, scene.start).settings
        pair = [run(scene, settings) for settings in ({}, chosen)]
        before, after = (course.correlations[-1] for course in pair)
        ends.append((before, after))
        cells = [" / ".join(course.until(level) for course in pair) for level in LEVELS]
        print(f"| {scene.name} | {' | '.join(cells)} | {before:.4f} / {after:.4f} |", flush=True)
        if options.auto:
            print(f"  chosen: {', '.join(chosen) or 'nothing'}", flush=True)
    missed = [sum(end < LEVELS[0] for end in column) for column in zip(*ends, strict=True)]
    print(f"\nof {len(ends)} scenes miss {LEVELS[0]}, without and with: {missed}")


if __name__ == "__main__":
    main()
