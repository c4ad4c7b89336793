"""What the forward model and its gradient cost, in units of the FFT they cannot do without.

For a batch of patterns, the FFT and inverse FFT of its waves are measured in the same run, and
every other figure is given as a multiple of that pair, alternating with it so that both see the
same load. Times are CPU times, but wall times on a GPU. What is measured:

``extract``, ``merge``
    Cutting patches out of the canvas at sub-pixel positions, and the way back.
``forward``
    Extract, illuminate, propagate, intensity, Poisson likelihood.
``forward and gradient``
    `canvas_gradient`: all of the forward model, the value of the likelihood, and the whole way back
    to the gradient on the canvas, which is allocated and summed up.
``autograd``
    The same left to PyTorch alone: what the hand-written gradient saves (PyTorch).
``solver step``
    A whole step of the solver: forward model, gradient, preconditioner, update of the canvas.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import array_api_compat as compat
import numpy as np
from _measure import graphics, parse, report, summarise, torch_devices, wait_for
from _scans import PHOTONS, make_scan
from attrs import frozen
from ptycho_physics import (
    Canvas,
    canvas_gradient,
    expected_counts,
    extract_patches,
    illuminate,
    merge_patches,
    poisson_nll,
    solve,
)

SIZES = (64, 128, 256)
BATCH = 16
PATTERNS = 64  # the batch is drawn from these, so that it is spread over the canvas


@frozen(eq=False)
class Problem:
    """A batch of patterns of one size in one library, on one device."""

    xp: Any
    on_cpu: bool
    canvas: Any  # (H, W) complex64
    probe: Any  # (1, N, N) complex64
    counts: Any  # (B, N, N) float32
    centres: Any  # (B, 2) float64, on the canvas
    positions: np.ndarray  # (B, 2) float64, on the object grid

    @property
    def N(self) -> int:  # noqa: N802  the field's own name
        """Pixels across a pattern."""
        return self.counts.shape[-1]

    def patches(self) -> Any:
        """Cut the patches out of the canvas."""
        return extract_patches(self.canvas, self.centres, self.N)

    def loss(self, canvas: Any) -> Any:
        """Compare what a canvas predicts with the counts."""
        patches = extract_patches(canvas, self.centres, self.N)
        rate = expected_counts(patches, self.probe, PHOTONS)
        return self.xp.sum(poisson_nll(rate, self.counts))

    def gradient(self) -> Any:
        """Return likelihood and gradient by the adjoints."""
        return canvas_gradient(self.canvas, self.centres, self.probe, self.counts, PHOTONS)

    def autograd(self) -> Any:
        """Return the gradient of the loss on the canvas (PyTorch)."""
        leaf = self.canvas.detach().requires_grad_()
        self.loss(leaf).backward()
        return leaf.grad

    def fft_pair(self, waves: Any) -> Any:
        """Transform there and back."""
        fft, axes = self.xp.fft, (-2, -1)
        return fft.ifftn(fft.fftn(waves, axes=axes, norm="ortho"), axes=axes, norm="ortho")


def problem(N: int, place: str) -> Problem:
    """Make a batch for NumPy (``place`` is "numpy") or for PyTorch on a device."""
    scan = make_scan(PATTERNS, N)
    canvas = Canvas.covering(scan.positions, N)
    positions = scan.positions[:BATCH]
    (x0, y0), (H, W) = canvas.origin, canvas.shape
    truth = np.pad(scan.object_guess, 1, mode="edge")[y0 + 1 :, x0 + 1 :][:H, :W]
    arrays = (truth.copy(), scan.probe, scan.counts()[:BATCH], canvas.local(positions))
    if place != "numpy":
        import torch

        arrays = tuple(torch.from_numpy(array).to(place) for array in arrays)
    return Problem(compat.array_namespace(arrays[0]), place != "cuda", *arrays, positions)


def actions(case: Problem, *, torch: bool) -> dict[str, Callable[[], object]]:
    """Return what is measured, by name; the FFT pair comes first."""
    patches = case.patches()
    waves = illuminate(case.probe, patches)
    shape = tuple(case.canvas.shape)
    return {
        "fft pair": partial(case.fft_pair, waves),
        "extract": case.patches,
        "merge": partial(merge_patches, patches, case.centres, shape),
        "forward": partial(case.loss, case.canvas),
        "forward and gradient": case.gradient,
        **({"autograd": case.autograd} if torch else {}),
    }


def alternate(
    tasks: dict[str, Callable[[], object]],
    clock: Callable[[], float],
    wait: Callable[[], object],
    warmup: int,
    repeats: int,
) -> dict[str, list[float]]:
    """Time all tasks in turn, again and again: a change of the machine's load meets them all."""
    runs: dict[str, list[float]] = {name: [] for name in tasks}
    for k in range(warmup + repeats):
        for name, task in tasks.items():
            start = clock()
            task()
            wait()
            if k >= warmup:
                runs[name].append(clock() - start)
    return runs


def solver_steps(
    case: Problem, clock: Callable[[], float], wait: Callable[[], object], warmup: int, steps: int
) -> list[float]:
    """Time single steps of the solver: epochs over one batch."""
    times = []

    def tick(*_: object) -> None:
        wait()
        times.append(clock())

    probe, counts = case.probe, case.counts
    solve(counts, case.positions, probe, epochs=warmup + steps + 1, batch_size=BATCH, callback=tick)
    return np.diff(times)[warmup:].tolist()


def measure_size(N: int, place: str, warmup: int, repeats: int) -> dict[str, Any]:
    """Measure everything for one size at one place."""
    wait = (lambda: None) if place == "numpy" else wait_for(place)
    case = problem(N, place)
    clock = time.process_time if case.on_cpu else time.perf_counter
    runs = alternate(actions(case, torch=place != "numpy"), clock, wait, warmup, repeats)
    runs["solver step"] = solver_steps(case, clock, wait, warmup, repeats)
    pair = statistics.median(runs["fft pair"])
    name = place if place == "numpy" else f"torch {place}"
    return {
        f"{name}, N={N}, {label}": summarise(
            times, warmup=warmup, figures={"FFT pairs": statistics.median(times) / pair}
        )
        for label, times in runs.items()
    }


def main() -> None:
    """Measure every size, NumPy and PyTorch, and report."""
    options = parse(__doc__)
    warmup, repeats = (0, 1) if options.quick else (3, 25)
    results: dict[str, Any] = {}
    for N in SIZES[:1] if options.quick else SIZES:
        for place in ("numpy", *torch_devices(options.threads)):
            results |= measure_size(N, place, warmup, repeats)
    report("physics", results, options, gpu=graphics(), patterns_per_batch=BATCH)


if __name__ == "__main__":
    main()
