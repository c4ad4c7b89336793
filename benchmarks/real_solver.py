"""The solver on real data, beside the figures of pty-chi on the same data.

    python benchmarks/real_solver.py DATA_FOLDER [--output FILE.json] [--quick] [--star]

DATA_FOLDER holds the two public files that `real_data.py` describes. Counts of ``run1084`` are
simulated with 1e6 photons per pattern. Every case states its start, and is scored over the scanned
rectangle after removing shift and one complex factor, and a phase ramp where the probe was refined
(a probe with the opposite ramp explains the same data). Times are CPU seconds of one thread; the
FFT and inverse FFT of all patterns are measured in the same run. ``--star`` asks instead which
switches the measured star needs: R-factor and deviance of patterns that are held out.

The figures of pty-chi 2.2 (LSQML, the best of its engines on these data) were measured once on a
machine of the same kind, on one thread, and are constants here: see ``PTYCHI``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from _measure import machine
from attrs import frozen
from ptycho_physics import Canvas, Solution, compare, simulate_counts, solve
from ptycho_physics.metrics import complex_correlation

PTYCHI = (
    (
        "run1084, true probe",
        "corr .885 / .969 / .9946 / .9977 / .9981, 5 / 10 / 20 / 50 / 100",
        0.84,
    ),
    ("run1084, probe refined", "corr .9911 / .9959 after 20 / 50", 0.94),
    ("siemens, all 516 patterns", "R-factor .162 after 50", 2.0),
    (
        "siemens_top, 5 modes, the same 13 patterns held out",
        "their R-factor .197 / .164 / .149 / .144, 10 / 20 / 30 / 40",
        0.87,
    ),
)
JITTER = 1.0  # pixels rms
STAR = (
    ("probe", 60, {}),
    ("3 modes", 40, {"modes": 3}),
    ("5 modes", 40, {"modes": 5}),
    ("8 modes", 40, {"modes": 8}),
    ("5 modes, variation", 40, {"modes": 5, "probe_variation": 2}),
    ("5 modes, light", 40, {"modes": 5, "refine_light": True}),
    ("5 modes, positions", 40, {"modes": 5, "refine_positions": True}),
    ("5 modes, positions", 60, {"modes": 5, "refine_positions": True}),
    ("5 modes, positions, mean", 60, {"modes": 5, "refine_positions": True, "average": True}),
    ("6 modes, positions, mean", 90, {"modes": 6, "refine_positions": True, "average": True}),
    (
        "6 modes, positions, mean, momentum",
        15,
        {"modes": 6, "refine_positions": True, "average": True, "momentum": 0.9},
    ),
    ("5 modes, background", 40, {"modes": 5, "background": "constant"}),
)


@frozen(kw_only=True, eq=False)
class Data:
    """Counts with what is known beside them."""

    counts: np.ndarray
    positions: np.ndarray
    probe: np.ndarray  # (1, N, N)
    truth: np.ndarray | None


def run1084(folder: Path) -> Data:
    """Simulate the scan with 1e6 photons per pattern."""
    with np.load(folder / "run1084.npz", allow_pickle=False) as file:
        truth, probe = file["objectGuess"], file["probeGuess"][None].astype(np.complex64)
        positions = np.stack([file["xcoords"], file["ycoords"]], axis=1).astype(np.float64)
    counts = simulate_counts(truth, probe, positions, 1e6, seed=0)
    return Data(counts=counts, positions=positions, probe=probe, truth=truth)


def siemens(folder: Path) -> Data:
    """Read the measured star: zero frequency to the centre, (row, column) to (x, y)."""
    with np.load(folder / "siemens_top.npz", allow_pickle=False) as file:
        counts = np.fft.fftshift(file["counts"], axes=(-2, -1)).astype(np.float32)
        positions = file["scan_rowcol_px"][:, ::-1].astype(np.float64)
        probe = file["probe"].reshape(-1, *file["probe"].shape[-2:]).astype(np.complex64)
    return Data(counts=counts, positions=positions, probe=probe, truth=None)


def defocused(probe: np.ndarray, strength: float) -> np.ndarray:
    """Propagate a probe: a quadratic phase of its spectrum, ``strength`` in pixels squared."""
    q = np.fft.fftfreq(probe.shape[-1])
    kernel = np.exp(-1j * np.pi * strength * (q**2 + q[:, None] ** 2))
    return np.fft.ifft2(np.fft.fft2(probe) * kernel).astype(np.complex64)


def bent(data: Data) -> np.ndarray:
    """Return the truth with the smooth phase error that a network leaves, 0.3 rad rms or so."""
    canvas = Canvas.covering(data.positions, data.probe.shape[-1])
    (x0, y0), (height, width) = canvas.origin, canvas.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    phase = 0.35 * x - 0.4 * y + 0.15 * np.cos(2 * x + 1) * np.sin(2 * y)
    return (data.truth[y0 : y0 + height, x0 : x0 + width] * np.exp(1j * phase)).astype(np.complex64)


def correlation(solution: Solution, data: Data, *, ramp: bool) -> float:
    """Compare with the truth over the scanned rectangle."""
    low = np.ceil(data.positions.min(axis=0)).astype(int)
    high = np.floor(data.positions.max(axis=0)).astype(int) + 1
    x0, y0 = solution.canvas.origin
    found = solution.object[low[1] - y0 : high[1] - y0, low[0] - x0 : high[0] - x0]
    truth = data.truth[low[1] : high[1], low[0] : high[0]]
    return compare(found, truth, remove_ramp=ramp).correlation


def fft_pair(counts: np.ndarray) -> float:
    """CPU seconds of the FFT and inverse FFT of all patterns, in batches of 16."""
    waves = counts[:16].astype(np.complex64)
    runs = []
    for _ in range(15):
        start = time.process_time()
        np.fft.ifftn(np.fft.fftn(waves, axes=(-2, -1)), axes=(-2, -1))
        runs.append(time.process_time() - start)
    return float(np.median(runs)) * len(counts) / len(waves)


def run(name: str, data: Data, **settings: Any) -> dict[str, Any]:
    """Solve one case and print its line."""
    positions = settings.pop("positions", data.positions)
    probe = settings.pop("probe", data.probe)
    start = time.process_time()
    solution = solve(data.counts, positions, probe, **settings)
    cpu = time.process_time() - start
    refined = bool(settings.get("update_probe") or settings.get("refine_positions"))
    epochs = len(solution.r_factors)
    result = {
        "case": name,
        "epochs": epochs,
        "cpu_s": cpu,
        "cpu_s_per_epoch": cpu / epochs,
        "r_factor": solution.r_factors[-1],
        "correlation": None if data.truth is None else correlation(solution, data, ramp=refined),
    }
    score = "" if data.truth is None else f"{result['correlation']:.5f}"
    figures = f"{epochs} | {cpu:.2f} | {cpu / epochs:.3f} | {result['r_factor']:.4f} | {score}"
    print(f"| {name} | {figures} |", flush=True)
    return result


def cases(folder: Path, quick: bool) -> list[dict[str, Any]]:
    """Run everything."""
    data, star = run1084(folder), siemens(folder)
    rng = np.random.default_rng(7)
    jitter = data.positions + rng.normal(scale=JITTER, size=data.positions.shape)
    print(f"FFT pairs: run1084 {fft_pair(data.counts):.3f} CPU s", end=", ")
    print(f"siemens_top {fft_pair(star.counts):.3f} CPU s")
    print("\n| case | epochs | CPU s | CPU s per epoch | R-factor | correlation |")
    print("|---|---|---|---|---|---|")
    done = [run(f"flat, true probe, {k}", data, epochs=k) for k in ((1,) if quick else (5, 8, 20))]
    if quick:
        return done
    for strength in (5, 10):
        wrong = defocused(data.probe, strength)
        alike = complex_correlation(wrong[0], data.probe[0])
        name = f"probe defocused to a correlation of {alike:.2f}"
        done.append(run(name, data, probe=wrong, epochs=20, update_probe=True))
        both = {"probe": wrong, "positions": jitter, "update_probe": True}
        done.append(run(f"{name}, jitter", data, **both, epochs=20, refine_positions=True))
    refine = {"refine_positions": True}
    done.append(run("jitter 1 px rms, true probe", data, positions=jitter, epochs=12, **refine))
    start = bent(data)
    done.extend(run(f"smooth phase error, {k}", data, epochs=k, initial=start) for k in (1, 3))
    options = {"batch_size": 32, "update_probe": True}
    done.append(run("siemens_top, probe", star, epochs=40, **options))
    done.append(run("siemens_top, probe, positions", star, epochs=40, **options, **refine))
    done.append(run("siemens_top, probe, 3 modes", star, epochs=25, **options, modes=3))
    return done


def held_out(star: Data) -> list[dict[str, Any]]:
    """Solve the star with one switch after the other, and predict patterns that are not used."""
    done = []
    print("| switches | epochs | R-factor, held out | deviance per pixel | R-factor, used |")
    print("|---|---|---|---|---|")
    for name, epochs, switches in STAR:
        options = {"batch_size": 32, "update_probe": True, "epochs": epochs, "patience": epochs}
        solution = solve(
            star.counts, star.positions, star.probe, held_out=0.05, **options, **switches
        )
        found, used = solution.held_out, solution.r_factors[-1]
        deviance = float(found.deviance.mean())
        print(
            f"| {name} | {epochs} | {found.r_factor:.4f} | {deviance:.3f} | {used:.4f} |",
            flush=True,
        )
        done.append({"case": name, "r_factor": found.r_factor, "deviance": deviance, "used": used})
    return done


def main() -> None:
    """Run all cases, and write them as JSON where asked for."""
    import argparse

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    parser.add_argument("--quick", action="store_true", help="one epoch: does it still work?")
    parser.add_argument("--star", action="store_true", help="the star, patterns held out")
    options = parser.parse_args()
    results = (
        held_out(siemens(options.data)) if options.star else cases(options.data, options.quick)
    )
    print("\n| pty-chi 2.2, LSQML | reached after epochs | CPU s per epoch |\n|---|---|---|")
    for name, reached, cost in PTYCHI:
        print(f"| {name} | {reached} | {cost} |")
    if options.output is not None:
        record = {"benchmark": "real_solver", "machine": machine(), "results": results}
        options.output.write_text(json.dumps(record, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
