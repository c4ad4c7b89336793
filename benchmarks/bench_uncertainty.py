"""Uncertainty maps on simulated scans: how often the true error is within them.

Scans of 64 x 64 pixels with 1e3 to 1e6 photons and two densities of patterns, on objects of three
kinds, reconstructed by the solver and by a network, with `uncertainty=True`. The truth is used for
nothing but the comparison: global phase, phase ramp, scale and shift are removed, then errors of
amplitude and phase between the patch centres are counted. The last cases show systematic errors: a
probe out of focus, and one that is wrong with the period of a raster. The network is trained for
`--epochs` on two scans of objects with other seeds, 300 patterns each; BENCH_MODEL names the folder
of a network that exists already. BENCH_PICTURE names a PNG file for the reliability curves.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _measure import parse, report, summarise
from attrs import evolve
from ptycho_core import reconstruct, solve_scan, train
from ptycho_core.uncertainty.alignment import between_centres, laid_over
from ptycho_data import Reconstruction, Scan
from ptycho_physics import (
    defocused_probe,
    random_cells,
    random_scan,
    siemens_star,
    simulate_counts,
)
from ptycho_physics.objects import line_object
from scipy.stats import norm

SIDE = 128
STEP = 6.0
DOSES = (1e3, 1e4, 1e5, 1e6)
PATTERNS = (36, 100)
NOMINAL = np.linspace(0.05, 0.99, 48)
PARTS = ("phase", "amplitude")

Run = Callable[[Scan], Any]


def make_object(kind: str, side: int, seed: int) -> np.ndarray:
    """Make an object of one of three kinds."""
    if kind == "star":
        return siemens_star((side, side))
    if kind == "lines":
        return line_object((side, side), seed=seed)
    return random_cells((side, side), radius=(6, 16), seed=seed)


def make_scan(kind: str, side: int, n: int, photons: float, seed: int) -> Scan:
    """Simulate a scan with its truth."""
    truth = make_object(kind, side, seed)
    positions = random_scan(truth.shape, 64, number=n, seed=seed)
    probe = np.asarray(defocused_probe(64), dtype=np.complex64)
    return Scan(
        diffraction=simulate_counts(truth, probe, positions, photons, seed=seed),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=probe,
        domain="counts",
        object_guess=np.asarray(truth, dtype=np.complex64),
    )


def true_errors(rec: Reconstruction, scan: Scan) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return errors and standard errors of the pixels between the patch centres, by part."""
    truth = np.asarray(scan.object_guess)
    placed = evolve(
        rec,
        object=truth,
        coverage=np.ones(truth.shape, np.float32),
        xcoords=rec.xcoords + rec.origin[0],
        ycoords=rec.ycoords + rec.origin[1],
        origin=np.zeros(2, np.int64),
        amplitude_error=None,
        phase_error=None,
    )
    true = laid_over(placed, rec)
    box = between_centres(rec)
    known = true.covered[box] & np.isfinite(rec.phase_error[box])
    found, expected = rec.object[box][known], true.values[box][known]
    return {
        "phase": (np.angle(found * np.conj(expected)), rec.phase_error[box][known]),
        "amplitude": (np.abs(found) - np.abs(expected), rec.amplitude_error[box][known]),
    }


def judged(scan: Scan, run: Run) -> dict[str, Any]:
    """Reconstruct a scan, and count how often the true error is within the errors told."""
    start = time.perf_counter()
    result = run(scan)
    seconds = time.perf_counter() - start
    told = result.metrics["uncertainty"]
    figures: dict[str, float] = {"R over noise": result.metrics["r_over_noise"]}
    curves = {}
    for part, (error, sigma) in true_errors(result.reconstruction, scan).items():
        ratio, halves = np.abs(error) / sigma, told[f"{part}_over_halves"]
        curves[part] = coverage(ratio)
        curves[f"{part}, halves alone"] = coverage(ratio * halves)
        figures |= {
            f"{part} rms error": float(np.sqrt(np.mean(error**2))),
            f"{part} rms told": float(np.sqrt(np.mean(sigma**2))),
            f"{part} within 68": float(np.mean(ratio < 1)),
            f"{part} within 95": float(np.mean(ratio < told[f"{part}_times_95"])),
            f"{part} within 68, halves alone": float(np.mean(ratio * halves < 1)),
            f"{part} within 95, halves alone": float(np.mean(ratio * halves < 2)),
        }
    return summarise([seconds], figures=figures, curves=curves)


def coverage(ratio: np.ndarray) -> list[float]:
    """Return how many errors are within the normal interval of each nominal probability."""
    return [float(np.mean(ratio < norm.ppf(0.5 + p / 2))) for p in NOMINAL]


