"""What beams, stages and detectors do to a scan: the solver without and with the switch for it.

    python benchmarks/solver_faults.py DATA_FOLDER [--only background,light] [--auto] [--clean 20]
    python benchmarks/solver_faults.py DATA_FOLDER --pictures FOLDER
    python benchmarks/solver_faults.py DATA_FOLDER --scans FOLDER

DATA_FOLDER holds ``run1084.npz`` (see `real_data.py`); its counts are simulated with 1e6 photons
per pattern, and with one fault at a time, or with all together (``--only all``). Scores are
correlations with the true object over the scanned rectangle, without ramp where the fault leaves
one open. ``--auto`` climbs the ladder of ``ptycho reconstruct --auto`` for each fault; ``--clean``
does so for smaller scans without a fault, and ends with exit code 1 if it switches anything on.
``--scans`` only writes the scans, for the commands of ``ptycho``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from _measure import machine
from attrs import field, frozen
from ptycho_core.solving.ladder import Ladder, climb, held_out_share
from ptycho_physics import (
    HeldOut,
    coarse_intensity,
    defocused_probe,
    extract_patches,
    random_cells,
    simulate_counts,
    snake_scan,
    solve,
)
from ptycho_physics.solver._positions import directions
from real_solver import Data, correlation, defocused

PHOTONS = 1e6
MOMENTS = 16  # of the exposure of a fly scan


@frozen(kw_only=True, eq=False)
class Fault:
    """A fault: how it changes expected counts, positions or probes, and the switch against it."""

    name: str
    switch: Mapping[str, Any]
    beside: Mapping[str, Any] = field(factory=dict)  # on in both runs
    light: np.ndarray | None = None
    background: float = 0.0
    probes: np.ndarray | None = None
    positions: np.ndarray | None = None
    path: np.ndarray | None = None  # of each exposure
    coarse: int = 1  # pixels of the scan's detector along a side of one that is too coarse
    ramp: bool = False
    photons: float = PHOTONS


def faults(data: Data) -> list[Fault]:
    """Make the faults of a scan, always the same."""
    rng, n = np.random.default_rng(3), len(data.positions)
    light = rng.uniform(0.6, 1.4, n)
    middle, angle = data.positions.mean(axis=0), np.deg2rad(2.0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wrong = middle + (data.positions - middle) @ np.linalg.inv(1.02 * turn).T
    jitter = data.positions + rng.normal(scale=1.0, size=data.positions.shape)
    wander = 1.5 * np.stack([np.sin(np.arange(n) / 30), np.cos(np.arange(n) / 40)], axis=1)
    play = 1.5 * directions(data.positions) * np.array([1.0, 0.0])  # of the axis of the rows
    probe = {"update_probe": True}
    path = np.array([width(data.probe) / 2, 0.0])
    everything = Fault(
        name="all",
        switch={
            "refine_light": True,
            "background": "constant",
            "probe_variation": 2,
            "refine_affine": True,
            "refine_positions": True,
            "position_start": 8,
            "exposure_path": path,
        },
        beside=probe,
        light=light / light.mean(),
        background=3.0,
        probes=drifting(data.probe, n),
        positions=wrong + (jitter - data.positions),
        path=path,
        ramp=True,
    )
    return [
        Fault(name="none", switch={}),
        Fault(name="background", background=3.0, switch={"background": "constant"}),
        Fault(name="light", light=light / light.mean(), switch={"refine_light": True}),
        Fault(
            name="drift",
            probes=drifting(data.probe, n),
            beside=probe,
            switch={"probe_variation": 2},
            ramp=True,
        ),
        Fault(name="affine", positions=wrong, switch={"refine_affine": True}),
        Fault(name="jitter", positions=jitter, switch={"refine_positions": True}, ramp=True),
        Fault(name="play", positions=data.positions - play, switch={"refine_backlash": True}),
        Fault(
            name="wander",
            positions=data.positions + wander,
            beside={"refine_positions": True},
            switch={"position_smoothness": 2.0},
            ramp=True,
            photons=1e4,
        ),
        Fault(name="fly scan", path=path, switch={"exposure_path": path}),
        Fault(
            name="coarse detector",
            coarse=2,
            beside=probe,
            switch={"detector_sampling": 2},
            ramp=True,
        ),
        everything,
    ]


def width(probe: np.ndarray) -> float:
    """Return the diameter of a probe in pixels: twice its rms radius."""
    light = np.sum(np.abs(probe) ** 2, axis=0)
    squares = [
        np.average((axis - np.average(axis, weights=light)) ** 2, weights=light)
        for axis in np.indices(light.shape)
    ]
    return float(2 * np.sqrt(np.sum(squares)))


def drifting(probe: np.ndarray, n: int) -> np.ndarray:
    """Return probes (n, 1, N, N) whose defocus drifts, by 20 % of their norm at both ends."""
    change = defocused(probe, 3.0) - probe
    change -= probe * np.vdot(probe, change) / np.vdot(probe, probe)
    change *= 0.2 * np.linalg.norm(probe) / np.linalg.norm(change)
    probes = probe + np.linspace(-1, 1, n)[:, None, None, None] * change
    power = np.sum(np.abs(probes) ** 2, axis=(1, 2, 3), keepdims=True)
    return (probes / np.sqrt(power)).astype(np.complex64)


def rates(
    data: Data,
    probes: np.ndarray | None = None,
    path: np.ndarray | None = None,
    photons: float = PHOTONS,
    coarse: int = 1,
) -> np.ndarray:
    """Return the expected counts of the scan, with the probe of each pattern if given.

    Of a fly scan they are the mean over many points of the path of each exposure.
    """
    moments = [0.0] if path is None else ((np.arange(MOMENTS) + 0.5) / MOMENTS - 0.5).tolist()
    n, N = len(data.positions), data.probe.shape[-1]
    found = np.empty((n, N // coarse, N // coarse))
    for start in range(0, n, 64):
        part = slice(start, start + 64)
        probe = data.probe if probes is None else probes[part]
        found[part] = 0
        for moment in moments:
            way = 0.0 if path is None else moment * path
            patches = extract_patches(data.truth, data.positions[part] + way, N)
            found[part] += coarse_intensity(patches, probe, coarse) / len(moments)
    return found * (photons / found.sum(axis=(1, 2)).mean())


def scene(folder: Path) -> Data:
    """Read object, probe and positions; counts come later."""
    with np.load(folder / "run1084.npz", allow_pickle=False) as file:
        probe = file["probeGuess"][None].astype(np.complex64)
        return Data(
            counts=np.empty(0),
            positions=np.stack([file["xcoords"], file["ycoords"]], axis=1).astype(np.float64),
            probe=probe / np.linalg.norm(probe),
            truth=file["objectGuess"],
        )


def within(probe: np.ndarray, N: int) -> np.ndarray:
    """Return the middle (M, N, N) of a probe: what patterns of N pixels have room for."""
    rim = (probe.shape[-1] - N) // 2
    return probe[:, rim : rim + N, rim : rim + N]


def counts_of(data: Data, fault: Fault) -> np.ndarray:
    """Draw the counts of a scan with a fault."""
    expected = rates(data, fault.probes, fault.path, fault.photons, fault.coarse)
    if fault.light is not None:
        expected *= fault.light[:, None, None]
    drawn = np.random.default_rng(0).poisson(expected + fault.background)
    return drawn.astype(np.float32)


def write(folder: Path, data: Data, fault: Fault) -> None:
    """Write a scan with a fault, and the truth."""
    positions = data.positions if fault.positions is None else fault.positions
    np.savez(
        folder / f"{fault.name.replace(' ', '_')}.npz",
        diffraction=counts_of(data, fault).astype(np.uint16),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probeGuess=data.probe[0],
        objectGuess=data.truth,
    )


def ladder(counts: np.ndarray, positions: np.ndarray, probe: np.ndarray) -> Ladder:
    """Climb the ladder of ``--auto``."""
    share = held_out_share(len(counts))

    def trial(switches: Mapping[str, Any], epochs: int) -> HeldOut:
        options = {"held_out": share, "epochs": epochs, "position_start": 4, **switches}
        found = solve(counts, positions, probe, **options).held_out
        return cast("HeldOut", found)

    return climb(trial, {})


def run(data: Data, fault: Fault, epochs: int, auto: bool) -> dict[str, Any]:
    """Solve a scan with a fault, without and with the switch."""
    counts = counts_of(data, fault)
    positions = data.positions if fault.positions is None else fault.positions
    probe = within(data.probe, counts.shape[-1])
    result: dict[str, Any] = {"fault": fault.name, "switch": [*fault.beside, *fault.switch]}
    for label, settings in (("without", {}), ("with", fault.switch)):
        start = time.process_time()
        options = {**fault.beside, **settings, "epochs": epochs}
        solution = solve(counts, positions, probe, **options)
        seconds = (time.process_time() - start) / epochs
        score = correlation(solution, data, ramp=fault.ramp)
        result[label] = {
            "correlation": score,
            "r_factor": solution.r_factors[-1],
            "cpu_s_per_epoch": seconds,
        }
        if fault.positions is not None:
            result[label]["position_error"] = position_error(solution.positions, data.positions)
        result[f"{label}_object"] = solution.object
        if not fault.switch:
            break
    if auto:
        result["auto"] = ladder(counts, positions, probe).record()
    return result


def position_error(found: np.ndarray, right: np.ndarray) -> float:
    """Return the rms error of positions in pixels, without a linear map that the object follows."""
    known = np.column_stack([np.ones(len(right)), right])
    error = found - right
    error = error - known @ np.linalg.lstsq(known, error, rcond=None)[0]
    return float(np.sqrt(np.mean(error**2)))


def clean(number: int) -> int:
    """Climb the ladder for scans without a fault; returns how many ask for something."""
    wrong = 0
    for seed in range(number):
        photons = (1e4, 1e5, 1e6)[seed % 3]
        truth = random_cells((80, 84), radius=(4, 9), seed=seed)
        positions = snake_scan(truth.shape, 32, step=4.0, jitter=0.4, seed=seed)
        probe = defocused_probe(32)
        counts = simulate_counts(truth, probe, positions, photons, seed=seed)
        found = ladder(counts, positions, probe)
        wrong += bool(found.switches)
        closest = max(found.trials[1:], key=lambda trial: trial.gain / (trial.noise or 1))
        share = closest.gain / (found.trials[0].deviance or 1)
        print(
            f"clean {seed}, {photons:g} photons: {found.verdict()}; closest {closest.tried}, "
            f"{closest.gain / (closest.noise or 1):.1f} errors, {share:.2%}",
            flush=True,
        )
    return wrong


def draw(folder: Path, results: list[dict[str, Any]]) -> None:
    """Draw phases without and with the switch of each fault."""
    from matplotlib import pyplot as plt

    shown = [result for result in results if "with_object" in result]
    size = (2.1 * len(shown), 4.9)
    figure, axes = plt.subplots(2, len(shown), figsize=size, squeeze=False, layout="constrained")
    for column, result in zip(axes.T, shown, strict=True):
        for axis, label in zip(column, ("without", "with"), strict=True):
            found = result[f"{label}_object"]
            middle = [slice(max(side // 2 - 60, 0), side // 2 + 60) for side in found.shape]
            part = found[tuple(middle)]
            axis.imshow(np.angle(part * np.exp(-1j * np.angle(part.sum()))), cmap="gray")
            axis.set_title(f"{label}: {result[label]['correlation']:.4f}", fontsize=8)
            axis.set_xticks([])
            axis.set_yticks([])
        column[0].set_title(f"{result['fault']}\n{column[0].get_title()}", fontsize=8)
    figure.savefig(folder / "solver-faults.png", dpi=110)


def main() -> int:
    """Run what is asked for, and write the figures as JSON where asked for."""
    import argparse

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("--only", default="", help="names of faults, with commas")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--auto", action="store_true", help="climb the ladder for each fault")
    parser.add_argument("--clean", type=int, default=0, help="ladders for scans without a fault")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    parser.add_argument("--scans", type=Path, metavar="FOLDER", help="write the scans there")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    options = parser.parse_args()
    if options.clean:
        return int(clean(options.clean) > 0)
    data, wanted, results = scene(options.data), options.only.split(","), []
    print("| fault | without | with | R-factor | CPU s per epoch |", flush=True)
    for fault in faults(data):
        if options.only and fault.name not in wanted:
            continue
        if options.scans is not None:
            write(options.scans, data, fault)
            continue
        result = run(data, fault, options.epochs, options.auto)
        results.append(result)
        pair = [result[label] for label in ("without", "with") if label in result]
        figures = " | ".join(
            ", ".join(form.format(entry[name]) for entry in pair)
            for name, form in (("r_factor", "{:.4f}"), ("cpu_s_per_epoch", "{:.3f}"))
        )
        scores = " | ".join(f"{entry['correlation']:.5f}" for entry in pair)
        print(f"| {fault.name} | {scores} | {figures} |", flush=True)
        if "position_error" in pair[0]:
            off = ", ".join(f"{entry['position_error']:.3f}" for entry in pair)
            print(f"  positions off by {off} pixels rms", flush=True)
        if options.auto:
            print(f"  auto: {', '.join(result['auto']['switches']) or 'nothing'}", flush=True)
    if options.pictures is not None:
        draw(options.pictures, results)
    for result in results:
        result.pop("without_object", None)
        result.pop("with_object", None)
    if options.output is not None:
        record = {"benchmark": "solver_faults", "machine": machine(), "results": results}
        options.output.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