def cases(*, quick: bool) -> Iterator[tuple[str, Scan]]:
    """Give the scans by name: objects take turns, seeds are used once."""
    doses, numbers, side = ((1e4,), (24,), 112) if quick else (DOSES, PATTERNS, SIDE)
    kinds, seed = ("cells", "star", "lines"), 100
    for i, photons in enumerate(doses):
        for j, n in enumerate(numbers):
            kind, seed = kinds[(i + j) % 3], seed + 1
            step = (side - 64) / np.sqrt(n)
            name = f"{photons:.0e} photons, step {step:.1f}, {kind}"
            yield name, make_scan(kind, side, n, photons, seed)


def network(epochs: int, *, quick: bool) -> Any:
    """Return a trained network."""
    if name := os.environ.get("BENCH_MODEL"):
        return Path(name)
    n, side = (24, 112) if quick else (300, 192)
    scans = [make_scan(kind, side, n, 1e5, 50) for kind in ("cells", "lines")]
    return train(scans, nepochs=1 if quick else epochs, progress=False)


def out_of_focus(scan: Scan, radians: float) -> Scan:
    """Return the scan with a probe whose outer half of the aperture lags behind."""
    spectrum = np.fft.fft2(np.fft.ifftshift(scan.probe, axes=(-2, -1)))
    f = np.fft.fftfreq(scan.N)
    wrong = spectrum * np.exp(1j * radians * ((f[:, None] ** 2 + f**2) / 0.25**2))
    probe = np.fft.fftshift(np.fft.ifft2(wrong), axes=(-2, -1)).astype(np.complex64)
    return evolve(scan, probe=probe)


def make_raster(side: int, photons: float, seed: int) -> Scan:
    """Simulate a scan of a raster without jitter, in steps of `STEP` pixels."""
    places = np.arange(32.0, side - 31, STEP)
    positions = np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)
    truth, probe = make_object("cells", side, seed), defocused_probe(64).astype(np.complex64)
    return Scan(
        diffraction=simulate_counts(truth, probe, positions, photons, seed=seed),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=probe,
        domain="counts",
        object_guess=np.asarray(truth, dtype=np.complex64),
    )


def with_period(scan: Scan) -> Scan:
    """Return a raster scan with a probe that is wrong with its period.

    The object with the inverse factor explains all patterns as well as the true one.
    """
    wave = 1 + (0.1 + 0.1j) * np.cos(2 * np.pi * np.arange(scan.N) / STEP)
    return evolve(scan, probe=(scan.probe / wave).astype(np.complex64))


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the reliability curves, averaged over the cases of each method."""
    from ptycho_data.figures import new_figure, save_figure

    figure = new_figure(9.6, 4.9)
    for axes, part in zip(figure.subplots(1, 2, sharey=True), PARTS, strict=True):
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="as told")
        for colour, method in enumerate(("solver", "network")):
            chosen = [r["curves"] for name, r in results.items() if name.startswith(f"{method},")]
            for line, which in (("-", part), (":", f"{part}, halves alone")):
                curve = np.array([curves[which] for curves in chosen])
                label = f"{method}{which.removeprefix(part)}"
                axes.plot(NOMINAL, curve.mean(axis=0), line, color=f"C{colour}", label=label)
                if line == "-":
                    low, high = curve.min(axis=0), curve.max(axis=0)
                    axes.fill_between(NOMINAL, low, high, color=f"C{colour}", alpha=0.15)
        axes.set(title=f"Error of the {part}", xlabel="probability told", xlim=(0, 1), ylim=(0, 1))
        axes.set_box_aspect(1)
    axes.legend(loc="upper left", fontsize="small")
    figure.axes[0].set_ylabel("pixels whose true error is within")
    save_figure(figure, path, overwrite=True)


def main() -> None:
    """Reconstruct all scans by both methods, and report."""
    options = parse(__doc__, epochs=12)
    model = network(options.epochs, quick=options.quick)
    shared = {"uncertainty": True, "progress": False}
    methods: dict[str, Run] = {
        "solver": lambda scan: solve_scan(scan, accelerator="numpy", **shared),
        "network": lambda scan: reconstruct(model, scan, **shared),
    }
    results = {}
    for name, scan in cases(quick=options.quick):
        for method, run in methods.items():
            results[f"{method}, {name}"] = judged(scan, run)
    photons, n, side = (1e4, 24, 112) if options.quick else (1e6, 100, SIDE)
    scan = make_scan("lines", side, n, photons, 90)
    for radians in (0.0, 0.5, 2.0):
        wrong = out_of_focus(scan, radians)
        results[f"probe wrong by {radians:g} rad"] = judged(wrong, methods["solver"])
    wrong = out_of_focus(scan, 2.0)
    results["the same, probe refined"] = judged(
        wrong, lambda scan: solve_scan(scan, accelerator="numpy", update_probe=True, **shared)
    )
    raster = make_raster(side, photons, 91)
    results["raster"] = judged(raster, methods["solver"])
    wrong = with_period(raster)
    results["raster, probe wrong with its period"] = judged(wrong, methods["solver"])
    report("uncertainty", results, options)
    if picture := os.environ.get("BENCH_PICTURE"):
        draw(results, Path(picture))


if __name__ == "__main__":
    main()
